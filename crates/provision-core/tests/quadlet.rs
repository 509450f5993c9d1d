//! Quadlet, through the library's public face and on a made-up host: what its podman does not know, and what its own
//! generator would not make, is said before anything is touched.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at its first surprise")]

use provision_core::change::Shown;
use provision_core::engine::{Changes, EngineError, apply, observe};
use provision_core::event::ignore;
use provision_core::plan::Plan;
use provision_core::plan::asset::NoAssets;
use provision_core::plan::input::Inputs;
use provision_core::plan::problem::Source;
use provision_core::probe::PodmanState;
use provision_core::quadlet::PodmanVersion;
use provision_core::report::Outcome;
use provision_core::testing::{FakeHost, NOW};

const TWO: &str = "[volume.data]\n[container.app]\nimage = 'quay.io/a/b:1'\nvolumes = ['data.volume:/data']\n[service.app]\nunit = 'app'\n";

fn plan(text: &str) -> Plan {
    let source = Source { name: "plan.toml".to_owned(), text: format!("name = \"q\"\n{text}") };
    Plan::parse(source, std::sync::Arc::new(NoAssets), &Inputs::default()).unwrap_or_else(|error| panic!("{error}"))
}

async fn changes(text: &str, host: &FakeHost) -> Changes {
    let plan = plan(text);
    observe(&plan, plan.hosts().first().unwrap(), host).await.unwrap().diff(NOW)
}

fn undecided(changes: &Changes) -> Vec<String> {
    changes.undecided().map(|(address, reason)| format!("{address}: {reason}")).collect()
}

#[tokio::test]
async fn a_podman_that_is_too_old_is_an_error_before_anything_is_done() {
    let host = FakeHost::new();
    host.with(|state| state.podman = PodmanState::WithoutQuadlet(Some(PodmanVersion::new(4, 3, 1))));
    let found = changes(TWO, &host).await;
    assert_eq!(
        undecided(&found),
        [
            "volume.data: podman 4.3.1 on this host is from before Quadlet: a .volume needs podman 4.4",
            "container.app: podman 4.3.1 on this host is from before Quadlet: a .container needs podman 4.4",
        ]
    );
    assert!(matches!(apply(found, &host, &ignore).await, Err(EngineError::Undecided { count: 2, .. })));
    assert!(host.with(|state| state.log.is_empty() && state.plans.is_empty()));

    let host = FakeHost::new();
    host.with(|state| state.podman = PodmanState::Present(PodmanVersion::new(5, 4, 2)));
    let newer = TWO.replace("image =", "options = { Memory = '1g', HttpProxy = false }\nimage =");
    assert_eq!(
        undecided(&changes(&newer, &host).await),
        [
            "container.app: the key `Memory` of [Container] needs podman 5.5, the key `HttpProxy` of [Container] needs podman 5.7; the host has 5.4.2"
        ]
    );
}

#[tokio::test]
async fn what_podman_would_not_make_ends_the_apply_with_nothing_touched() {
    let host = FakeHost::new();
    let said = "converting \"app.container\": unsupported key 'X' in group 'Container' in /etc/containers/systemd/app.container";
    host.with(|state| state.unfit.insert("app.container".to_owned(), said.to_owned()));
    let error = apply(changes(TWO, &host).await, &host, &ignore).await.unwrap_err();
    let EngineError::Unfit { flaws, .. } = error else { panic!("{error}") };
    let flaws: Vec<String> = flaws
        .into_iter()
        .map(|(address, reason)| format!("{}: {reason}", address.map(|a| a.to_string()).unwrap_or_default()))
        .collect();
    assert_eq!(flaws, [format!("container.app: podman's own unit generator would not make app.service: {said}")]);
    assert!(host.with(|state| state.log.is_empty() && state.plans.is_empty()));
    // One exchange to observe, one that was refused.
    assert_eq!(host.with(|state| state.exchanges), 2);
}

#[tokio::test]
async fn what_a_command_may_bring_is_tried_in_its_turn() {
    let text = format!("[command.install]\nrun = ['install', 'podman']\ncreates = '/usr/bin/podman'\n{TWO}")
        .replace("[volume.data]\n", "[volume.data]\nafter = ['command.install']\n");
    let host = FakeHost::new();
    host.with(|state| {
        state.podman = PodmanState::Absent;
        state.put_directory("/usr", "0755");
        state.put_directory("/usr/bin", "0755");
        state.unfit.insert("app.container".to_owned(), "no".to_owned());
    });
    let found = changes(&text, &host).await;
    assert_eq!(undecided(&found), [""; 0]);
    let report = apply(found, &host, &ignore).await.unwrap();
    let failed: Vec<String> = report
        .resources
        .iter()
        .filter_map(|(address, outcome)| match outcome {
            Outcome::Failed { message } => Some(format!("{address}: {message}")),
            _ => None,
        })
        .collect();
    assert_eq!(failed, ["container.app: cannot try app.container with podman's unit generator: no"]);
    assert!(host.with(|state| state.log.contains(&"try data.volume with podman's unit generator".to_owned())));
    assert!(host.with(|state| !state.entries.keys().any(|path| path.name() == "app.container")));
}

