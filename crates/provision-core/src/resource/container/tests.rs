use crate::change::{Action, Shown};
use crate::testing::{Case, case};

const IMAGE: &str = "image = 'quay.io/a/b:1'";

fn container(fields: &str) -> Case {
    case("container", &format!("{IMAGE}\n{fields}"))
}

/// The file that would be written.
fn rendered(case: &Case) -> String {
    match case.change().attributes.into_iter().find(|attribute| attribute.name == "content") {
        Some(attribute) => match attribute.after {
            Shown::Content(text) => text,
            other => panic!("{other:?}"),
        },
        None => panic!("no content changes"),
    }
}

fn order(case: &Case) -> Vec<String> {
    case.changes().iter().map(|(address, _)| address.to_string()).collect()
}

#[test]
fn a_container_has_what_it_needs_to_come_back_after_a_boot() {
    let expected = "\
[Unit]
Wants=network-online.target
After=network-online.target

[Container]
Image=quay.io/a/b:1

[Service]
Restart=always
RestartSec=5

[Install]
WantedBy=default.target
";
    assert_eq!(rendered(&container("")), expected);
    container("")
        .creates("content: (absent) -> (13 lines), mode: (absent) -> 0644")
        .steps("put the file /etc/containers/systemd/x.container in place; let systemd read its units")
        .in_sync();
}

#[test]
fn every_default_can_be_turned_off() {
    let case = container("quadlet.DefaultDependencies = false\nservice.Restart = 'no'\ninstall.WantedBy = []");
    let expected = "\
[Container]
Image=quay.io/a/b:1

[Quadlet]
DefaultDependencies=false

[Service]
Restart=no
";
    assert_eq!(rendered(&case), expected);
    // systemd refuses to restart such a one for ever.
    assert!(!rendered(&container("service.Type = 'oneshot'")).contains("Restart"));
}

#[test]
fn fields_become_keys() {
    let case = container(
        "description = '100% mine'
podman_name = 'app'
publish = ['0.0.0.0:8443:8443', '[::]:53:53/udp', '*:443:8443']
volumes = ['data:/data:Z', '/srv/certs:/certs:ro']
networks = ['host']
environment = { WORKERS = 2, GREETING = 'say \"hi\" for 5$', EMPTY = '' }
exec = ['serve', '--name', 'a b', '$HOME', '50%']
user = '1001:0'
options = { HealthCmd = '/bin/ok', ReadOnly = true, Label = ['a=1', 'b=2'] }
unit = { After = ['a.service', 'b.service'] }
service = { TimeoutStartSec = 900 }",
    );
    let expected = r#"[Unit]
Description=100%% mine
Wants=network-online.target
After=network-online.target
After=a.service
After=b.service

[Container]
ContainerName=app
Image=quay.io/a/b:1
PublishPort=0.0.0.0:8443:8443
PublishPort=[::]:53:53/udp
PublishPort=443:8443
Volume=data:/data:Z
Volume=/srv/certs:/certs:ro
Network=host
Environment=WORKERS=2
Environment="GREETING=say \"hi\" for 5$$"
Environment=EMPTY=
Exec=serve --name "a b" $$HOME 50%%
User=1001:0
HealthCmd=/bin/ok
ReadOnly=true
Label=a=1
Label=b=2

[Service]
Restart=always
RestartSec=5
TimeoutStartSec=900

[Install]
WantedBy=default.target
"#;
    assert_eq!(rendered(&case), expected);
}

