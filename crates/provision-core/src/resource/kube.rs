//! `kube`: pods described in Kubernetes YAML, by a Quadlet file `.kube`. A service of its unit starts, stops and restarts
//! them; podman removes the pods when it stops, and leaves the volumes.

use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::quadlet::QuadletType;
use crate::resource::quadlet::{
    Brings, DESCRIPTION, DIRECTORY, Draft, FILE_NAME, INSTALL, INSTANCES, NETWORKS, OPTIONS, PUBLISH, PodmanName,
    QUADLET, SERVICE, UNIT,
};
use crate::resource::scope::SCOPE;
use crate::resource::{Field, Kind, Resource, Setup};
use crate::systemd::{literal, quote_word};

/// The kind.
pub static KIND: Kind = Kind {
    name: "kube",
    summary: "Pods described in Kubernetes YAML that run as a service, by a Quadlet file.",
    fields: &[
        Field {
            name: "yaml",
            takes: "list of paths",
            required: true,
            doc: "The YAML on the host, such as [\"{{ file.app.path }}\"]; several since podman 5.7. It restarts when the plan changes one.",
        },
        Field {
            name: "config_maps",
            takes: "list of paths",
            required: false,
            doc: "YAML on the host with ConfigMaps that the pods read.",
        },
        Field {
            name: "claims",
            takes: "list of text",
            required: false,
            doc: "Volumes that the YAML claims (`claimName`): podman makes them, and they are data of this plan, which `destroy --delete-data` removes. Of one that is not named here the plan knows nothing.",
        },
        PUBLISH,
        NETWORKS,
        DESCRIPTION,
        FILE_NAME,
        INSTANCES,
        DIRECTORY,
        SCOPE,
        OPTIONS,
        UNIT,
        SERVICE,
        INSTALL,
        QUADLET,
    ],
    example: r#"
[file.pods]
path = "/srv/app.yaml"
content = """
apiVersion: v1
kind: Pod
metadata:
  name: app
spec:
  containers:
  - name: web
    image: quay.io/podman/hello:latest
    volumeMounts:
    - name: data
      mountPath: /data
  volumes:
  - name: data
    persistentVolumeClaim:
      claimName: appdata
"""

[kube.app]
yaml = ["{{ file.pods.path }}"]
claims = ["appdata"]
publish = ["127.0.0.1:8080:80", "[::1]:8080:80"]

[service.app]
unit = "{{ kube.app.unit_name }}"
"#,
    templates: &[],
    assets: &[],
    read,
};

/// What podman makes for pods that name no network, and leaves there: `kubeDefaultNetwork` in its `play.go`.
const DEFAULT_NETWORK: &str = "podman-default-kube-network";

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let mut draft = Draft::new(QuadletType::Kube, fields, setup);
    let yaml: Vec<AbsPath> = fields.list("yaml");
    if !fields.has("yaml") {
        draft.problem("", format!("{} lacks `yaml`", fields.label()), "add `yaml = [\"/srv/app.yaml\"]`");
    }
    for path in &yaml {
        draft.set("yaml", "Yaml", &quote_word(&literal(path.as_str())));
    }
    for path in fields.list::<AbsPath>("config_maps") {
        draft.set("config_maps", "ConfigMap", &quote_word(&literal(path.as_str())));
    }
    for PodmanName(name) in fields.list("claims") {
        draft.brings(Brings::Volume(name));
    }
    draft.publish();
    draft.list(NETWORKS.name, "Network");
    draft.options();
    if !draft.has("Network") {
        draft.brings(Brings::Network(DEFAULT_NETWORK.to_owned()));
    }
    draft.finish().map(|quadlet| Box::new(quadlet) as Box<dyn Resource>)
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    const FILE: &str = "/etc/containers/systemd/x.kube";
    const HEAD: &str = "[Unit]\nWants=network-online.target\nAfter=network-online.target\n\n[Kube]\n";
    const TAIL: &str = "\n[Install]\nWantedBy=default.target\n";

    #[test]
    fn it_becomes_a_file_of_quadlets() {
        case("kube", "yaml = ['/srv/app.yaml']\nclaims = ['data']")
            .creates("content: (absent) -> (9 lines), mode: (absent) -> 0644")
            .steps(
                "claim volume data x.service; claim network podman-default-kube-network x.service; put the file /etc/containers/systemd/x.kube in place; let systemd read its units",
            )
            .in_sync();
        for (fields, keys) in [
            ("yaml = ['/srv/app.yaml']", "Yaml=/srv/app.yaml\n"),
            ("yaml = ['/srv/a b.yaml', '/srv/100%.yaml']", "Yaml=\"/srv/a b.yaml\"\nYaml=/srv/100%%.yaml\n"),
            (
                "yaml = ['/srv/app.yaml']\nconfig_maps = ['/srv/map.yaml']\npublish = ['0.0.0.0:80:80', '[::]:80:80']\nnetworks = ['host']\noptions = { KubeDownForce = true }",
                "Yaml=/srv/app.yaml\nConfigMap=/srv/map.yaml\nPublishPort=0.0.0.0:80:80\nPublishPort=[::]:80:80\nNetwork=host\nKubeDownForce=true\n",
            ),
        ] {
            case("kube", fields).given_file(FILE, &format!("{HEAD}{keys}{TAIL}"), "0644").in_sync();
        }
    }

    #[test]
    fn what_runs_nothing_is_refused() {
        case("kube", "").refused("2:7: kube.x lacks `yaml` (add `yaml = [\"/srv/app.yaml\"]`)");
        case("kube", "yaml = ['app.yaml']")
            .refused("3:9: \"app.yaml\" does not fit `yaml` of kube.x (a path on a host starts with `/`)");
        case("kube", "yaml = ['/a']\npublish = ['8080:80']").refused("4:11: 8080:80 does not say which address it is published on (write \"0.0.0.0:8080:80\" for IPv4, \"[::]:8080:80\" for IPv6; `publish = [\"*:8080:80\"]` is for both)");
        case("kube", "yaml = ['/a']\noptions = { PublishPort = '8080:80' }").refused("4:13: 8080:80 does not say which address it is published on (write \"0.0.0.0:8080:80\" for IPv4, \"[::]:8080:80\" for IPv6; `publish = [\"*:8080:80\"]` is for both)");
        case("kube", "yaml = ['/a']\nclaims = ['a b']").refused("4:11: \"a b\" does not fit `claims` of kube.x (podman's names are a letter or digit, then letters, digits and _ . -)");
    }
}
