//! What `playbooks/oc-mirror` renders: the image set, read as YAML by a parser of its own, and the command line.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at its first surprise")]

use std::sync::Arc;

use camino::Utf8PathBuf;
use provision_core::change::Shown;
use provision_core::engine::observe;
use provision_core::plan::Plan;
use provision_core::plan::asset::Folder;
use provision_core::plan::input::{Inputs, Origin};
use provision_core::plan::problem::Source;
use provision_core::testing::{FakeHost, NOW};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[path = "../../../tests/quay/src/yaml.rs"]
mod yaml;

fn playbook() -> Utf8PathBuf {
    Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks/oc-mirror"))
}

/// What a file is to contain, by the name of its resource; or what is wrong with the plan.
async fn rendered(file: &str, example: &str, more: &[(&str, &str)]) -> Result<String, String> {
    let mut inputs = Inputs::new(playbook());
    if !example.is_empty() {
        inputs.set_file(example, &std::fs::read_to_string(playbook().join(example)).unwrap()).unwrap();
    }
    for (name, value) in [("address", "local"), ("registry", "mirror.example.com:8443")].iter().chain(more) {
        inputs.set(name, value, Origin::Argument);
    }
    let text = std::fs::read_to_string(playbook().join("plan.toml")).unwrap();
    let source = Source { name: "plan.toml".to_owned(), text };
    let plan = Plan::parse(source, Arc::new(Folder(playbook())), &inputs).map_err(|error| error.to_string())?;
    let observed =
        observe(&plan, plan.hosts().first().unwrap(), &FakeHost::new()).await.map_err(|error| error.to_string())?;
    let changes = observed.diff(NOW);
    let (_, change) = changes.changed().find(|(address, _)| address.to_string() == file).unwrap();
    let content = change.attributes.iter().find(|attribute| attribute.name == "content").unwrap();
    match &content.after {
        Shown::Content(text) | Shown::Text(text) => Ok(text.clone()),
        other => panic!("{other:?}"),
    }
}

async fn image_set(example: &str, more: &[(&str, &str)]) -> Value {
    yaml::parse(&rendered("file.config", example, more).await.unwrap()).unwrap()
}

/// The last line but one of the script, which calls oc-mirror.
async fn call(example: &str, more: &[(&str, &str)]) -> String {
    let script = rendered("file.run", example, more).await.unwrap();
    script.lines().find_map(|line| line.strip_prefix("\"$command\" ")?.strip_suffix(" || exit")).unwrap().to_owned()
}

#[tokio::test]
async fn the_image_set_of_the_guide_is_rendered_whole_in_both_formats() {
    let mut expected = json!({
        "kind": "ImageSetConfiguration",
        "apiVersion": "mirror.openshift.io/v1alpha2",
        "storageConfig": {"registry": {"imageURL": "mirror.example.com:8443/oc-mirror-metadata", "skipTLS": false}},
        "mirror": {
            "platform": {
                "channels": [{"name": "stable-4.17", "type": "ocp", "minVersion": "4.17.3", "maxVersion": "4.17.9"}],
                "graph": true
            },
            "operators": [{
                "catalog": "registry.redhat.io/redhat/redhat-operator-index:v4.17",
                "packages": [
                    {"name": "local-storage-operator", "channels": [{"name": "stable"}]},
                    {"name": "odf-operator", "minVersion": "4.17.0"}
                ]
            }],
            "additionalImages": [{"name": "registry.redhat.io/ubi9/ubi:latest"}]
        }
    });
    assert_eq!(image_set("v1alpha2.toml", &[]).await, expected);
    // What the example says of itself is the same.
    let text = std::fs::read_to_string(playbook().join("v1alpha2.toml")).unwrap();
    let said: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    assert_eq!(yaml::parse(&said.join("\n")).unwrap(), expected);

    let of = expected.as_object_mut().unwrap();
    of.remove("storageConfig");
    of.insert("apiVersion".to_owned(), json!("mirror.openshift.io/v2alpha1"));
    assert_eq!(image_set("v2alpha1.toml", &[]).await, expected);
}

