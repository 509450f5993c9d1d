//! `when`, `for_each`, blocks and plans that are used, on a made-up host: what leaves is what is not wanted any more and
//! nothing else, and the host's memory follows the addresses.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at its first surprise")]

use std::sync::Arc;

use camino::Utf8PathBuf;
use provision_core::change::Moved;
use provision_core::engine::{Changes, apply, observe, observe_destroy, observe_rollback};
use provision_core::event::ignore;
use provision_core::facts::Facts;
use provision_core::path::AbsPath;
use provision_core::plan::Plan;
use provision_core::plan::asset::Folder;
use provision_core::plan::input::{Inputs, Origin};
use provision_core::plan::problem::Source;
use provision_core::report::Outcome;
use provision_core::seal::Seal;
use provision_core::testing::{FakeHost, NOW};

/// Plans in a directory of their own, and a host.
struct Site {
    directory: tempfile::TempDir,
    host: FakeHost,
}

impl Site {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), host: FakeHost::new() }
    }

    fn with(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    fn plan(&self, text: &str, inputs: &[(&str, &str)]) -> Plan {
        let root = Utf8PathBuf::from_path_buf(self.directory.path().to_path_buf()).unwrap();
        let mut values = Inputs::new(root.clone());
        inputs.iter().for_each(|(name, value)| values.set(name, value, Origin::Argument));
        let source = Source { name: "plan.toml".to_owned(), text: format!("name = \"own\"\n{text}") };
        Plan::parse(source, Arc::new(Folder(root)), &values).unwrap_or_else(|error| panic!("{error}"))
    }

    async fn changes(&self, plan: &Plan) -> Changes {
        observe(plan, plan.hosts().first().unwrap(), &self.host).await.unwrap().diff(NOW)
    }

    /// What changes, `address action reason`; then it is done.
    async fn applied(&self, plan: &Plan) -> Vec<String> {
        let changes = self.changes(plan).await;
        let said = said(&changes);
        let report = apply(changes, &self.host, &ignore).await.unwrap();
        assert!(report.succeeded(), "{report:#?}");
        let left = self.changes(plan).await;
        assert!(left.is_empty(), "left after the apply: {:?}", self::said(&left));
        said
    }

    fn has(&self, path: &str) -> bool {
        let path: AbsPath = path.parse().unwrap();
        self.host.with(|state| state.entries.contains_key(&path))
    }
}

fn said(changes: &Changes) -> Vec<String> {
    let moved = |moved: Option<Moved>| moved.map_or("", Moved::word);
    let line = |(address, change): (&provision_core::address::Address, &provision_core::change::Change)| {
        format!("{address} {} {}", change.action.word(), moved(change.moved))
    };
    changes.changed().map(line).collect()
}

fn moves(changes: &Changes) -> Vec<String> {
    changes.moves().map(|(old, new)| format!("{old} {new}")).collect()
}

const SITES: &str = "[input.sites]\ntype = \"table\"\n\
    [block.site]\nfor_each = \"{{ input.sites }}\"\n\
    [block.site.directory.root]\npath = \"/srv/{{ each.key }}\"\n\
    [block.site.file.port]\npath = \"{{ directory.root.path }}/port\"\ncontent = \"{{ each.value.port }}\"\n\
    [file.all]\npath = \"/srv/all\"\ncontent = \"x\"\n";

