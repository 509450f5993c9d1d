//! `container`: a container that runs as a service, by a Quadlet file. Starting it is a service's business, or its
//! pod's.

use std::str::FromStr;

use crate::image_reference::ImageReference;
use crate::plan::fields::Fields;
use crate::plan::node::Value;
use crate::quadlet::{QuadletName, QuadletType};
use crate::resource::quadlet::{
    DESCRIPTION, DIRECTORY, Draft, FILE_NAME, INSTALL, INSTANCES, NETWORKS, OPTIONS, PODMAN_NAME, PUBLISH, QUADLET,
    UNIT, VOLUMES,
};
use crate::resource::scope::SCOPE;
use crate::resource::{Field, Kind, Resource, Setup};
use crate::systemd::{literal_exec, quote_word, quote_words, split_words};

/// The kind.
pub static KIND: Kind = Kind {
    name: "container",
    summary: "A container that runs as a service, by a Quadlet file.",
    fields: &[
        Field {
            name: "image",
            takes: "image",
            required: false,
            doc: "With its registry: \"quay.io/podman/hello:latest\", \"localhost/app@sha256:...\"; or an \"app.image\" or \"app.build\" of Quadlet's. Without it, `options` has Rootfs.",
        },
        PUBLISH,
        VOLUMES,
        NETWORKS,
        Field {
            name: "pod",
            takes: "text",
            required: false,
            doc: "The pod that it runs in, by its file: \"registry.pod\". Then the pod's service starts and restarts it, and the pod publishes and has networks.",
        },
        Field {
            name: "environment",
            takes: "table",
            required: false,
            doc: "Variables; nothing in them is expanded. Others can read them, so that a secret belongs into a file that `options` names as EnvironmentFile.",
        },
        Field {
            name: "exec",
            takes: "list of text | text",
            required: false,
            doc: "Arguments for the image's entry point: a list, of which nothing is expanded, or a line that is split and expanded as systemd does.",
        },
        Field {
            name: "user",
            takes: "user",
            required: false,
            doc: "Who it runs as inside, and maybe as which group: \"1001\", \"app:app\".",
        },
        DESCRIPTION,
        PODMAN_NAME,
        FILE_NAME,
        INSTANCES,
        DIRECTORY,
        SCOPE,
        OPTIONS,
        UNIT,
        Field {
            name: "service",
            takes: "table",
            required: false,
            doc: "Keys of [Service], as they are. Without Restart among them it is started again whenever it ends, after five seconds.",
        },
        INSTALL,
        QUADLET,
    ],
    example: r#"
[volume.data]

[container.registry]
image = "quay.io/quay/quay-mirror:v3.0"
publish = ["*:8443:8443"]
volumes = ["data.volume:/data:Z", "/srv/certs:/certs:ro,Z"]
environment = { WORKER_COUNT = 1 }
exec = ["serve", "--data-dir", "/data"]
options = { HealthCmd = "true", AutoUpdate = "local" }

[container.registry.service]
TimeoutStartSec = 900

[service.registry]
unit = "{{ container.registry.unit_name }}"
"#,
    templates: &[],
    assets: &[],
    read,
};

/// An image that says where it comes from.
struct Image(String);

impl FromStr for Image {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.ends_with(".image") || text.ends_with(".build") {
            return text.parse::<QuadletName>().map(|name| Self(name.to_string())).map_err(|error| error.to_string());
        }
        let reference: ImageReference = text.parse().map_err(|error| format!("{error}"))?;
        if reference.is_short() {
            return Err(format!(
                "which registry that means is up to the host: write it, such as quay.io/{text}; what was loaded or built on the host is localhost/{text}"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A pod by its file.
struct Pod(QuadletName);

impl FromStr for Pod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<QuadletName>() {
            Ok(name) if name.quadlet_type() == QuadletType::Pod => Ok(Self(name)),
            _ => Err("a pod is named by its file, such as \"registry.pod\"".to_owned()),
        }
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let mut draft = Draft::new(QuadletType::Container, fields, setup);
    let image: Option<Image> = fields.optional("image");
    if let Some(Image(image)) = &image {
        draft.set("image", "Image", image);
    }
    if let Some(Pod(pod)) = fields.optional("pod") {
        draft.set("pod", "Pod", &pod.to_string());
    }
    draft.publish();
    draft.list(VOLUMES.name, "Volume");
    draft.list(NETWORKS.name, "Network");
    environment(fields, &mut draft);
    exec(fields, &mut draft);
    if let Some(user) = fields.optional::<String>("user") {
        draft.set("user", "User", &literal_exec(&user));
    }
    draft.options();
    if !fields.has("image") && !draft.has("Image") && !draft.has("Rootfs") {
        draft.problem("", format!("{} lacks `image`", fields.label()), "add `image = \"REGISTRY/NAME:TAG\"`");
    }
    if draft.has("Pod") {
        for (key, field) in [("PublishPort", PUBLISH.name), ("Network", NETWORKS.name)] {
            if draft.has(key) {
                draft.problem(
                    field,
                    "a container in a pod has no network of its own",
                    format!("give the pod `{field}`"),
                );
            }
        }
    }
    draft.finish().map(|quadlet| Box::new(quadlet) as Box<dyn Resource>)
}

fn exec(fields: &Fields<'_>, draft: &mut Draft<'_, '_>) {
    let line = match fields.raw("exec").map(|node| &node.value) {
        None => return,
        Some(Value::Array(_)) => {
            let arguments: Vec<String> = fields.list("exec");
            quote_words(arguments.iter().map(|argument| literal_exec(argument)))
        }
        Some(_) => fields.optional::<String>("exec").unwrap_or_default(),
    };
    if let Err(error) = split_words(&line) {
        draft.problem("exec", error.to_string(), "write it as a list, of which nothing needs quotes");
    } else if !line.is_empty() {
        draft.set("exec", "Exec", &line);
    }
}

fn environment(fields: &Fields<'_>, draft: &mut Draft<'_, '_>) {
    for setting in fields.settings("environment") {
        let name = setting.key.as_str();
        if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control()) {
            fields.setting_problem(&setting, format!("{name:?} names no variable"), "a name has no blank and no `=`");
        }
        match setting.values.as_slice() {
            [value] => draft.set("environment", "Environment", &quote_word(&literal_exec(&format!("{name}={value}")))),
            // What is no text has its finding.
            [] => {}
            _ => fields.setting_problem(&setting, format!("{name} is a list"), "a variable has one value"),
        }
    }
}

#[cfg(test)]
mod tests;
