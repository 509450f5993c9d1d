//! `image`: an image in podman's store, carried in as an archive or pulled by the host.

use crate::blob::{Blob, size};
use crate::change::{Action, Change, Shown, Signal};
use crate::fetch::Outside;
use crate::image_archive::{ArchiveFormat, ArchivedImage, ImageArchive, Layered, Platform, SelectError};
use crate::image_reference::ImageReference;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, ImageState, Undecided};
use crate::resource::scope::{self, SCOPE};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Thing, Want};
use crate::step::Step;
use crate::systemd::{Managed, Manager};

/// The kind.
pub static KIND: Kind = Kind {
    name: "image",
    summary: "An image in podman's store before anything starts, carried in as an archive or pulled by the host; see `image_unit` for one that podman pulls when it is needed.",
    fields: &[
        Field {
            name: "name",
            takes: "image",
            required: true,
            doc: "The name that containers use: \"quay.io/quay/quay:v3.15\". Without a registry it is one of `localhost/`.",
        },
        Field {
            name: "archive",
            takes: "file",
            required: false,
            doc: "An OCI or docker archive beside the plan. It is sent when the host does not have that very image, told by \
                  its ID; where it has it under another name, only the name is given. Exactly one of `archive` and `pull`.",
        },
        Field {
            name: "member",
            takes: "path",
            required: false,
            doc: "Where `archive` is a tar of several archives: the path of this image's in it, such as \"quay.tar\". It is \
                  read where it is, and no other is sent.",
        },
        Field {
            name: "pull",
            takes: "true",
            required: false,
            doc: "The host pulls it when it has none of that name (or digest); never again for a newer one.",
        },
        Field {
            name: "platform",
            takes: "os/architecture",
            required: false,
            doc: "\"linux/arm64\": which image of an archive for several, or which is pulled. The host's own without it; \
                  for an archive with several it must be written.",
        },
        SCOPE,
    ],
    example: r#"
[image.registry]
name = "quay.io/quay/quay-mirror:v3.16"
pull = true
"#,
    templates: &[],
    assets: &["archive"],
    read,
};

#[derive(Debug)]
struct Image {
    manager: Manager,
    /// As podman keeps it.
    name: ImageReference,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Archive { id: String, archive: Blob, layered: Option<Layered> },
    Registry { platform: Option<Platform> },
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let manager = scope::manager(fields);
    let name: Option<ImageReference> = fields.required("name");
    let archive: Option<String> = fields.optional("archive");
    let member: Option<String> = fields.optional("member");
    let pull = fields.boolean("pull");
    let platform: Option<Platform> = fields.optional("platform");
    if fields.has("archive") == (pull == Some(true)) {
        let found = if fields.has("archive") { "both" } else { "neither" };
        fields.problem(
            "",
            format!("{} has {found} of `archive` and `pull = true`", fields.label()),
            "write exactly one of them",
        );
        return None;
    }
    if fields.has("member") && !fields.has("archive") {
        fields.problem("member", "what is pulled is in no archive", "take it out, or write `archive`");
    }
    let name = name?;
    let source = match archive {
        Some(file) => {
            if name.digest().is_some() {
                let help = "write a tag: the archive itself says which image it is";
                fields.problem("name", "an archive's image cannot be named by a digest", help);
                return None;
            }
            let file = File { name: &file, member: member.as_deref() };
            archived(&file, &name, platform.as_ref(), fields, setup)?
        }
        None if fields.has("archive") => return None,
        None => {
            if name.is_short() {
                let message = format!("where {name} is pulled from depends on the host's own configuration");
                fields.problem("name", message, "write its registry too, such as \"quay.io/...\"");
                return None;
            }
            Source::Registry { platform }
        }
    };
    Some(Box::new(Image { manager: manager?, name: name.stored_name(), source }))
}

/// Where an archive is.
struct File<'a> {
    name: &'a str,
    member: Option<&'a str>,
}

