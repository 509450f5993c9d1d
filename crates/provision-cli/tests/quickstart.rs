//! What the README shows: its first command, as a person runs it in a fresh directory, and again; and its plan.

#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

use std::path::Path;
use std::process::Command;

fn provision(directory: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let plan = root.join("examples/quickstart/plan.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_provision"))
        .args(arguments)
        .arg(plan)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

#[test]
fn quickstart_does_its_job_and_the_second_time_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (said, code) = provision(folder.path(), &["apply", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\napplied: 10 created\n"), "{said}");
    let made = folder.path().join("provision-quickstart");
    for file in [
        "authority/site.crt",
        "authority/site.key",
        "certificates/server.crt",
        "certificates/server.key",
        "config/registry.yml",
        "config/haproxy.cfg",
        "units/registry.container",
    ] {
        assert!(made.join(file).is_file(), "{file} is missing");
    }
    let (said, code) = provision(folder.path(), &["apply", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("nothing to change: 10 resources are as the plan wants them\n"), "{said}");
    let (_, code) = provision(folder.path(), &["diff", "--exit-code"]);
    assert_eq!(code, Some(0));
    let (said, code) = provision(folder.path(), &["destroy", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("\ndestroyed: 10 removed\n"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
}

/// The steps that the comment of `examples/ownership` tells of, one after the other.
#[test]
fn the_ownership_example_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/ownership/plan.toml");
    let text = std::fs::read_to_string(root).unwrap();
    let file = folder.path().join("plan.toml");
    let theirs = folder.path().join("theirs.conf");
    std::fs::write(&theirs, "theirs\n").unwrap();
    let run = |text: &str, arguments: &[&str]| -> String {
        std::fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_provision"))
            .args(arguments)
            .arg(&file)
            .arg("--var")
            .arg(format!("folder={}", folder.path().display()))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    assert!(run(&text, &["apply", "--yes"]).ends_with("applied: 2 created, 1 updated\n"));
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "ours\n");

    // A resource leaves the plan, another gets a new name.
    let (start, rest) = text.split_once("\n[file.leaves]").unwrap();
    let rest = rest.split_once("\n[").unwrap().1.replace("file.theirs]", "file.taken]");
    let shorter = format!("{start}\n[{rest}");
    let said = run(&shorter, &["apply", "--yes"]);
    assert!(said.contains("moved file.theirs -> file.taken"), "{said}");
    assert!(said.ends_with("applied: 1 removed; 2 unchanged\n"), "{said}");
    assert!(!folder.path().join("made/leaves").exists());

    run(&shorter, &["rollback", "--yes"]);
    assert!(folder.path().join("made/leaves").exists());
    run(&text, &["destroy", "--yes"]);
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "theirs\n");
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["plan.toml", "theirs.conf"]);
}

/// The two commands in the comment of `examples/certificates`, and what is there then.
#[test]
fn the_certificates_example_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/certificates/plan.toml");
    let text = std::fs::read_to_string(root).unwrap();
    std::fs::write(folder.path().join("plan.toml"), &text).unwrap();
    let commands = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let commands: Vec<String> = commands
        .map(|line| line.replace("provision apply", &format!("{} apply --yes", env!("CARGO_BIN_EXE_provision"))))
        .collect();
    assert_eq!(commands.len(), 2);
    let run = |command: &str| {
        let output = Command::new("sh").args(["-c", command]).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    run(&commands[0]);
    let said = run(&commands[1]);
    assert!(said.ends_with("applied: 7 created\n"), "{said}");
    let said = run(&commands[1]);
    assert!(said.starts_with("nothing to change: 7 resources are as the plan wants them\n"), "{said}");
    // What haproxy gets is a chain, and what clients get verifies it.
    let made =
        "cd provision-certificates && openssl verify -CAfile registry-root.crt -untrusted registry.pem registry.pem";
    assert_eq!(run(made), "registry.pem: OK\n");
    assert_eq!(
        run("grep -c BEGIN provision-certificates/registry.pem provision-certificates/www.pem"),
        "provision-certificates/registry.pem:3\nprovision-certificates/www.pem:2\n"
    );
    assert_eq!(run("stat -c %a provision-certificates/*.pem provision-certificates/*.key"), "600\n600\n600\n600\n");
    run(&commands[1].replace("apply", "destroy"));
    let left = run("ls -A");
    assert_eq!(left, "own.crt\nown.key\nplan.toml\n");
}

#[test]
fn the_plan_of_the_readme_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let plan = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.toml");
    std::fs::write(&file, plan).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_provision"))
        .args(["validate", "--var", "hostname=registry.example.com"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("is valid: 5 resources on 1 host\n"), "{said}");
}

/// An example that happens in one folder.
fn in_folder(example: &str, folder: &Path, arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example);
    let output = Command::new(env!("CARGO_BIN_EXE_provision"))
        .args(arguments)
        .arg(&root)
        .args(["--var", &format!("folder={}", folder.to_str().unwrap())])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    assert_eq!((String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()), ("", Some(0)));
    String::from_utf8(output.stdout).unwrap()
}

/// The same for `examples/modules`.
#[test]
fn the_modules_example_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let provision = |arguments: &[&str]| in_folder("modules", folder.path(), arguments);
    provision(&["apply", "--yes"]);
    let pages = ["public/home.html", "red/plans.html", "blue/index.html"];
    assert!(pages.iter().all(|page| folder.path().join("sites").join(page).is_file()));
    let said = provision(&["apply", "--yes"]);
    assert!(said.starts_with("nothing to change: "), "{said}");
    let said = provision(&["apply", "--yes", "--var", "tenants={\"ann\": {\"quota\": 5}}"]);
    assert!(said.contains("\napplied: 2 removed; "), "{said}");
    let said = provision(&["apply", "--yes", "--var", "draft=true"]);
    assert!(said.contains("+ created public/file.draft\n"), "{said}");
    provision(&["destroy", "--yes"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
}

/// The same for `examples/hosts`.
#[test]
fn the_hosts_example_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let provision = |arguments: &[&str]| in_folder("hosts", folder.path(), arguments);
    let said = provision(&["diff"]);
    assert_eq!(
        said.matches(" waits: it takes certificate_authority.site, random.password from host registry").count(),
        2,
        "{said}"
    );
    provision(&["apply", "--yes"]);
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    let login = format!("init:{}\n", read("registry/password"));
    assert_eq!([read("clients[ann]/login"), read("clients[bob]/login")], [login.clone(), login]);
    let said = provision(&["apply", "--yes", "--var", "clients={\"ann\": \"local\"}", "--host", "clients"]);
    assert!(said.starts_with("nothing to change: 3 resources"), "{said}");
    provision(&["destroy", "--yes", "--delete-data"]);
    assert!(!folder.path().join("registry").exists() && !folder.path().join("clients[bob]").exists());
}

#[test]
fn a_secret_that_was_made_up_is_shown_once() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, arguments: &[&str]| {
        let file = folder.path().join(format!("{name}.toml"));
        let secret = folder.path().join(format!("{name}.secret"));
        let [path, state] = [secret.clone(), folder.path().join("state")].map(|path| path.to_str().unwrap().to_owned());
        let text = format!(
            "name = \"{name}\"\n[host.here]\naddress = \"local\"\nstate = \"{state}\"\n[random.password]\npath = \"{path}\"\n\
             show = true\n[outputs]\nlogin = \"{{{{ random.password.value }}}}\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_provision")).args(arguments).arg(&file).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        (said, std::fs::read_to_string(secret).unwrap_or_else(|_| "none yet".to_owned()), path)
    };
    let (said, ..) = run("human", &["diff"]);
    assert!(said.contains("(secret)") && !said.contains("shown"), "{said}");
    let (said, secret, path) = run("human", &["apply", "--yes", "--verbose"]);
    let line = format!("random.password: made up, and kept on the host in {path}; shown this once: {secret}\n");
    assert!(said.contains(&line), "{said}");
    assert_eq!(said.matches(&secret).count(), 1, "{said}");
    let (said, secret, _) = run("human", &["apply", "--yes"]);
    assert!(!said.contains(&secret) && !said.contains("shown"), "{said}");

    let (said, secret, path) = run("json", &["apply", "--yes", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    let result = &told["hosts"][0]["results"][0];
    assert_eq!(result["shown_once"], serde_json::json!({ "value": secret, "kept": path }), "{said}");
    assert_eq!(said.matches(&secret).count(), 1, "{said}");
    let (said, secret, _) = run("json", &["apply", "--yes", "--json"]);
    assert!(!said.contains(&secret) && !said.contains("shown_once"), "{said}");
}