#[tokio::test]
async fn what_a_package_brings_is_tried_in_its_turn() {
    let host = FakeHost::new();
    host.with(|state| state.podman = PodmanState::Absent);
    let found = changes(&format!("[package.podman]\n{TWO}"), &host).await;
    assert_eq!(undecided(&found), [""; 0]);
    let _report = apply(found, &host, &ignore).await.unwrap();
    assert!(host.with(|state| state.log.contains(&"try app.container with podman's unit generator".to_owned())));
}

#[tokio::test]
async fn what_podman_generates_is_part_of_the_changes_when_asked() {
    let host = FakeHost::new();
    apply(changes(TWO, &host).await, &host, &ignore).await.unwrap();
    let before = host.with(|state| (state.entries.clone(), state.log.len(), state.exchanges));
    let text = TWO.replace("b:1", "b:2");
    let found = changes(&text, &host).await.with_generated(&host).await.unwrap();
    let generated: Vec<(String, String)> = found
        .changed()
        .flat_map(|(address, change)| change.attributes.iter().map(move |attribute| (address, attribute)))
        .filter(|(_, attribute)| attribute.name.starts_with("generated"))
        .map(|(address, attribute)| {
            assert!(matches!((&attribute.before, &attribute.after), (Shown::Content(a), Shown::Content(b)) if a.contains("b:1") && b.contains("b:2")));
            (address.to_string(), attribute.name.to_string())
        })
        .collect();
    assert_eq!(generated, [("container.app".to_owned(), "generated app.service".to_owned())]);
    // Two questions, and nothing done.
    assert_eq!(
        host.with(|state| (state.entries.clone(), state.log.len(), state.exchanges)),
        (before.0, before.1, before.2 + 2)
    );
    // Where nothing changes nothing more is asked.
    changes(TWO, &host).await.with_generated(&host).await.unwrap();
    assert_eq!(host.with(|state| state.exchanges), before.2 + 3);
}

#[tokio::test]
async fn an_image_that_a_unit_builds_is_data_of_the_plan() {
    let host = FakeHost::new();
    let text = "[build.app]\ntags = ['localhost/app:1']\ncontext = '/srv'\n[container.app]\nimage = 'app.build'\n[service.build]\nunit = 'app-build.service'\nenabled = false\n";
    apply(changes(text, &host).await, &host, &ignore).await.unwrap();
    let has =
        || host.with(|state| state.images.iter().any(|image| image.names.iter().any(|name| name == "localhost/app:1")));
    assert!(has());
    for (data, left) in [(provision_core::step::Data::Keep, true), (provision_core::step::Data::Delete, false)] {
        let plan = plan("");
        let observed =
            provision_core::engine::observe_destroy(&plan, plan.hosts().first().unwrap(), &host).await.unwrap();
        let report = apply(observed.with_data(data).diff(NOW), &host, &ignore).await.unwrap();
        assert!(report.succeeded(), "{report:#?}");
        assert_eq!(has(), left);
    }
}

#[tokio::test]
async fn an_instance_of_a_template_starts_and_leaves_by_itself() {
    let host = FakeHost::new();
    let text = |instances: &str| {
        format!(
            "[container.w]\nimage = 'quay.io/a/b:1'\nfile_name = 'w@'\ninstances = [{instances}]\n[service.a]\nunit = 'w@a.service'\n"
        )
    };
    let report = apply(changes(&text("'a'"), &host).await, &host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    let links = || {
        host.with(|state| {
            let names = state.entries.keys().map(|path| path.name().to_owned());
            names.filter(|name| name.starts_with("w@")).collect::<Vec<_>>()
        })
    };
    assert_eq!(links(), ["w@.container", "w@a.container"]);
    // Another one restarts none.
    let found = changes(&text("'a', 'b'"), &host).await;
    let said: Vec<String> =
        found.changed().map(|(address, change)| format!("{address} {}", change.action.word())).collect();
    assert_eq!(said, ["container.w update"]);
    apply(found, &host, &ignore).await.unwrap();
    assert_eq!(links(), ["w@.container", "w@a.container", "w@b.container"]);
    let report = apply(changes(&text("'b'"), &host).await, &host, &ignore).await.unwrap();
    assert!(report.succeeded(), "{report:#?}");
    assert_eq!(links(), ["w@.container", "w@b.container"]);
}