/// Finds the one image of an archive that is meant.
fn archived(
    file: &File<'_>,
    name: &ImageReference,
    platform: Option<&Platform>,
    fields: &Fields<'_>,
    setup: &Setup<'_>,
) -> Option<Source> {
    let File { name: file, member } = *file;
    let (archive, blob) = match setup.assets.image_archive(file, member) {
        Ok(found) => found,
        Err(reason) => {
            let help = "an archive is what `podman save` writes; a relative path starts at the plan's directory; of a tar of archives, `member` says which";
            fields.problem(if member.is_some() { "member" } else { "archive" }, reason, help);
            return None;
        }
    };
    if let ArchiveFormat::Oci { entries: 2.. } = archive.format {
        fields.problem(
            "archive",
            format!("{file} has several images, and podman loads an OCI archive only with one"),
            "save each image into an archive of its own, or all into a docker archive",
        );
        return None;
    }
    match select(&archive, name, platform) {
        Ok(image) => {
            let layered = archive.layered(image);
            Some(Source::Archive { id: image.image_id.clone(), archive: blob, layered })
        }
        Err(error) => {
            let help = match error {
                SelectError::Several { .. } => "add `platform`, or give the image the name that it has in the archive",
                SelectError::NotFound { .. } => "correct `platform`, or use an archive that has it",
            };
            fields.problem("archive", format!("{file}: {error}"), help);
            None
        }
    }
}

/// The name need not be one of the archive's: it only chooses where there is a choice.
fn select<'a>(
    archive: &'a ImageArchive,
    name: &ImageReference,
    platform: Option<&Platform>,
) -> Result<&'a ArchivedImage, SelectError> {
    match archive.select(None, platform) {
        Err(several @ SelectError::Several { .. }) => {
            archive.select(Some(&name.to_string()), platform).map_err(|_| several)
        }
        found => found,
    }
}

impl Resource for Image {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Image(self.stored())]
    }

    fn wants(&self) -> Vec<Want> {
        scope::wants(&self.manager)
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = scope::asks(&self.manager);
        asks.push(Ask::Images(self.manager.clone()));
        asks.extend(self.layered().map(|layered| self.ask_for(layered)));
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let change = self.difference(answers, context)?;
        if !change.is_none() {
            scope::require(&self.manager, answers, context)?;
        }
        Ok(change)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        match &self.source {
            Source::Archive { id, .. } => vec![("id", short(id).into())],
            // Which image that is, the registry knows.
            Source::Registry { platform: _ } => Vec::new(),
        }
    }

    fn outside(&self) -> Vec<Outside> {
        match &self.source {
            Source::Archive { .. } => Vec::new(),
            Source::Registry { .. } => vec![Outside::Host(format!("pulls {}", self.name))],
        }
    }

    fn steps(&self, _change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { manager, name: _, source } = self;
        let name = self.stored();
        let images = answers.images(manager).map_or(&[][..], Vec::as_slice);
        Ok(vec![match source {
            Source::Archive { id, .. } if present(images, id) => Step::TagImage { id: id.clone(), name },
            Source::Archive { id, archive, .. } => {
                let archive = self.rest(archive, answers).unwrap_or_else(|| archive.clone());
                Step::LoadImage { archive, id: id.clone(), name }
            }
            Source::Registry { platform } => {
                Step::PullImage { reference: name, platform: platform.as_ref().map(Platform::to_string) }
            }
        }])
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("name", self.name.to_string())]
    }
}

impl Image {
    fn difference(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { manager, name, source } = self;
        let images = match answers.images(manager) {
            Ok(images) => images.as_slice(),
            // A command that comes before may well bring podman.
            Err(_) if context.command_pending() => &[],
            Err(reason) => return Err(Undecided::with_help(reason.message, "install podman on the host")),
        };
        let wanted = name.to_string();
        let named = images.iter().find(|image| image.names.contains(&wanted));
        match source {
            Source::Archive { id, archive, .. } => {
                if named.is_some_and(|image| image.id == *id) {
                    return Ok(Change::none());
                }
                let mut change = Change::new(if named.is_some() { Action::Update } else { Action::Create });
                change.compare("id", named.map(|image| short(&image.id)), short(id));
                change.reasons.push(if present(images, id) {
                    "the host has this image under another name: only the name is given".to_owned()
                } else {
                    self.sent(archive, answers)
                });
                Ok(change.signals(Signal::Unit))
            }
            Source::Registry { platform: _ } => {
                if named.is_some() || pulled(images, name) {
                    return Ok(Change::none());
                }
                let mut change = Change::new(Action::Create);
                change.differs("id", Shown::Absent, Shown::Unknown);
                change.reasons.push(format!("the host pulls it from {}", name.registry().unwrap_or("its registry")));
                Ok(change.signals(Signal::Unit))
            }
        }
    }

