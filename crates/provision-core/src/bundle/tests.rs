use std::fs;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use super::*;
use crate::blob::sha256_hex;
use crate::fetch::Download;
use crate::plan::Plan;
use crate::plan::input::{Inputs, Origin};
use crate::plan::problem::Source;

/// A directory with a plan that uses another one beside it, a template, a file, and one by an absolute path.
struct Site {
    directory: tempfile::TempDir,
}

const PLAN: &str = r#"
name = "site"
[input.motd]
type = "path"
[input.extra]
[input.password]
secret = true
[directory.root]
path = "/srv/site"
[file.page]
path = "/srv/site/page"
source = "files/page"
[file.motd]
path = "/srv/site/motd"
source = "{{ input.motd }}"
[file.extra]
path = "/srv/site/extra"
source = "{{ input.extra }}"
[file.config]
path = "/srv/site/config"
template = "config.j2"
mode = "0600"
[use.other]
plan = "../other"
inputs = { file = "files/given" }
[download.tool]
url = "https://example.com/tool"
path = "/srv/site/tool"
sha256 = "DIGEST"
via = "here"
"#;

const OTHER: &str = r#"
name = "other"
[input.file]
type = "path"
[file.given]
path = "/srv/given"
source = "{{ input.file }}"
[file.own]
path = "/srv/own"
source = "own"
"#;

impl Site {
    fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        site.write("tree/site/plan.toml", &PLAN.replace("DIGEST", &sha256_hex(b"tool")));
        site.write("tree/site/files/page", "page");
        site.write("tree/site/files/given", "given");
        site.write("tree/site/config.j2", "{{ input.password }}\n");
        site.write("tree/other/plan.toml", OTHER);
        site.write("tree/other/own", "own");
        site.write("motd", "motd");
        site.write("extra", "extra");
        site.write("command", "#!/bin/sh\n");
        site
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.directory.path()).unwrap().canonicalize_utf8().unwrap().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn inputs(&self, working_directory: &str) -> Inputs {
        let mut inputs = Inputs::new(self.path(working_directory));
        inputs.set("password", "hunter2", Origin::Argument);
        inputs
    }

    /// Packs it as somebody in its root does.
    fn pack(&self) -> (Plan, Vec<u8>) {
        let path = Utf8Path::new("tree/site/plan.toml");
        let mut inputs = self.inputs("");
        inputs.set("motd", "motd", Origin::Argument);
        inputs.set("extra", self.path("extra").as_str(), Origin::Argument);
        let root = self.path("");
        let mut gathering = Gathering::new(&root.join(path), &root);
        let source = Source { name: path.to_string(), text: fs::read_to_string(root.join(path)).unwrap() };
        let plan = Plan::parse(source, gathering.assets(), &inputs).unwrap();
        let tool = Download { url: String::new(), sha256: sha256_hex(b"tool") };
        gathering.download(&tool, crate::blob::Blob::from_bytes(b"tool".to_vec()));
        let mut bytes = Vec::new();
        gathering.pack(&plan, &self.path("command"), Some("x86_64-linux"), &mut bytes).unwrap();
        (plan, bytes)
    }

    fn open(&self, bytes: &[u8]) -> Result<Bundle, BundleError> {
        let directory = self.path("away");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("site.bundle"), bytes).unwrap();
        Bundle::open(Utf8Path::new("site.bundle"), &directory)
    }

    fn refusal(&self, bytes: &[u8]) -> String {
        match self.open(bytes) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// The same with the sources gone.
    fn parse(&self, bundle: &Bundle) -> Result<Plan, crate::plan::problem::PlanError> {
        let mut inputs = self.inputs("away");
        for (name, value) in bundle.values() {
            inputs.keep(name, value, "the bundle");
        }
        Plan::parse(bundle.plan().unwrap(), bundle.assets(), &inputs)
    }
}

type Members = Vec<(String, Vec<u8>)>;

