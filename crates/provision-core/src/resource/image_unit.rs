//! `image_unit`: an image that podman pulls when something that uses it starts, by a Quadlet file `.image`. It is neither
//! pulled anew by itself nor removed afterwards. An image that is to be there before anything starts is of kind `image`.

use std::str::FromStr;

use crate::image_reference::ImageReference;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::quadlet::QuadletType;
use crate::resource::quadlet::{
    Brings, DESCRIPTION, DIRECTORY, Draft, FILE_NAME, INSTALL, INSTANCES, OPTIONS, QUADLET, SERVICE, UNIT,
};
use crate::resource::{Field, Kind, Resource, Setup, Target, Want};

/// The kind.
pub static KIND: Kind = Kind {
    name: "image_unit",
    summary: "An image that podman pulls when something that uses it starts, by a Quadlet file; see `image` for one that is there before.",
    fields: &[
        Field {
            name: "image",
            takes: "image",
            required: true,
            doc: "With its registry: \"quay.io/podman/hello:latest\"; or an archive or directory on the host: \"oci-archive:/srv/app.tar\", which needs `tag`.",
        },
        Field {
            name: "tag",
            takes: "image",
            required: false,
            doc: "What podman calls what is in an archive or a directory, which has its name inside: \"localhost/app:1\".",
        },
        DESCRIPTION,
        FILE_NAME,
        INSTANCES,
        DIRECTORY,
        OPTIONS,
        UNIT,
        SERVICE,
        INSTALL,
        QUADLET,
    ],
    example: r#"
[image_unit.hello]
image = "quay.io/podman/hello:latest"
options = { AuthFile = "/etc/registry-auth.json" }

[container.hello]
image = "hello.image"
"#,
    templates: &[],
    assets: &[],
    read,
};

/// Where podman finds an image besides in registries, each with a path; containers-transports(5).
const TRANSPORTS: [&str; 5] = ["docker-archive:", "oci-archive:", "oci:", "dir:", "sif:"];

/// Where an image comes from.
enum Source {
    /// A registry.
    Registry(ImageReference),
    /// A path on the host, with its transport.
    Path(AbsPath),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = TRANSPORTS.iter().find_map(|transport| text.strip_prefix(transport)) {
            // A name within the archive may follow.
            let path: AbsPath = path.split(':').next().unwrap_or(path).parse().map_err(|error| format!("{error}"))?;
            return if path == AbsPath::root() { Err("it names no file".to_owned()) } else { Ok(Self::Path(path)) };
        }
        let name = text.strip_prefix("docker://").unwrap_or(text);
        named(name).map(Self::Registry)
    }
}

/// An image's name with its registry.
pub(crate) struct Named(pub(crate) ImageReference);

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        named(text).map(Self)
    }
}

fn named(text: &str) -> Result<ImageReference, String> {
    let reference: ImageReference = text.parse().map_err(|error| format!("{error}"))?;
    if reference.is_short() {
        return Err(format!(
            "which registry that means is up to the host: write it, such as quay.io/{text}; what is made on the host is localhost/{text}"
        ));
    }
    Ok(reference)
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let mut draft = Draft::new(QuadletType::Image, fields, setup);
    let source: Option<Source> = fields.required("image");
    let tag: Option<Named> = fields.optional("tag");
    if let (Some(text), Some(_)) = (fields.optional::<String>("image"), &source) {
        draft.set("image", "Image", &text);
    }
    if let Some(Named(tag)) = &tag {
        draft.set("tag", "ImageTag", &tag.to_string());
    }
    match (&source, &tag) {
        (Some(Source::Path(_)), None) if !fields.has("tag") => draft.problem(
            "image",
            "what is in it has no name yet by which others could use it",
            "add `tag`, such as \"localhost/app:1\": the name that it has inside",
        ),
        (Some(Source::Registry(_)), Some(_)) => {
            draft.problem("tag", "an image of a registry has its name already", "take `tag` out");
        }
        (Some(Source::Registry(name)), None) => draft.brings(Brings::Image(name.stored_name().to_string())),
        (Some(Source::Path(_)), Some(Named(tag))) => draft.brings(Brings::Image(tag.stored_name().to_string())),
        _ => {}
    }
    if let Some(Source::Path(path)) = &source {
        draft.uses(Want::uses(Target::Tree(path.clone())));
    }
    draft.options();
    // All of it is read, whatever is missing.
    let quadlet = draft.finish();
    source?;
    quadlet.map(|quadlet| Box::new(quadlet) as Box<dyn Resource>)
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    const PULL: &str = "image = 'quay.io/podman/hello:latest'";
    const FILE: &str = "/etc/containers/systemd/x.image";

    #[test]
    fn it_becomes_a_file_of_quadlets() {
        case("image_unit", PULL)
            .creates("content: (absent) -> (2 lines), mode: (absent) -> 0644")
            .steps(
                "claim image quay.io/podman/hello:latest; claim unit x-image.service; put the file /etc/containers/systemd/x.image in place; let systemd read its units",
            )
            .in_sync();
        case("image_unit", PULL).given_file(FILE, "[Image]\nImage=quay.io/podman/hello:latest\n", "0644").in_sync();
        case("image_unit", PULL)
            .given_file(FILE, "[Image]\nImage=quay.io/podman/hello:1\n", "0644")
            .updates("content: (2 lines) -> (2 lines)")
            .because("podman pulls anew once the unit starts anew");
    }

    #[test]
    fn an_archive_has_its_name_inside() {
        let text = "[Image]\nImage=oci-archive:/srv/app.tar\nImageTag=localhost/app:1\n";
        case("image_unit", "image = 'oci-archive:/srv/app.tar'\ntag = 'localhost/app:1'")
            .given_file(FILE, text, "0644")
            .in_sync();
    }

    #[test]
    fn what_names_no_image_is_refused() {
        case("image_unit", "image = 'hello'").refused("3:9: \"hello\" does not fit `image` of image_unit.x (which registry that means is up to the host: write it, such as quay.io/hello; what is made on the host is localhost/hello)");
        case("image_unit", "image = 'oci-archive:app.tar'\ntag = 'localhost/a:1'").refused(
            "3:9: \"oci-archive:app.tar\" does not fit `image` of image_unit.x (a path on a host starts with `/`)",
        );
        case("image_unit", "image = 'oci-archive:/srv/app.tar'").refused("3:9: what is in it has no name yet by which others could use it (add `tag`, such as \"localhost/app:1\": the name that it has inside)");
        case("image_unit", "image = 'quay.io/a/b:1'\ntag = 'localhost/a:1'")
            .refused("4:7: an image of a registry has its name already (take `tag` out)");
        case("image_unit", "")
            .refused("2:13: image_unit.x lacks `image` (add `image = ...`; `provision kinds` shows what it takes)");
        case("image_unit", "image = 'quay.io/a/b:1'\noptions = { Imag = 'x' }")
            .refused("4:13: [Image] has no key `Imag` (did you mean `Image`?)");
    }
}