#[tokio::test]
async fn every_field_of_an_image_set_has_its_place() {
    let more = [
        ("archive_size", "4"),
        ("architectures", "amd64,arm64"),
        (
            "channels",
            r#"{"it's: \"odd\" <&> #{{x}}": {"full": true}, "b": {"type": "okd", "shortestPath": true, "minVersion": "4"}}"#,
        ),
        (
            "operators",
            r#"{"oci:///srv/index": {"full": true, "targetCatalog": "a/b", "targetTag": "v1", "packages":
            {"p": {"maxVersion": "2", "defaultChannel": "c", "channels": {"c": {"minVersion": "1", "maxVersion": "2"}}}}}}"#,
        ),
        ("blocked", "alpine,redis"),
        (
            "helm",
            r#"{"repositories": {"podinfo": {"url": "https://charts.example.com", "charts": {"podinfo": "5.0.0"}}},
            "local": {"own": "/srv/own.tgz"}}"#,
        ),
    ];
    let helm = |repositories: &str| {
        let charts = json!([{"name": "podinfo", "url": "https://charts.example.com", "charts": [{"name": "podinfo", "version": "5.0.0"}]}]);
        let mut helm = json!({"local": [{"name": "own", "path": "/srv/own.tgz"}]});
        helm.as_object_mut().unwrap().insert(repositories.to_owned(), charts);
        helm
    };
    let expected = json!({
        "kind": "ImageSetConfiguration",
        "apiVersion": "mirror.openshift.io/v2alpha1",
        "archiveSize": 4,
        "mirror": {
            "platform": {
                "graph": false,
                "architectures": ["amd64", "arm64"],
                "channels": [
                    {"name": "b", "type": "okd", "shortestPath": true, "minVersion": "4"},
                    {"name": "it's: \"odd\" <&> #{{x}}", "type": "ocp", "full": true}
                ]
            },
            "operators": [{
                "catalog": "oci:///srv/index", "full": true, "targetCatalog": "a/b", "targetTag": "v1",
                "packages": [{"name": "p", "maxVersion": "2", "defaultChannel": "c",
                    "channels": [{"name": "c", "minVersion": "1", "maxVersion": "2"}]}]
            }],
            "blockedImages": [{"name": "alpine"}, {"name": "redis"}],
            "helm": helm("repositories")
        }
    });
    assert_eq!(image_set("", &more).await, expected);
    let older = image_set("", &[&more[..], &[("api", "v1alpha2"), ("storage", "/srv/memory")]].concat()).await;
    assert_eq!(older["storageConfig"], json!({"local": {"path": "/srv/memory"}}));
    assert_eq!(older["mirror"]["helm"], helm("repos"));
}

#[tokio::test]
async fn oc_mirror_is_called_as_its_version_and_the_way_want_it() {
    let v2 = "--v2 --cache-dir '/var/lib/oc-mirror/cache' --config \"$1\"";
    let older = ("api", "v1alpha2");
    let cases: [(&[(&str, &str)], String); 7] = [
        (&[], format!("{v2} '--workspace' 'file:///var/lib/oc-mirror/workspace' 'docker://mirror.example.com:8443'")),
        (
            &[("storage", "/srv/w"), ("prefix", "ocp4/a"), ("options", "--dry-run,it's")],
            format!(
                "{v2} '--dry-run' 'it'\\''s' '--workspace' 'file:///srv/w' 'docker://mirror.example.com:8443/ocp4/a'"
            ),
        ),
        (&[("mode", "mirrorToDisk")], format!("{v2} 'file:///var/lib/oc-mirror/archives'")),
        (
            &[("mode", "diskToMirror"), ("archives", "/mnt/usb")],
            format!("{v2} '--from' 'file:///mnt/usb' 'docker://mirror.example.com:8443'"),
        ),
        (&[older], "--config \"$1\" 'docker://mirror.example.com:8443'".to_owned()),
        (&[older, ("mode", "mirrorToDisk")], "--config \"$1\" 'file:///var/lib/oc-mirror/archives'".to_owned()),
        (
            &[older, ("mode", "diskToMirror"), ("archives", "/mnt/usb/mirror_seq1_000000.tar")],
            "--config \"$1\" '--from' '/mnt/usb/mirror_seq1_000000.tar' 'docker://mirror.example.com:8443'".to_owned(),
        ),
    ];
    for (inputs, expected) in cases {
        assert_eq!(call("", inputs).await, expected, "{inputs:?}");
    }
}

#[tokio::test]
async fn what_does_not_go_together_is_a_finding() {
    for more in [
        &[("mode", "sideways")][..],
        &[("api", "v3")],
        // A place in a registry is of the older format alone.
        &[("storage", "mirror.example.com:8443/metadata")],
    ] {
        assert!(rendered("file.run", "", more).await.is_err(), "{more:?}");
    }
}

/// `check-login` of the client's plan, with a curl that gives prepared answers.
#[cfg(unix)]
mod check_login {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::Command;

