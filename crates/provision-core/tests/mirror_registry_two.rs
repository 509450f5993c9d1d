//! `playbooks/mirror-registry/two` on a made-up host: what Quay 2.x is told, field by field, and what is refused before a
//! host is asked. Whether Quay takes it is seen on real hosts.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at its first surprise")]

use std::sync::Arc;

use camino::Utf8PathBuf;
use provision_core::engine::{apply, observe};
use provision_core::event::ignore;
use provision_core::path::AbsPath;
use provision_core::plan::Plan;
use provision_core::plan::asset::Folder;
use provision_core::plan::input::{Inputs, Origin};
use provision_core::plan::problem::{PlanError, Source};
use provision_core::testing::{FakeHost, NOW};
use serde_json::{Map, Value, json};

/// What the plan around it gives, as far as it has to.
const AROUND: &str = r#"
name = "around"

[input.hostname]
default = "registry.example.com"

[input.password]
secret = true
default = "correct-horse"

[input.user]
default = "init"

[input.publish]
type = "list"
default = ["0.0.0.0:8443:8443"]

[input.listen]
default = "IPv4"

[input.superusers]
type = "list"
default = []

[input.settings]
type = "table"
default = {}

[directory.config]
path = "/srv/quay-config"

[directory.secrets]
path = "/srv/secrets"

[file.certificate]
path = "/srv/quay-config/ssl.cert"
content = "certificate"

[file.key]
path = "/srv/quay-config/ssl.key"
content = "key"

[use.two]
plan = "two"

[use.two.inputs]
certificate = "{{ file.certificate.path }}"
key = "{{ file.key.path }}"
authority = "{{ file.certificate.path }}"
secrets = "{{ directory.secrets.path }}"
hostname = "{{ input.hostname }}"
user = "{{ input.user }}"
password = "{{ input.password }}"
publish = "{{ input.publish }}"
listen = "{{ input.listen }}"
superusers = "{{ input.superusers }}"
settings = "{{ input.settings }}"
url = "https://registry.example.com:8443"
connect = "127.0.0.1:8443"
"#;

const CONFIG: &str = "/srv/quay-config/config.yaml";

fn plan(inputs: &[(&str, &str)]) -> Result<Plan, PlanError> {
    let root = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks/mirror-registry"));
    let mut values = Inputs::new(root.clone());
    inputs.iter().for_each(|(name, value)| values.set(name, value, Origin::Argument));
    let source = Source { name: "plan.toml".to_owned(), text: AROUND.to_owned() };
    Plan::parse(source, Arc::new(Folder(root)), &values)
}

fn content(host: &FakeHost, path: &str) -> String {
    host.with(|state| String::from_utf8(state.entries[&path.parse::<AbsPath>().unwrap()].1.clone()).unwrap())
}