#[test]
fn a_command_line_is_taken_as_it_is() {
    assert!(
        rendered(&container(r#"exec = '/bin/sh -c "echo %i $HOME"'"#))
            .contains("\nExec=/bin/sh -c \"echo %i $HOME\"\n")
    );
    container(r#"exec = '/bin/sh -c "echo'"#)
        .refused(r#"4:8: unbalanced " in "/bin/sh -c \"echo" (write it as a list, of which nothing needs quotes)"#);
}

#[test]
fn drift_is_put_back() {
    container("")
        .applied()
        .given_file("/etc/containers/systemd/x.container", "[Container]\nImage=other\n", "0644")
        .updates("content: (2 lines) -> (13 lines)")
        .mended();
}

#[test]
fn podmans_directory_is_made_where_podman_did_not() {
    container("")
        .given(|state| state.entries.retain(|path, _| path.as_str() != "/etc/containers/systemd"))
        .plan("[volume.data]\n")
        .mended();
    container("")
        .given(|state| state.entries.retain(|path, _| !path.as_str().starts_with("/etc/containers")))
        .undecided("the directory /etc/containers does not exist on the host, and the plan does not make it");
}

#[test]
fn a_service_starts_what_podman_makes_of_it_and_enables_nothing() {
    container("")
        .plan("[service.x]\nunit = '{{ container.x.unit_name }}'\n")
        .steps("put the file /etc/containers/systemd/x.container in place; let systemd read its units; start x.service")
        .in_sync()
        .steps("");
}

#[test]
fn a_name_of_its_own_is_followed() {
    case("service", "unit = 'front'")
        .plan(&format!("[container.web]\n{IMAGE}\nfile_name = 'web-front'\noptions = {{ ServiceName = 'front' }}\n"))
        .expects(Action::Start, "state: inactive -> running")
        .steps("put the file /etc/containers/systemd/web-front.container in place; let systemd read its units; start front.service")
        .in_sync();
}

#[test]
fn everything_comes_in_the_order_in_which_it_is_used() {
    let case = case("service", "unit = 'app'").plan(&format!(
        "[container.app]\n{IMAGE}\nvolumes = ['data.volume:/data', '/srv/certs:/certs:ro']\nnetworks = ['front.network:alias=a']\noptions = {{ EnvironmentFile = '/srv/env' }}\n\
         [file.cert]\npath = '/srv/certs/tls.crt'\ncontent = 'new'\n\
         [file.env]\npath = '/srv/env'\ncontent = ''\n\
         [volume.data]\n[network.front]\n[directory.certs]\npath = '/srv/certs'\n"
    ));
    let expected =
        ["file.env", "volume.data", "network.front", "directory.certs", "file.cert", "container.app", "service.x"];
    assert_eq!(order(&case), expected);
}

#[test]
fn a_changed_file_below_a_mounted_path_restarts_the_service_once() {
    let plan = |content: &str| {
        case("service", "unit = 'app'").plan(&format!(
            "[container.app]\n{IMAGE}\nvolumes = ['/srv/certs:/certs:ro']\n\
             [directory.certs]\npath = '/srv/certs'\n\
             [file.crt]\npath = '/srv/certs/tls.crt'\ncontent = '{content}'\n\
             [file.key]\npath = '/srv/certs/tls.key'\ncontent = '{content}'\nmode = '0600'\n\
             [file.other]\npath = '/srv/other'\ncontent = '{content}'\n"
        ))
    };
    plan("new")
        .applied()
        .given_file("/srv/certs/tls.crt", "old", "0644")
        .given_file("/srv/certs/tls.key", "old", "0600")
        .given_file("/srv/other", "old", "0644")
        .expects(Action::Restart, "")
        .because("because file.crt changes; because file.key changes")
        .steps("put the file /srv/certs/tls.crt in place; put the file /srv/certs/tls.key in place; put the file /srv/other in place; restart app.service")
        .in_sync();
}

#[test]
fn a_changed_container_restarts_its_service_once() {
    case("service", "unit = 'app'\non_change = 'reload'")
        .plan(&format!("[container.app]\n{IMAGE}\nvolumes = ['data.volume:/data']\n[volume.data]\n"))
        .applied()
        .given_file("/etc/containers/systemd/app.container", "[Container]\nImage=other\n", "0644")
        .given_file("/etc/containers/systemd/data.volume", "[Volume]\nCopy=false\n", "0644")
        .expects(Action::Restart, "")
        .because("because container.app changes; because volume.data changes")
        .steps("claim volume systemd-data data-volume.service; put the file /etc/containers/systemd/data.volume in place; let systemd read its units; put the file /etc/containers/systemd/app.container in place; let systemd read its units; restart app.service")
        .in_sync();
}

#[test]
fn a_volume_that_is_there_is_not_changed_and_the_plan_says_so() {
    case("volume", "options.Label = 'a=1'")
        .given_file("/etc/containers/systemd/x.volume", "[Volume]\n", "0644")
        .updates("content: (1 lines) -> (2 lines)")
        .because("podman makes what is missing and leaves what is there as it is")
        .mended();
}

/// A pod with two containers that know each other, and its service.
const POD: &str = "
[pod.quay]
publish = ['0.0.0.0:8443:8443']
[container.redis]
image = 'quay.io/redis:1'
pod = 'quay.pod'
unit = { Before = 'x.service' }
[service.quay]
unit = '{{ pod.quay.unit_name }}'
";

#[test]
fn a_pod_starts_and_restarts_with_its_containers() {
    let pod = || container("pod = 'quay.pod'\nunit.Requires = 'redis.service'").plan(POD);
    assert_eq!(order(&pod()), ["pod.quay", "container.x", "container.redis", "service.quay"]);
    assert!(!rendered(&pod()).contains("[Install]"));
    let changed =
        pod().applied().given_file("/etc/containers/systemd/x.container", "[Container]\nImage=other\n", "0644");
    let restarts: Vec<String> = changed
        .changes()
        .changed()
        .filter(|(_, change)| change.action == Action::Restart)
        .map(|(address, change)| format!("{address} {}", change.reasons.join("; ")))
        .collect();
    assert_eq!(restarts, ["service.quay because container.x changes"]);
    changed
        .steps("put the file /etc/containers/systemd/x.container in place; let systemd read its units; restart quay-pod.service")
        .in_sync();
}

#[test]
fn a_container_in_a_pod_has_no_service_of_its_own() {
    container("pod = 'quay.pod'")
        .plan(&format!("{POD}[service.x]\nunit = 'x'\n"))
        .refused("14:10: container.x and service.x both manage the running unit x.service (leave it to one of them)");
    container("pod = 'quay.pod'\noptions.StartWithPod = false")
        .plan(&format!("{POD}[service.x]\nunit = 'x'\n"))
        .mended();
}

#[test]
fn containers_that_look_at_all_of_etc_do_not_wait_for_each_other() {
    let case = container("volumes = ['/etc:/host/etc:ro', '/:/host:ro']").plan(&format!(
        "[container.y]\n{IMAGE}\nvolumes = ['/etc:/host/etc:ro']\n[file.hosts]\npath = '/etc/hosts'\ncontent = ''\n"
    ));
    assert_eq!(order(&case), ["file.hosts", "container.x", "container.y"]);
}

#[test]
fn a_mount_of_a_tree_waits_for_what_the_plan_puts_there() {
    let case = container("options.Mount = 'type=bind,source=./conf,target=/conf'").plan(
        "[directory.conf]\npath = '/etc/containers/systemd/conf'\n[file.conf]\npath = '/etc/containers/systemd/conf/a'\ncontent = ''\n",
    );
    assert_eq!(order(&case), ["directory.conf", "file.conf", "container.x"]);
}

#[test]
fn elsewhere_nothing_is_told_to_systemd() {
    container("directory = '/srv'").steps("put the file /srv/x.container in place").in_sync();
    // For the managers of users, not for the system's.
    container("directory = '/etc/containers/systemd/users'")
        .given_directory("/etc/containers/systemd/users", "0755")
        .steps("put the file /etc/containers/systemd/users/x.container in place");
    case("service", "unit = 'x'")
        .plan(&format!("[container.x]\n{IMAGE}\ndirectory = '/srv'\n"))
        .undecided("there is no unit x.service on the host");
}

#[test]
fn ports_of_one_address_are_bound_once() {
    container("publish = ['0.0.0.0:80-81:80-81', '[::]:80:80']")
        .plan(&format!("[container.y]\n{IMAGE}\npublish = ['0.0.0.0:81:8080']\n"))
        .refused("5:12: container.x and container.y both manage port 81/tcp on 0.0.0.0 (leave it to one of them)");
}

#[test]
fn what_the_plan_does_not_have_is_missed() {
    for (fields, finding) in [
        (
            "volumes = ['data.volume:/data']",
            "the Quadlet unit data.volume, which the plan does not have (add [volume.data])",
        ),
        (
            "volumes = ['my-data.volume:/data']",
            "the Quadlet unit my-data.volume, which the plan does not have (add a resource [volume.NAME] with file_name = \"my-data\")",
        ),
        (
            "networks = ['front.network']",
            "the Quadlet unit front.network, which the plan does not have (add [network.front])",
        ),
        ("pod = 'quay.pod'", "the Quadlet unit quay.pod, which the plan does not have (add [pod.quay])"),
    ] {
        container(fields).refused(&format!("2:12: container.x wants {finding}"));
    }
}

#[test]
fn wrong_fields_are_found() {
    for (fields, finding) in [
        (
            "publish = ['8443:8443']",
            "4:11: 8443:8443 does not say which address it is published on (write \"0.0.0.0:8443:8443\" for IPv4, \"[::]:8443:8443\" for IPv6; `publish = [\"*:8443:8443\"]` is for both)",
        ),
        (
            "publish = ['*:53']",
            "4:12: \"*:53\" does not fit `publish` of container.x (\"*\" in \"*:53\" is no port from 1 to 65535, nor a rising range such as 8080-8089)",
        ),
        (
            "options.PublishPort = '80'",
            "4:9: 80 does not say which address it is published on (write \"0.0.0.0::80\" for IPv4, \"[::]::80\" for IPv6)",
        ),
        ("options.Volumes = '/a:/b'", "4:9: [Container] has no key `Volumes` (did you mean `Volume`?)"),
        (
            "options.Zzzzzzzz = '/a:/b'",
            "4:9: [Container] has no key `Zzzzzzzz` (`provision kinds container --keys` lists those that podman has)",
        ),
        (
            "options.Image = 'quay.io/a/c:1'",
            "4:9: `Image` is given twice: by `image` and in `options` (leave it to one of them)",
        ),
        (
            "options.HostName = ['a', 'b']",
            "4:9: `HostName` takes one value: podman would pass over all but the last (write it without a list)",
        ),
        (
            "options.Exec = \"a\\nb\"",
            "4:9: value of Exec contains '\\n'; a setting is one line, and an argument in it is quoted (see systemd.syntax(7))",
        ),
        (
            "service.User = 'app'",
            "4:9: `User` of [Service] is podman's, not the container's (use `user`, or the keys User, Group and UserNS in `options`)",
        ),
        (
            "quadlet.DefaultDependency = false",
            "4:9: [Quadlet] has no key `DefaultDependency` (did you mean `DefaultDependencies`?)",
        ),
        (
            "pod = 'quay'",
            "4:7: \"quay\" does not fit `pod` of container.x (a pod is named by its file, such as \"registry.pod\")",
        ),
        (
            "pod = 'quay.pod'\npublish = ['0.0.0.0:80:80']",
            "5:11: a container in a pod has no network of its own (give the pod `publish`)",
        ),
        (
            "file_name = 'a b'",
            "4:13: unit name \"a b.service\" contains ' '; only letters, digits and @ : - _ . \\ are allowed, and `systemd-escape` escapes the rest (a file's name is the name of its unit)",
        ),
        ("environment.A = ['b', 'c']", "4:13: A is a list (a variable has one value)"),
        (
            "description = 'a'\nunit.Description = 'b'",
            "5:6: `Description` is given twice: by `description` and in `unit` (leave it to one of them)",
        ),
    ] {
        container(fields).refused(finding);
    }
    case("container", "").refused("2:12: container.x lacks `image` (add `image = \"REGISTRY/NAME:TAG\"`)");
    case("container", "image = 'nginx'").refused("3:9: \"nginx\" does not fit `image` of container.x (which registry that means is up to the host: write it, such as quay.io/nginx; what was loaded or built on the host is localhost/nginx)");
    case("pod", "options.ServiceName = 'a'")
        .refused("3:9: the containers of a pod know its unit by its file's name (use `file_name` instead)");
    case("network", "subnets = ['10.0.0.0/33']").refused("3:12: \"10.0.0.0/33\" does not fit `subnets` of network.x (a subnet is an address and the length of its prefix, such as \"10.89.7.0/24\")");
}

#[test]
fn a_secret_has_no_place_in_a_container() {
    container("environment.PASSWORD = '{{ input.password }}'")
        .secret_input("password", "hunter22")
        .refused("4:24: a secret cannot go into `environment` of container.x: others could read it there (secrets may stand in the content of a file and in the standard input of a command)");
}