#[tokio::test]
async fn an_element_that_leaves_takes_its_own_along_and_nothing_else() {
    let site = Site::new();
    site.applied(&site.plan(SITES, &[("sites", "{a = {port = 1}, b = {port = 2}, c = {port = 3}}")])).await;
    let fewer = site.plan(SITES, &[("sites", "{a = {port = 1}, c = {port = 4}}")]);
    assert_eq!(
        site.applied(&fewer).await,
        ["site[b]/file.port remove left", "site[b]/directory.root remove left", "site[c]/file.port update plan"]
    );
    assert_eq!((site.has("/srv/a/port"), site.has("/srv/b"), site.has("/srv/c/port")), (true, false, true));
    let other_order = site.plan(SITES, &[("sites", "{c = {port = 4}, a = {port = 1}}")]);
    assert_eq!(site.applied(&other_order).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_when_that_turns_false_prunes() {
    let site = Site::new();
    let text = "[input.on]\ndefault = true\n[file.a]\nwhen = \"input.on\"\npath = \"/srv/a\"\ncontent = \"a\"\n[file.b]\npath = \"/srv/b\"\ncontent = \"b\"\nafter = [\"file.a\"]\n";
    site.host.with(|state| state.put_file("/srv/a", b"theirs", "0644"));
    let adopted = text.replace("content = \"a\"\n", "content = \"a\"\nadopt = true\n");
    site.applied(&site.plan(&adopted, &[])).await;
    assert_eq!(site.applied(&site.plan(&adopted, &[("on", "false")])).await, ["file.a restore left"]);
    assert_eq!(site.applied(&site.plan(&adopted, &[("on", "true")])).await, ["file.a update foreign"]);
}

#[tokio::test]
async fn a_host_whose_facts_have_changed_has_other_resources() {
    let site = Site::new();
    let text = "[file.a]\nwhen = \"fact.os_version == '13'\"\npath = \"/srv/a\"\ncontent = \"a\"\n[file.b]\nwhen = \"fact.os_version != '13'\"\npath = \"/srv/b\"\ncontent = \"b\"\n";
    let plan = site.plan(text, &[]);
    assert_eq!(site.applied(&plan).await, ["file.a create new"]);
    site.host.with(|state| state.facts.insert("os_version".to_owned(), "14".to_owned()));
    assert_eq!(site.applied(&plan).await, ["file.a remove left", "file.b create new"]);
}

const MODULE: &str = "name = \"m\"\n[input.root]\n[input.word]\ndefault = \"x\"\n\
    [directory.root]\npath = \"{{ input.root }}\"\n\
    [file.word]\npath = \"{{ directory.root.path }}/word\"\ncontent = \"{{ input.word }}\"\n\
    [command.reload]\nrun = [\"reload\", \"{{ input.root }}\"]\nwhen_changed = [\"file.word\"]\n\
    [outputs]\nword = \"{{ file.word.path }}\"\n";

#[tokio::test]
async fn a_plan_that_is_used_twice_is_two() {
    let site = Site::new().with("m.toml", MODULE);
    let text = |one: &str, two: &str| {
        format!(
            "[use.one]\nplan = \"m.toml\"\ninputs = {{ root = \"/srv/one\", word = \"{one}\" }}\n{two}[link.l]\npath = \"/srv/l\"\ntarget = \"{{{{ use.one.word }}}}\"\n"
        )
    };
    let two = "[use.two]\nplan = \"m.toml\"\ninputs = { root = \"/srv/two\" }\n";
    let all = site.applied(&site.plan(&text("a", two), &[])).await;
    assert_eq!(
        all,
        [
            "one/directory.root create new",
            "one/file.word create new",
            "link.l create new",
            "one/command.reload run follows",
            "two/directory.root create new",
            "two/file.word create new",
            "two/command.reload run follows",
        ]
    );
    let again = site.applied(&site.plan(&text("b", two), &[])).await;
    assert_eq!(again, ["one/file.word update plan", "one/command.reload run follows"]);
    let gone = site.applied(&site.plan(&text("b", ""), &[])).await;
    assert_eq!(gone, ["two/file.word remove left", "two/directory.root remove left"]);
    assert_eq!((site.has("/srv/one/word"), site.has("/srv/two")), (true, false));
}

#[tokio::test]
async fn a_run_is_owed_under_an_address_of_its_own() {
    let site = Site::new().with("m.toml", MODULE);
    let plan = site.plan(
        "[use.m]\nfor_each = [\"a\", \"b\"]\nplan = \"m.toml\"\ninputs = { root = \"/srv/{{ each.key }}\" }\n",
        &[],
    );
    site.host.with(|state| state.statuses.insert(vec!["reload".to_owned(), "/srv/b".to_owned()], 1));
    let report = apply(site.changes(&plan).await, &site.host, &ignore).await.unwrap();
    let failed = report.resources.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed { .. }));
    assert_eq!(failed.map(|(address, _)| address.to_string()).collect::<Vec<_>>(), ["m[b]/command.reload"]);
    assert_eq!(site.host.with(|state| state.owed.iter().cloned().collect::<Vec<_>>()), ["command=m,b+reload"]);
    site.host.with(|state| state.statuses.clear());
    assert_eq!(site.applied(&plan).await, ["m[b]/command.reload run follows"]);
    assert_eq!(site.host.with(|state| state.owed.len()), 0);
}