    fn layered(&self) -> Option<&Layered> {
        match &self.source {
            Source::Archive { layered, .. } => layered.as_ref(),
            Source::Registry { .. } => None,
        }
    }

    fn ask_for(&self, layered: &Layered) -> Ask {
        Ask::Layers { manager: self.manager.clone(), digests: layered.digests() }
    }

    /// The archive without the layers that the host has, where that is less. Nobody knows of them where podman is yet to come.
    fn rest(&self, archive: &Blob, answers: &Answers) -> Option<Blob> {
        let layered = self.layered()?;
        let there = answers.layers(&self.manager, &layered.digests()).ok()?;
        layered.without(there, archive).filter(|rest| rest.length() < archive.length())
    }

    fn sent(&self, archive: &Blob, answers: &Answers) -> String {
        let Some(rest) = self.rest(archive, answers) else { return format!("{} are sent", size(archive.length())) };
        let there = self.layered().and_then(|layered| {
            let present = layered.present(answers.layers(&self.manager, &layered.digests()).ok()?);
            Some(format!("; the host has {present} of {} layers", layered.count()))
        });
        format!("{} of {} are sent{}", size(rest.length()), size(archive.length()), there.unwrap_or_default())
    }

    fn stored(&self) -> Managed {
        Managed::new(&self.manager, self.name.to_string())
    }
}

fn present(images: &[ImageState], id: &str) -> bool {
    images.iter().any(|image| image.id == id)
}

/// Whether an image of the same repository has the wanted digest, under whatever tag it came.
fn pulled(images: &[ImageState], name: &ImageReference) -> bool {
    let Some(digest) = name.digest() else { return false };
    let repository = name.name();
    let of_repository = |image: &ImageState| {
        let mut names = image.names.iter().filter_map(|name| name.parse::<ImageReference>().ok());
        names.any(|name| name.name() == repository)
    };
    images.iter().any(|image| image.digests.iter().any(|own| own == digest) && of_repository(image))
}

