//! `build`: an image that podman builds when something that uses it starts, by a Quadlet file `.build`. The image is not
//! removed afterwards.

use std::str::FromStr;

use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::quadlet::QuadletType;
use crate::resource::image_unit::Named;
use crate::resource::quadlet::{
    Brings, DESCRIPTION, DIRECTORY, Draft, FILE_NAME, INSTALL, NETWORKS, OPTIONS, QUADLET, SERVICE, UNIT, VOLUMES,
};
use crate::resource::{Field, Kind, Resource, Setup, Target, Want};
use crate::systemd::{literal_exec, quote_word};

/// The kind.
pub static KIND: Kind = Kind {
    name: "build",
    summary: "An image that podman builds when something that uses it starts, by a Quadlet file.",
    fields: &[
        Field {
            name: "tags",
            takes: "list of images",
            required: true,
            doc: "What podman calls it: [\"localhost/app:1\"]. Containers use it as \"NAME.build\".",
        },
        Field {
            name: "context",
            takes: "path | URL",
            required: false,
            doc: "The directory that is built from; or where podman fetches it. The directory of `containerfile` without it. What the plan puts below it is used: what runs with the image restarts when that changes, and builds anew before.",
        },
        Field {
            name: "containerfile",
            takes: "path",
            required: false,
            doc: "What is built, on the host or within the context; the context's own Containerfile or Dockerfile without it.",
        },
        Field {
            name: "arguments",
            takes: "table",
            required: false,
            doc: "Build arguments, since podman 5.7; nothing in them is expanded. Others can read them.",
        },
        VOLUMES,
        NETWORKS,
        DESCRIPTION,
        FILE_NAME,
        DIRECTORY,
        OPTIONS,
        UNIT,
        SERVICE,
        INSTALL,
        QUADLET,
    ],
    example: r#"
[directory.app]
path = "/srv/app"

[file.containerfile]
path = "{{ directory.app.path }}/Containerfile"
content = "FROM quay.io/podman/hello:latest\n"

[build.app]
tags = ["localhost/app:1"]
context = "{{ directory.app.path }}"

[container.app]
image = "app.build"
"#,
    templates: &[],
    assets: &[],
    read,
};

/// What is built from.
enum Context {
    Path(AbsPath),
    Url(String),
}

impl FromStr for Context {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/") {
            return Ok(Self::Url(text.to_owned()));
        }
        let path: AbsPath = text.parse().map_err(|error| format!("{error}, and this is no URL"))?;
        if path == AbsPath::root() {
            return Err("the whole host is no context".to_owned());
        }
        Ok(Self::Path(path))
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let mut draft = Draft::new(QuadletType::Build, fields, setup);
    let tags: Vec<Named> = fields.list("tags");
    if !fields.has("tags") {
        let message = format!("{} lacks `tags`", fields.label());
        draft.problem("tags", message, "write what podman is to call it: tags = [\"localhost/app:1\"]");
    }
    for Named(tag) in &tags {
        draft.set("tags", "ImageTag", &tag.to_string());
        draft.brings(Brings::Image(tag.stored_name().to_string()));
    }
    source(fields, &mut draft);
    for setting in fields.settings("arguments") {
        match setting.values.as_slice() {
            [value] => {
                let word = quote_word(&literal_exec(&format!("{}={value}", setting.key)));
                draft.set("arguments", "BuildArg", &word);
            }
            // What is no text has its finding.
            [] => {}
            _ => fields.setting_problem(&setting, format!("{} is a list", setting.key), "an argument has one value"),
        }
    }
    draft.list(VOLUMES.name, "Volume");
    draft.list(NETWORKS.name, "Network");
    draft.options();
    if !draft.has("SetWorkingDirectory") && !draft.has("File") && !fields.has("context") {
        let message = format!("{} does not say what is built", fields.label());
        draft.problem("", message, "add `context` or `containerfile`");
    }
    draft.finish().map(|quadlet| Box::new(quadlet) as Box<dyn Resource>)
}

fn source(fields: &Fields<'_>, draft: &mut Draft<'_, '_>) {
    let file: Option<String> = fields.optional("containerfile");
    let context: Option<Context> = fields.optional("context");
    let path = file.as_ref().and_then(|file| file.parse::<AbsPath>().ok());
    match (&context, &file) {
        (Some(Context::Path(path)), _) => draft.set("context", "SetWorkingDirectory", path.as_str()),
        (Some(Context::Url(url)), _) => draft.set("context", "SetWorkingDirectory", url),
        (None, Some(_)) if fields.has("context") => {}
        // Without a word about it podman would build from the directory in which systemd runs it: all of the host.
        (None, Some(_)) => match path.as_ref().and_then(AbsPath::parent) {
            Some(directory) if directory != AbsPath::root() => {
                draft.set("containerfile", "SetWorkingDirectory", "file");
                draft.uses(Want::uses(Target::Tree(directory)));
            }
            _ => draft.problem(
                "containerfile",
                "without `context` it has to be an absolute path, in a directory that is the context",
                "add `context`, or write all of the path",
            ),
        },
        (None, None) => {}
    }
    if let Some(file) = &file {
        draft.set("containerfile", "File", file);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    const FILE: &str = "/etc/containers/systemd/x.build";

    #[test]
    fn it_becomes_a_file_of_quadlets() {
        case("build", "tags = ['localhost/app:1', 'localhost/app:latest']\ncontext = '/srv/app'")
            .creates("content: (absent) -> (4 lines), mode: (absent) -> 0644")
            .steps(
                "claim image localhost/app:1; claim image localhost/app:latest; claim unit x-build.service; put the file /etc/containers/systemd/x.build in place; let systemd read its units",
            )
            .in_sync();
        for (fields, keys) in [
            ("context = '/srv/app'", "SetWorkingDirectory=/srv/app\n"),
            ("context = 'https://example.com/app.git'", "SetWorkingDirectory=https://example.com/app.git\n"),
            ("containerfile = '/srv/app/Containerfile'", "SetWorkingDirectory=file\nFile=/srv/app/Containerfile\n"),
            (
                "context = '/srv/app'\ncontainerfile = 'build/Containerfile'\narguments = { WHAT = 'a b %' }",
                "SetWorkingDirectory=/srv/app\nFile=build/Containerfile\nBuildArg=\"WHAT=a b %%\"\n",
            ),
        ] {
            case("build", &format!("tags = ['localhost/app:1']\n{fields}"))
                .given_file(FILE, &format!("[Build]\nImageTag=localhost/app:1\n{keys}"), "0644")
                .in_sync();
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        case("build", "context = '/srv/app'")
            .refused("2:8: build.x lacks `tags` (write what podman is to call it: tags = [\"localhost/app:1\"])");
        case("build", "tags = ['app']\ncontext = '/srv/app'").refused("3:9: \"app\" does not fit `tags` of build.x (which registry that means is up to the host: write it, such as quay.io/app; what is made on the host is localhost/app)");
        case("build", "tags = ['localhost/app:1']")
            .refused("2:8: build.x does not say what is built (add `context` or `containerfile`)");
        case("build", "tags = ['localhost/app:1']\ncontext = 'app'").refused(
            "4:11: \"app\" does not fit `context` of build.x (a path on a host starts with `/`, and this is no URL)",
        );
        case("build", "tags = ['localhost/app:1']\ncontext = '/'")
            .refused("4:11: \"/\" does not fit `context` of build.x (the whole host is no context)");
        case("build", "tags = ['localhost/app:1']\ncontainerfile = 'Containerfile'").refused("4:17: without `context` it has to be an absolute path, in a directory that is the context (add `context`, or write all of the path)");
    }
}