    const LOGINS: &str = "{\"auths\": {\n  \"mirrorxexample.com:8443\": {\"auth\": \"d3Jvbmc=\"},\n  \
        \"mirror.example.com:8443\": {\n    \"email\": \"a@example.com\",\n    \"auth\": \"bG9naW4=\"\n  },\n  \"[2001:db8::1]:8443\": {\"auth\": \"c2l4\"}}}\n";

    fn shells() -> Vec<&'static [&'static str]> {
        let mut shells: Vec<&[&str]> = vec![&["dash"], &["bash", "--posix"], &["busybox", "ash"]];
        #[expect(clippy::disallowed_methods, reason = "how tests/run says what it left out")]
        if std::env::var_os("PROVISION_WITHOUT_BUSYBOX").is_some() {
            shells.pop();
        }
        shells
    }

    /// The exit status, what was said, and what curl was told: its arguments, and what it read.
    fn check(shell: &[&str], registry: &str, answers: [&str; 2]) -> (Option<i32>, String, String, String) {
        let home = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
        for (name, answer) in ["first", "second"].iter().zip(answers) {
            file(name, answer);
        }
        file("auth.json", LOGINS);
        file(
            "curl",
            "#!/bin/sh\nd=${0%/*}\nprintf '%s\\n' \"$@\" >>\"$d/arguments\"; cat >>\"$d/input\"\n\
             case $* in *'/v2/') f=first ;; *) f=second ;; esac\ncat \"$d/$f\"; [ -s \"$d/$f\" ] || { echo 'curl: (7) no way' >&2; exit 7; }\n",
        );
        fs::set_permissions(home.path().join("curl"), fs::Permissions::from_mode(0o755)).unwrap();
        let script =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks/mirror-registry/client/templates/check-login");
        let ran = Command::new(shell[0])
            .args(&shell[1..])
            .args([script, registry])
            .arg(home.path().join("auth.json"))
            .env("PATH", format!("{}:/usr/bin:/bin", home.path().display()))
            .output()
            .unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let said = String::from_utf8(ran.stderr).unwrap().replace(home.path().to_str().unwrap(), "");
        (ran.status.code(), said, read(&home.path().join("arguments")), read(&home.path().join("input")))
    }

    fn refused(challenge: &str) -> String {
        format!("HTTP/1.1 401 Unauthorized\r\nX: y\r\nWww-Authenticate: {challenge}\r\n\r\n\nstatus 401")
    }

    #[test]
    fn a_registry_is_asked_as_it_wants_to_be_asked() {
        const OURS: &str = "mirror.example.com:8443";
        const GOOD: &str = "HTTP/1.1 200 OK\r\n\r\n\nstatus 200";
        let token =
            refused("Bearer realm=\"https://mirror.example.com:8443/v2/auth\",service=\"mirror.example.com:8443\"");
        let cleartext = refused("Bearer realm=\"http://evil.example.com/\",service=\"x\"");
        let basic = refused("Basic realm=\"x\"");
        let cases: [(&str, [&str; 2], &str); 8] = [
            (OURS, [GOOD, ""], ""),
            ("[2001:db8::1]:8443", [GOOD, ""], ""),
            (OURS, [&token, GOOD], ""),
            (OURS, [&basic, ""], "mirror.example.com:8443: it does not take the login\n"),
            (
                OURS,
                [&token, &basic],
                "mirror.example.com:8443: it does not take the login (status 401 of https://mirror.example.com:8443/v2/auth)\n",
            ),
            (
                OURS,
                [&cleartext, GOOD],
                "mirror.example.com:8443: it wants the login to be shown to 'http://evil.example.com/', which is not https\n",
            ),
            (OURS, ["", ""], "mirror.example.com:8443: it cannot be asked: curl: (7) no way\n"),
            ("mirror.example.com", [GOOD, ""], "mirror.example.com: /auth.json has no login for it\n"),
        ];
        for shell in shells() {
            for (registry, answers, expected) in &cases {
                let (code, said, arguments, input) = check(shell, registry, *answers);
                assert_eq!((code, said.as_str()), (Some(i32::from(!expected.is_empty())), *expected), "{shell:?}");
                // The login is in no list of processes, and it is the one of this registry.
                assert!(!arguments.contains("bG9naW4") && !input.contains("d3Jvbmc"), "{arguments}{input}");
                if *registry == OURS {
                    assert!(input.starts_with("header = \"Authorization: Basic bG9naW4=\"\n"), "{input}");
                }
            }
            let (_, _, arguments, _) = check(shell, OURS, [&token, GOOD]);
            assert!(arguments.ends_with(
                "--get\n--data-urlencode\nservice=mirror.example.com:8443\nhttps://mirror.example.com:8443/v2/auth\n"
            ));
        }
    }
}