#[tokio::test]
async fn what_moves_into_a_plan_or_becomes_one_of_several_keeps_what_is_known_of_it() {
    let site = Site::new().with("m.toml", MODULE);
    let plain =
        "[file.word]\npath = \"/srv/word\"\ncontent = \"x\"\n[file.other]\npath = \"/srv/other\"\ncontent = \"x\"\n";
    site.host.with(|state| state.put_file("/srv/word", b"theirs", "0644"));
    site.applied(&site.plan(&plain.replace("/srv/word\"\n", "/srv/word\"\nadopt = true\n"), &[])).await;
    let inside = site.plan(
        "[use.m]\nplan = \"m.toml\"\ninputs = { root = \"/srv\" }\n[file.other]\nfor_each = [\"one\"]\npath = \"/srv/other\"\ncontent = \"y\"\n[moved]\n\"file.word\" = \"m/file.word\"\n\"file.other\" = \"file.other[one]\"\n",
        &[],
    );
    let changes = site.changes(&inside).await;
    assert_eq!(moves(&changes), ["file.word m/file.word", "file.other file.other[one]"]);
    assert_eq!(said(&changes), ["file.other[one] update plan"]);
    apply(changes, &site.host, &ignore).await.unwrap();
    let after = site.changes(&inside).await;
    assert!(after.is_empty() && moves(&after).is_empty(), "{:?}", said(&after));
    // The memory of what was there before has come along.
    let observed = observe_destroy(&inside, inside.hosts().first().unwrap(), &site.host).await.unwrap();
    let report = apply(observed.diff(NOW), &site.host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    let word: AbsPath = "/srv/word".parse().unwrap();
    assert_eq!(site.host.with(|state| state.entries.get(&word).unwrap().1.clone()), b"theirs");
    assert!(!site.has("/srv/other"));
}

#[tokio::test]
async fn a_cut_apply_of_several_is_taken_back_whole() {
    let site = Site::new();
    let plan = site.plan(SITES, &[("sites", "{a = {port = 1}, b = {port = 2}}")]);
    site.host.with(|state| state.cut_at = Some(3));
    let _cut = apply(site.changes(&plan).await, &site.host, &ignore).await;
    site.host.reconnect();
    assert!(site.has("/srv/a"));
    let observed = observe_rollback(&plan, plan.hosts().first().unwrap(), &site.host).await.unwrap();
    let report = apply(observed.diff(NOW), &site.host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    assert_eq!((site.has("/srv/a"), site.has("/srv/b"), site.has("/srv/all")), (false, false, false));
}

#[tokio::test]
async fn a_sealed_plan_has_the_files_of_the_plans_that_it_uses() {
    let site = Site::new().with("m.toml", MODULE);
    let text = "[input.roots]\ntype = \"table\"\n[use.m]\nfor_each = \"{{ input.roots }}\"\nplan = \"m.toml\"\ninputs = { root = \"/srv/{{ each.value }}\" }\n";
    let plan = site.plan(text, &[("roots", "{ z = 'b', a = 'c' }")]);
    let seal = Seal::new("plan.toml", &plan, &[&site.changes(&plan).await]);
    let seal = Seal::read(seal.text().as_bytes()).unwrap();
    let root = Utf8PathBuf::from_path_buf(site.directory.path().to_path_buf()).unwrap();
    let again = |site: &Site| {
        let mut inputs = Inputs::new(root.clone());
        seal.inputs().for_each(|(name, value)| inputs.keep(name, value, "the sealed plan"));
        let source = Source { name: "plan.toml".to_owned(), text: format!("name = \"own\"\n{text}") };
        let plan = Plan::parse(source, Arc::new(Folder(root.clone())), &inputs).unwrap();
        assert!(seal.other_inputs(&plan).is_empty());
        seal.check_plan(&plan).map_err(|difference| difference.to_string()).map(|()| site.host.with(|_| plan))
    };
    let plan = again(&site).unwrap();
    assert_eq!(seal.check(&site.changes(&plan).await), Ok(()));
    let site = site.with("m.toml", &MODULE.replace("/word\"", "/words\""));
    let error = again(&site).unwrap_err();
    assert_eq!(error, "the plan plan.toml, or a file that it names, has changed since it was sealed");
}

/// A docker archive with one image and no layer.
fn archive(path: &std::path::Path, name: &str) {
    let config = "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
    let id = provision_core::blob::sha256_hex(config.as_bytes());
    let manifest = format!("[{{\"Config\":\"{id}.json\",\"RepoTags\":[\"{name}\"],\"Layers\":[]}}]");
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, content) in [(format!("{id}.json"), config), ("manifest.json".to_owned(), manifest.as_str())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap();
}

/// Its host, and the input that only that one uses, are of no use then.
#[tokio::test]
async fn a_playbook_is_a_building_block() {
    let site = Site::new();
    archive(&site.directory.path().join("registry.tar"), "localhost/registry:1");
    let playbook = concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks/registry");
    let text = format!(
        "[input.password]\nsecret = true\n[use.mirror]\nplan = \"{playbook}\"\n[use.mirror.inputs]\nhostname = \"registry.example.com\"\narchive = \"registry.tar\"\npassword = \"{{{{ input.password }}}}\"\n[outputs]\nlogin = \"{{{{ use.mirror.login }}}}\"\n"
    );
    let plan = site.plan(&text, &[("password", "hunter22")]);
    let graph = plan.resolve(plan.hosts().first().unwrap(), &Facts::default()).unwrap();
    let names: Vec<String> = graph.resources().map(|(address, _)| address.to_string()).collect();
    assert!(names.iter().all(|name| name.starts_with("mirror/")) && names.len() == 17, "{names:?}");
    let at = |name: &str| names.iter().position(|known| known == name).unwrap();
    let uses: Vec<usize> = graph.dependencies(at("mirror/service.registry")).map(|(to, _)| to).collect();
    assert!(uses.contains(&at("mirror/container.registry")), "{uses:?}");
    let outputs: Vec<&str> = graph.outputs().iter().map(|(_, text)| text.shown()).collect();
    assert_eq!(outputs, ["podman login -u init registry.example.com:8443"]);
}
