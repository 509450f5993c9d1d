//! Hosts that take values of others, through the library's public face and on made-up hosts: each after those, with what is
//! really there.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at its first surprise")]

use provision_core::engine::{Changes, EngineError, Lent, apply, observe, observe_with, status};
use provision_core::event::ignore;
use provision_core::plan::Plan;
use provision_core::plan::asset::NoAssets;
use provision_core::plan::input::Inputs;
use provision_core::plan::problem::Source;
use provision_core::testing::{FakeHost, NOW};

const TEXT: &str = r#"
name = "lend"
[host.main]
address = "local"
[host.client]
address = "local"
named_only = true
[random.password]
path = "/srv/password"
[trust_anchor.site]
from = "/srv/ca.crt"
[file.login]
hosts = ["client"]
path = "/srv/login"
content = "{{ on.main.random.password.value }}"
[trust_anchor.main]
hosts = ["client"]
content = "{{ on.main.trust_anchor.site.content }}"
"#;

const ANCHOR: &str = include_str!("../src/x509/example.pem");

fn plan(text: &str) -> Plan {
    let source = Source { name: "plan.toml".to_owned(), text: text.to_owned() };
    Plan::parse(source, std::sync::Arc::new(NoAssets), &Inputs::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn content(host: &FakeHost, path: &str) -> Vec<u8> {
    host.with(|state| state.entries.get(&path.parse().unwrap()).unwrap().1.clone())
}

async fn main_of(plan: &Plan, host: &FakeHost) -> Changes {
    observe(plan, &plan.hosts()[0], host).await.unwrap().diff(NOW)
}

#[tokio::test]
async fn a_host_waits_for_what_it_takes_and_gets_what_is_there() {
    let plan = plan(TEXT);
    let (main, client) = (FakeHost::new(), FakeHost::new());
    main.with(|state| state.put_file("/srv/ca.crt", ANCHOR.as_bytes(), "0644"));
    let of_client = &plan.hosts()[1];

    // Nobody was asked; then the lender is not as wanted yet. The client is not asked either way.
    let waits = |error: EngineError| match error {
        EngineError::Waits { .. } => error.to_string(),
        other => panic!("{other}"),
    };
    let all = "host client takes what is not known yet from host main (random.password, trust_anchor.site)";
    assert_eq!(waits(observe(&plan, of_client, &client).await.unwrap_err()), all);
    let changes = main_of(&plan, &main).await;
    let mut lent = Lent::default();
    lent.add(&changes);
    assert_eq!(waits(observe_with(&plan, of_client, &lent, &client).await.unwrap_err()), all);
    assert_eq!(client.with(|state| state.exchanges), 0);

    assert!(apply(changes, &main, &ignore).await.unwrap().succeeded());
    let changes = main_of(&plan, &main).await;
    assert!(changes.is_empty());
    lent.add(&changes);
    let changes = observe_with(&plan, of_client, &lent, &client).await.unwrap().diff(NOW);
    let password = String::from_utf8(content(&main, "/srv/password")).unwrap();
    assert!(!format!("{changes:?}").contains(&password), "the password is shown");
    assert!(apply(changes, &client, &ignore).await.unwrap().succeeded());
    assert_eq!(content(&client, "/srv/login"), password.as_bytes());
    assert!(observe_with(&plan, of_client, &lent, &client).await.unwrap().diff(NOW).is_empty());
    assert!(status(&plan, of_client, &lent, &client, NOW).await.unwrap().changes.is_empty());
}