/// Applied as far as a host goes that has no Quay, and what config.yaml says then.
async fn config(host: &FakeHost, inputs: &[(&str, &str)]) -> Map<String, Value> {
    let plan = plan(inputs).unwrap_or_else(|error| panic!("{error}"));
    let changes = observe(&plan, plan.hosts().first().unwrap(), host).await.unwrap().diff(NOW);
    apply(changes, host, &ignore).await.unwrap();
    let mode = host.with(|state| state.entries[&CONFIG.parse::<AbsPath>().unwrap()].0.mode.to_string());
    assert_eq!(mode, "0640");
    // Each line is a key and JSON.
    let text = content(host, CONFIG);
    let line = |line: &str| {
        let (key, value) = match line.strip_prefix('"').and_then(|rest| rest.split_once("\": ")) {
            Some((key, value)) => (serde_json::from_str(&format!("\"{key}\"")).unwrap(), value),
            None => line.split_once(": ").map(|(key, value)| (key.to_owned(), value)).unwrap(),
        };
        (key, serde_json::from_str(value).unwrap_or_else(|error| panic!("{line}: {error}")))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

#[tokio::test]
async fn config_has_every_field_of_the_list() {
    let host = FakeHost::new();
    let found = config(&host, &[]).await;
    let secret = |name: &str| content(&host, &format!("/srv/secrets/{name}"));
    let redis = json!({ "host": "localhost", "port": 6379, "password": secret("redis_password") });
    let expected = json!({
        "AUTHENTICATION_TYPE": "Database",
        "BUILDLOGS_REDIS": redis,
        "CREATE_NAMESPACE_ON_PUSH": true,
        "DATABASE_SECRET_KEY": secret("database_secret_key"),
        "DB_URI": "sqlite:////sqlite/quay_sqlite.db",
        "DISTRIBUTED_STORAGE_CONFIG": { "default": ["LocalStorage", { "storage_path": "/datastorage" }] },
        "DISTRIBUTED_STORAGE_PREFERENCE": ["default"],
        "FEATURE_LISTEN_IP_VERSION": "IPv4",
        "FEATURE_USER_INITIALIZE": true,
        "PREFERRED_URL_SCHEME": "https",
        "SECRET_KEY": secret("secret_key"),
        "SERVER_HOSTNAME": "registry.example.com:8443",
        "SETUP_COMPLETE": true,
        "SUPER_USERS": ["init"],
        "USER_EVENTS_REDIS": redis,
    });
    assert_eq!(Value::Object(found), expected);
    assert_eq!([48, 48, 32], ["secret_key", "database_secret_key", "redis_password"].map(|name| secret(name).len()));
}

#[tokio::test]
async fn secrets_are_made_up_once_and_the_pod_has_them_too() {
    let host = FakeHost::new();
    let first = config(&host, &[]).await;
    assert_eq!(config(&host, &[("hostname", "other.example.com")]).await["SECRET_KEY"], first["SECRET_KEY"]);
    let second = config(&host, &[("hostname", "registry.example.com")]).await;
    assert_eq!(second, first);
    let container = content(&host, "/etc/containers/systemd/quay-redis.container");
    assert!(container.contains("\nSecret=redis_pass,type=env,target=REDIS_PASSWORD\n"), "{container}");
    assert!(!container.contains(&content(&host, "/srv/secrets/redis_password")), "{container}");
}

#[tokio::test]
async fn settings_win_and_are_written_safely() {
    let hostile = "it's \"$(a)` \\ {{ x }} # : - \u{85}\u{2028}\u{2029}\u{7f} <&> \n\u{1f600}";
    let settings = json!({
        "FEATURE_USER_INITIALIZE": false,
        "DISTRIBUTED_STORAGE_CONFIG": { "default": ["S3Storage", { "host": hostile }] },
        "a: b #": [1, true, hostile],
    });
    let inputs = [("settings", settings.to_string()), ("listen", "dual-stack".to_owned())];
    let inputs = inputs.each_ref().map(|(name, value)| (*name, value.as_str()));
    let host = FakeHost::new();
    let found = config(&host, &inputs).await;
    for (key, value) in settings.as_object().unwrap() {
        assert_eq!(&found[key], value);
    }
    assert_eq!(found["FEATURE_LISTEN_IP_VERSION"], "dual-stack");
    assert_eq!(found["AUTHENTICATION_TYPE"], "Database");
    let text = content(&host, CONFIG);
    assert!(!text.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{7f}']), "YAML ends a line there: {text:?}");
    let once = |key: &str| assert_eq!(text.matches(key).count(), 1, "{text}");
    ["FEATURE_USER_INITIALIZE", "DISTRIBUTED_STORAGE_CONFIG"].into_iter().for_each(once);
}

#[tokio::test]
async fn a_numeric_address_and_more_superusers() {
    let host = FakeHost::new();
    let found = config(&host, &[("hostname", "2001:db8::1"), ("superusers", "ann,init")]).await;
    assert_eq!(found["SERVER_HOSTNAME"], "[2001:db8::1]:8443");
    assert_eq!(found["SUPER_USERS"], json!(["init", "ann"]));
}

#[test]
fn what_quay_would_refuse_is_refused_when_the_plan_is_read() {
    let password = "Quay 2.x takes at least 8 characters, none of them a blank";
    let user = "Quay takes 2 to 255 of a-z and 0-9, with single `.`, `_` or `-` between";
    for (name, value, expected) in [
        ("password", "1234567", password),
        ("password", "with a blank", password),
        ("user", "Init", user),
        ("user", "a", user),
        ("user", "a..b", user),
        ("settings", r#"{"SECRET_KEY": "x", "A": 1, "DB_URI": "y"}"#, "it must not have SECRET_KEY, DB_URI: the plan"),
    ] {
        let error = plan(&[(name, value)]).expect_err(value).to_string();
        let what = format!("the value for input.{name} from use.two does not fit ({expected}");
        assert!(error.contains(&what), "{value}: {error}");
        assert!(name != "password" || !error.contains(value), "the password is shown: {error}");
    }
}