/// The members with their contents, and all of it anew.
fn members(bytes: &[u8]) -> Members {
    let mut archive = tar::Archive::new(bytes);
    let entry = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    };
    archive.entries().unwrap().map(entry).collect()
}

fn packed(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        let bytes = &mut header.as_gnu_mut().unwrap().name;
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn what_was_packed_is_the_same_plan_elsewhere_with_nothing_else_there() {
    let site = Site::new();
    let (plan, bytes) = site.pack();
    assert!(is_meant(&bytes));
    let bundle = site.open(&bytes).unwrap();
    for gone in ["tree", "motd", "extra", "command"] {
        let path = site.path(gone);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    let same = site.parse(&bundle).unwrap();
    bundle.rehearse(&plan, &site.inputs("away")).unwrap();
    assert_eq!(same.addresses(), plan.addresses());
    let contents = |plan: &Plan| {
        let graph = plan.resolve(&plan.hosts()[0], &crate::facts::Facts::example()).unwrap();
        graph.resources().map(|(address, resource)| format!("{address} {:?}", resource.wanted())).collect::<Vec<_>>()
    };
    let read = contents(&same);
    for (file, content) in [("file.page", "page"), ("file.motd", "motd"), ("file.extra", "extra")] {
        let line = read.iter().find(|line| line.starts_with(file)).unwrap();
        assert!(line.contains(&format!("Content({content:?})")), "{line}");
    }
    let given = read.iter().find(|line| line.starts_with("other/file.given")).unwrap();
    assert!(given.contains("Content(\"given\")"), "{given}");
    let download = Download { url: "https://example.com/tool".to_owned(), sha256: sha256_hex(b"tool") };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(bundle.fetch().fetch(&download)).unwrap().read().unwrap(), b"tool");
    let other = Download { sha256: sha256_hex(b"other"), ..download };
    let refused = runtime.block_on(bundle.fetch().fetch(&other)).unwrap_err();
    assert_eq!(refused, "it is not in the bundle site.bundle: pack it with the same inputs");
}

#[test]
fn an_image_within_a_tar_of_archives_is_read_where_it_is_in_the_bundle() {
    let site = Site::new();
    let config = br#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    let name = format!("{}.json", sha256_hex(&config));
    let manifest = format!(r#"[{{"Config":"{name}","RepoTags":["a:1"],"Layers":[]}}]"#).into_bytes();
    let image = packed(&[(name, config), ("manifest.json".to_owned(), manifest)]);
    let images = packed(&[("b.tar".to_owned(), vec![7; 3_000]), ("a.tar".to_owned(), image.clone())]);
    fs::write(site.path("tree/site/files/images.tar"), images).unwrap();
    let plan = PLAN.replace("DIGEST", &sha256_hex(b"tool"));
    let fields = "name = \"a:1\"\narchive = \"files/images.tar\"\nmember = \"a.tar\"\n";
    site.write("tree/site/plan.toml", &format!("{plan}[image.a]\n{fields}"));
    let (_, bytes) = site.pack();
    let bundle = site.open(&bytes).unwrap();
    fs::remove_dir_all(site.path("tree")).unwrap();
    site.parse(&bundle).unwrap();
    let (_, blob) = bundle.assets().image_archive("files/images.tar", Some("a.tar")).unwrap();
    assert_eq!(blob.read().unwrap(), image);
    let missing = bundle.assets().image_archive("files/images.tar", Some("c.tar")).unwrap_err();
    assert!(missing.contains("it has no file c.tar that could be read where it is; it has a.tar, b.tar"), "{missing}");
}

#[test]
fn a_bundle_has_no_secret_and_is_the_same_twice() {
    let site = Site::new();
    let (_, bytes) = site.pack();
    assert_eq!(bytes, site.pack().1);
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    let members = members(&bytes);
    let root = site.path("");
    let elsewhere = format!("elsewhere{root}");
    let names: Vec<String> =
        members.iter().map(|(name, _)| name.replace(elsewhere.trim_end_matches('/'), "elsewhere")).collect();
    let download = format!("downloads/{}", sha256_hex(b"tool"));
    assert_eq!(
        names,
        [
            MANIFEST,
            COMMAND,
            &download,
            "elsewhere/extra",
            "elsewhere/motd",
            "plan/other/own",
            "plan/other/plan.toml",
            "plan/site/config.j2",
            "plan/site/files/given",
            "plan/site/files/page",
            "plan/site/plan.toml",
        ]
    );
}

#[test]
fn a_finding_names_the_bundle_and_the_member() {
    let site = Site::new();
    let (_, bytes) = site.pack();
    let bundle = site.open(&bytes).unwrap();
    let mut inputs = site.inputs("away");
    inputs.set("extra", "files/none", Origin::Argument);
    for (name, value) in bundle.values() {
        inputs.keep(name, value, "the bundle");
    }
    let error = Plan::parse(bundle.plan().unwrap(), bundle.assets(), &inputs).unwrap_err().to_string();
    assert_eq!(
        error,
        "site.bundle/plan/site/plan.toml:18:10: cannot read site.bundle/plan/site/files/none: it is not in the bundle \
         (a relative path starts at the plan's directory)"
    );
    let away = bundle.assets().read("../../../x").unwrap_err();
    assert_eq!(away, "cannot read x: it leads out of the bundle site.bundle");
    // What is named in full and was not packed is a file of this side.
    let path = site.path("away/site.pem");
    fs::write(&path, "own").unwrap();
    assert_eq!(bundle.assets().read(path.as_str()).unwrap(), b"own");
}

#[test]
fn whatever_is_not_as_it_was_packed_is_refused_by_name() {
    let site = Site::new();
    let (_, bytes) = site.pack();
    let whole = members(&bytes);
    assert_eq!(site.refusal(&packed(&whole)), "nothing");
    let changed = |change: &dyn Fn(&mut Members)| {
        let mut members = whole.clone();
        change(&mut members);
        site.refusal(&packed(&members))
    };
    let last = "plan/site/plan.toml";
    let altered = "provision in the bundle is not what was packed: it was altered or damaged";
    assert_eq!(changed(&|members| members[1].1[0] = b'x'), altered);
    assert_eq!(changed(&|members| members[1].1.push(b'x')), altered);
    assert_eq!(changed(&|members| _ = members.pop()), format!("{last} is missing in the bundle"));
    assert_eq!(changed(&|members| _ = members.remove(1)), "provision is missing in the bundle");
    assert_eq!(changed(&|members| _ = members.remove(0)), "provision-bundle.json is missing in the bundle");
    let more = |name: &str| changed(&|members| members.push((name.to_owned(), b"x".to_vec())));
    assert_eq!(more("plan/more"), "plan/more in the bundle is not in its manifest");
    assert_eq!(more("../../etc/passwd"), "\"../../etc/passwd\" in the bundle is no name for a member");
    let manifest = |from: &str, to: &str| {
        changed(&|members| {
            let text = String::from_utf8(members[0].1.clone()).unwrap();
            assert!(text.contains(from));
            members[0].1 = text.replace(from, to).into_bytes();
        })
    };
    assert_eq!(
        manifest("plan/other/own", "plan/../../own"),
        "\"plan/../../own\" in the bundle is no name for a member"
    );
    assert_eq!(manifest("plan/other/own", "/etc/own"), "\"/etc/own\" in the bundle is no name for a member");
    assert_eq!(
        manifest("\"version\": 1", "\"version\": 2, \"colour\": \"red\""),
        "the bundle has format 2, and this version of provision reads format 1"
    );
    let unknown = manifest("\"system\"", "\"colour\": \"red\", \"system\"");
    assert!(unknown.starts_with("the manifest of the bundle cannot be read: unknown field `colour`"), "{unknown}");
    assert_eq!(
        manifest("\"plan\": \"plan/site/plan.toml\"", "\"plan\": \"plan/x\""),
        "plan/x is missing in the bundle"
    );
}

#[test]
fn wherever_a_bundle_is_cut_off_it_is_refused() {
    let site = Site::new();
    let (_, bytes) = site.pack();
    for length in (0..bytes.len()).step_by(97).chain([bytes.len() - 1, bytes.len() - 512, bytes.len() - 1024]) {
        let refusal = site.refusal(&bytes[..length]);
        assert!(refusal.contains("is cut off in") || length == 0, "{length}: {refusal}");
        assert_ne!(refusal, "nothing", "{length}");
    }
    let mut more = bytes.clone();
    more.extend([0; 512]);
    assert_eq!(site.refusal(&more), "what follows the end in the bundle is not in its manifest");
    let mut flipped = 0;
    for at in (0..bytes.len()).step_by(61) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x20;
        // What a header says of owners and times is nobody's.
        flipped += usize::from(site.refusal(&bytes) != "nothing");
    }
    assert!(flipped > bytes.len() / 61 / 3, "{flipped}");
}

#[test]
fn what_would_be_missing_elsewhere_is_found_when_it_is_packed() {
    let site = Site::new();
    let text = OTHER.replace("type = \"path\"", "type = \"path\"\n[input.more]\ntype = \"path\"\ndefault = \"motd\"");
    site.write("tree/other/plan.toml", &(text + "[file.more]\npath = \"/srv/more\"\nsource = \"{{ input.more }}\"\n"));
    // A default of a plan that is used starts at the directory where the command runs, which is another there.
    let (plan, bytes) = site.pack();
    let error = site.open(&bytes).unwrap().rehearse(&plan, &site.inputs("")).unwrap_err().to_string();
    assert!(error.contains("/motd: it is not in the bundle"), "{error}");
}

#[cfg(unix)]
#[test]
fn two_files_that_would_be_one_are_refused() {
    let site = Site::new();
    fs::create_dir_all(site.path("far/deep")).unwrap();
    site.write("far/page", "another");
    std::os::unix::fs::symlink(site.path("far/deep"), site.path("tree/site/link")).unwrap();
    let text = PLAN.replace("source = \"files/page\"", "source = \"link/../page\"");
    site.write("tree/site/page", "page");
    let more = "\n[file.two]\npath = '/srv/two'\nsource = 'page'\n";
    site.write("tree/site/plan.toml", &(text.replace("DIGEST", &sha256_hex(b"tool")) + more));
    let path = site.path("tree/site/plan.toml");
    let gathering = Gathering::new(&path, &site.path(""));
    let mut inputs = site.inputs("");
    inputs.set("motd", "motd", Origin::Argument);
    inputs.set("extra", site.path("extra").as_str(), Origin::Argument);
    let source = Source { name: "plan.toml".to_owned(), text: fs::read_to_string(&path).unwrap() };
    let plan = Plan::parse(source, gathering.assets(), &inputs).unwrap();
    let refused = gathering.pack(&plan, &site.path("command"), None, std::io::sink()).unwrap_err();
    assert!(matches!(refused, PackError::Ambiguous { .. }), "{refused}");
}

#[test]
fn private_keys_are_told() {
    let site = Site::new();
    site.write("tree/site/files/page", "-----BEGIN PRIVATE KEY-----\n");
    let path = site.path("tree/site/plan.toml");
    let root = site.path("");
    let gathering = Gathering::new(&path, &root);
    let mut inputs = site.inputs("");
    inputs.set("motd", "motd", Origin::Argument);
    inputs.set("extra", "files/given", Origin::Argument);
    let source = Source { name: "plan.toml".to_owned(), text: fs::read_to_string(&path).unwrap() };
    let plan = Plan::parse(source, Arc::clone(&gathering.assets()), &inputs).unwrap();
    let packed = gathering.pack(&plan, &site.path("command"), None, std::io::sink()).unwrap();
    assert_eq!(packed.private_keys, ["tree/site/files/page"]);
}