/// The beginning of an ID, as podman shows it.
fn short(id: &str) -> String {
    id.get(..12).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use camino::Utf8PathBuf;
    use serde_json::json;

    use super::*;
    use crate::blob::sha256_hex;
    use crate::plan::asset::Folder;
    use crate::testing::{Case, case};

    /// A docker archive with one image of some architecture for each name, and their IDs.
    fn archive(path: &Utf8PathBuf, images: &[(&str, &str)]) -> Vec<String> {
        let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, bytes).unwrap();
        };
        let (mut manifest, mut ids) = (Vec::new(), Vec::new());
        for (name, architecture) in images {
            let layers = json!({ "type": "layers", "diff_ids": [] });
            let config = json!({ "os": "linux", "architecture": architecture, "rootfs": layers, "author": name });
            let config = config.to_string();
            let id = sha256_hex(config.as_bytes());
            add(&format!("{id}.json"), config.as_bytes());
            manifest.push(json!({ "Config": format!("{id}.json"), "RepoTags": [name], "Layers": [] }));
            ids.push(id);
        }
        add("manifest.json", json!(manifest).to_string().as_bytes());
        tar.into_inner().unwrap();
        ids
    }

    struct Bench {
        _directory: tempfile::TempDir,
        folder: Folder,
        ids: Vec<String>,
    }

    fn bench(images: &[(&str, &str)]) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(directory.path().to_path_buf()).unwrap();
        let ids = archive(&root.join("image.tar"), images);
        Bench { _directory: directory, folder: Folder(root), ids }
    }

    impl Bench {
        fn case(&self, fields: &str) -> Case {
            case("image", &format!("archive = 'image.tar'\n{fields}")).assets(Arc::new(self.folder.clone()))
        }

        fn id(&self) -> String {
            self.ids[0].clone()
        }
    }

    fn stored(id: &str, names: &[&str], digests: &[&str]) -> ImageState {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ImageState { id: id.to_owned(), digests: texts(digests), names: texts(names) }
    }

    const OTHER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn an_absent_image_is_sent_and_named() {
        let bench = bench(&[("a:1", "amd64")]);
        bench
            .case("name = 'registry:1'")
            .creates(&format!("id: (absent) -> {}", &bench.id()[..12]))
            .because("3.0 kB are sent")
            .steps("load the image localhost/registry:1")
            .mended();
    }

    #[test]
    fn a_present_image_is_not_sent_again() {
        let bench = bench(&[("a:1", "amd64")]);
        let id = bench.id();
        bench.case("name = 'a:1'").given(|host| host.images.push(stored(&id, &["localhost/a:1"], &[]))).in_sync();
        bench
            .case("name = 'b:1'")
            .given(|host| host.images.push(stored(&id, &["localhost/a:1"], &[])))
            .creates(&format!("id: (absent) -> {}", &id[..12]))
            .because("the host has this image under another name: only the name is given")
            .steps("name the image localhost/b:1")
            .mended();
    }

    #[test]
    fn layers_that_the_host_has_are_not_sent() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(directory.path().to_path_buf()).unwrap();
        let layers = [vec![1_u8; 40_000], vec![2_u8; 2_000]];
        let digests: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256_hex(layer))).collect();
        let config = json!({ "os": "linux", "rootfs": { "type": "layers", "diff_ids": digests } }).to_string();
        let mut tar = tar::Builder::new(std::fs::File::create(root.join("image.tar")).unwrap());
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        };
        layers.iter().zip(&digests).for_each(|(layer, digest)| add(digest, layer));
        add("config.json", config.as_bytes());
        let manifest = json!([{ "Config": "config.json", "RepoTags": ["a:1"], "Layers": digests }]);
        add("manifest.json", manifest.to_string().as_bytes());
        tar.into_inner().unwrap();
        let case = |digests: Vec<String>| {
            case("image", "archive = 'image.tar'\nname = 'a:1'")
                .assets(Arc::new(Folder(root.clone())))
                .given(move |host| host.layers.unpacked = digests.into_iter().map(|digest| (digest, 40_000)).collect())
        };
        let id = format!("id: (absent) -> {}", &sha256_hex(config.as_bytes())[..12]);
        case(Vec::new()).creates(&id).because("46.5 kB are sent").mended();
        case(vec![digests[0].clone()])
            .creates(&id)
            .because("8.1 kB of 46.5 kB are sent; the host has 1 of 2 layers")
            .steps("load the image localhost/a:1")
            .mended();
        case(digests.clone()).creates(&id).because("5.6 kB of 46.5 kB are sent; the host has 2 of 2 layers").mended();
    }

    #[test]
    fn an_archive_within_a_tar_is_read_where_it_is() {
        let bench = bench(&[("a:1", "amd64")]);
        let root = bench.folder.0.clone();
        let inner = std::fs::read(root.join("image.tar")).unwrap();
        let mut tar = tar::Builder::new(std::fs::File::create(root.join("all.tar")).unwrap());
        let other = vec![7_u8; 100_000];
        for (name, bytes) in [("./other.tar", &other), ("./image.tar", &inner)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap();
        let case =
            |fields: &str| case("image", &format!("name = 'a:1'\n{fields}")).assets(Arc::new(Folder(root.clone())));
        case("archive = 'all.tar'\nmember = 'image.tar'")
            .creates(&format!("id: (absent) -> {}", &bench.id()[..12]))
            .because("3.0 kB are sent")
            .mended();
        let (_, blob) =
            crate::plan::asset::Assets::image_archive(&Folder(root.clone()), "all.tar", Some("image.tar")).unwrap();
        assert_eq!(blob.read().unwrap(), inner);
        // One in a bundle is a stretch of a stretch.
        let within = blob.stretch(512..1024).unwrap();
        assert_eq!(within.read().unwrap(), inner[512..1024]);
        assert!(blob.stretch(0..inner.len() as u64 + 1).is_none());
        let refused = |fields: &str, reason: &str| {
            let path = root.join("all.tar");
            let help = "an archive is what `podman save` writes; a relative path starts at the plan's directory; of a tar of archives, `member` says which";
            case(fields).refused(&format!("{} ({help})", reason.replace("PATH", path.as_str())));
        };
        refused(
            "archive = 'all.tar'\nmember = 'quay.tar'",
            "5:10: cannot read PATH: it has no file quay.tar that could be read where it is; it has image.tar, other.tar",
        );
        refused(
            "archive = 'all.tar'\nmember = 'other.tar'",
            "5:10: cannot read other.tar in PATH: not an image archive: neither a tar nor a gzip of one",
        );
        refused(
            "archive = 'all.tar'",
            "4:11: cannot read PATH: tar archive holds no image: it has neither index.json nor manifest.json",
        );
        self::case("image", "name = 'quay.io/site/a:1'\npull = true\nmember = 'x.tar'")
            .refused("5:10: what is pulled is in no archive (take it out, or write `archive`)");
    }

    #[test]
    fn another_image_under_the_name_is_replaced() {
        let bench = bench(&[("a:1", "amd64")]);
        bench
            .case("name = 'a:1'")
            .given(|host| host.images.push(stored(OTHER, &["localhost/a:1"], &[])))
            .updates(&format!("id: aaaaaaaaaaaa -> {}", &bench.id()[..12]))
            .mended();
    }

    #[test]
    fn the_platform_or_the_name_chooses_where_there_is_a_choice() {
        let bench = bench(&[("a:1", "amd64"), ("a:1", "arm64"), ("b:1", "amd64")]);
        let chosen = |fields: &str| bench.case(fields).change().attributes.remove(0).after.line();
        assert_eq!(chosen("name = 'x:1'\nplatform = 'linux/arm64'"), bench.ids[1][..12]);
        assert_eq!(chosen("name = 'b:1'"), bench.ids[2][..12]);
        bench.case("name = 'x:1'").refused(
            "3:11: image.tar: several images fit: a:1 (linux/amd64), a:1 (linux/arm64), b:1 (linux/amd64); \
             say which by name or platform (add `platform`, or give the image the name that it has in the archive)",
        );
    }

    #[test]
    fn what_is_absent_is_pulled_and_what_is_there_is_left() {
        let pulled = |name: &str| case("image", &format!("name = '{name}'\npull = true"));
        pulled("quay.io/a/b")
            .creates("id: (absent) -> (known after apply)")
            .because("the host pulls it from quay.io")
            .mended();
        pulled("quay.io/a/b").given(|host| host.images.push(stored(OTHER, &["quay.io/a/b:latest"], &[]))).in_sync();
        let digest = format!("sha256:{OTHER}");
        let by_digest = format!("quay.io/a/b:1@{digest}");
        pulled(&by_digest).steps(&format!("pull the image quay.io/a/b@{digest}")).mended();
        pulled(&by_digest).given(|host| host.images.push(stored("b", &["quay.io/a/b:7"], &[&digest]))).in_sync();
        pulled(&by_digest)
            .given(|host| host.images.push(stored("b", &["quay.io/other:1"], &[&digest])))
            .creates("id: (absent) -> (known after apply)");
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        case("image", "name = 'quay.io/a:1'")
            .refused("2:8: image.x has neither of `archive` and `pull = true` (write exactly one of them)");
        case("image", "name = 'a:1'\npull = true").refused(
            "3:8: where a:1 is pulled from depends on the host's own configuration \
             (write its registry too, such as \"quay.io/...\")",
        );
        case("image", "name = 'a:1'\narchive = 'x.tar'").refused(
            "4:11: cannot read x.tar: this plan has no directory of its own (an archive is what `podman save` writes; a relative path starts at the plan's directory; of a tar of archives, `member` says which)",
        );
        let bench = bench(&[("a:1", "amd64")]);
        bench.case(&format!("name = 'a@sha256:{OTHER}'")).refused(
            "4:8: an archive's image cannot be named by a digest (write a tag: the archive itself says which image it is)",
        );
    }
}
