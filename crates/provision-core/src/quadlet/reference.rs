//! Owns what a value of a Quadlet file refers to: other Quadlet files, and paths, volumes, networks, secrets and images
//! of the host. The rules are those of `quadlet.go`; the places where podman itself decides are said below.
//!
//! `PodmanArgs=` and `GlobalArgs=` are not looked into.

use std::borrow::Cow;

use super::{QuadletName, QuadletType, Shape, key};
use crate::systemd::{split_verbatim, split_words};

/// Something that has to be there before the unit can start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// Another Quadlet file, beside this one in a Quadlet directory; its type says what it is wanted for.
    Unit(QuadletName),
    /// A path on the host, absolute.
    HostPath(String),
    /// A path on the host that Quadlet reads from the unit file's own directory on.
    UnitRelativePath(String),
    /// A volume by its name, which podman makes when it is not there.
    Volume(String),
    /// A network by its name.
    Network(String),
    /// A container by its name or ID, whose network is joined.
    Container(String),
    /// A podman secret by its name.
    Secret(String),
    /// An image, as written: see [`crate::image_reference::ImageReference`].
    Image(String),
}

/// What one assignment refers to, in order; nothing for most keys.
///
/// It is a list because one value can name several things (`EnvironmentFile=/a /b`). A name with a specifier (`%i`,
/// `%h`) is left out, since systemd alone can tell what it means; `%%` is a percent sign. So is a value with a quote
/// left open or an unknown escape: whether podman drops it or guesses depends on its version.
#[must_use]
pub fn references(quadlet_type: QuadletType, key_name: &str, value: &str) -> Vec<Reference> {
    let Some(key) = key(quadlet_type, key_name) else { return Vec::new() };
    let items = match key.shape {
        Shape::Arguments => split_words(value).unwrap_or_default(),
        Shape::Words => split_verbatim(value).unwrap_or_default(),
        Shape::Text => vec![unquoted(value).to_owned()],
        _ => vec![value.to_owned()],
    };
    items.iter().filter_map(|item| literal_of(item)).filter_map(|item| one(quadlet_type, key.name, &item)).collect()
}

fn one(quadlet_type: QuadletType, key: &str, value: &str) -> Option<Reference> {
    use QuadletType as Type;
    match (quadlet_type, key) {
        (_, "Volume") => storage(value.split_once(':')?.0, false),
        (_, "Mount") => mount(value),
        (_, "Network") => network(value),
        (_, "Pod") => unit(value, &[Type::Pod]),
        (Type::Image, "Image") => image_name(value),
        (_, "Image") => image(value),
        (Type::Build, "Secret") => host_path(option(&comma_separated(value), &["src", "source"])?),
        (_, "Secret") => {
            comma_separated(value).into_iter().next().filter(|name| !name.is_empty()).map(Reference::Secret)
        }
        (Type::Container, "EnvironmentFile") | (Type::Kube, "Yaml" | "ConfigMap") => file_beside_unit(value),
        (Type::Build, "File" | "IgnoreFile") => host_path(value),
        (Type::Build, "SetWorkingDirectory") => working_directory(value),
        (Type::Container, "Rootfs" | "AddDevice") | (Type::Image, "DecryptionKey") => {
            host_path(value.split(':').next()?)
        }
        // Names instead of paths (`unconfined`, `journald`, a module of a search path) have no slash in front.
        (_, "AuthFile" | "CertDir" | "ContainersConfModule" | "Device" | "HealthLogDestination" | "SeccompProfile") => {
            host_path(value)
        }
        _ => None,
    }
}

/// The source of a volume or mount: `handleStorageSource` of `quadlet.go`.
fn storage(source: &str, with_images: bool) -> Option<Reference> {
    let units: &[QuadletType] =
        if with_images { &[QuadletType::Volume, QuadletType::Image] } else { &[QuadletType::Volume] };
    match source.chars().next()? {
        '.' => Some(Reference::UnitRelativePath(source.to_owned())),
        '/' => host_path(source),
        _ if source.ends_with(".artifact") => None,
        _ if units.iter().any(|known| has_extension(source, *known)) => unit(source, units),
        _ => Some(Reference::Volume(source.to_owned())),
    }
}

/// `type=TYPE,source=SOURCE,...` in any order; without a type it is a volume. A `glob` names no single path.
fn mount(value: &str) -> Option<Reference> {
    let options = comma_separated(value);
    let source = option(&options, &["source", "src"])?;
    match option(&options, &["type"]).unwrap_or("volume") {
        "volume" => storage(source, true),
        "bind" => storage(source, true).filter(|found| !matches!(found, Reference::Volume(_))),
        "image" => match storage(source, true)? {
            Reference::Volume(name) => Some(Reference::Image(name)),
            found => Some(found),
        },
        _ => None,
    }
}

/// `addNetworks` of `quadlet.go`, then the modes of podman-run(1), `--network`.
fn network(value: &str) -> Option<Reference> {
    let (name, options) = value.split_once(':').map_or((value, ""), |(name, options)| (name, options));
    let units = [QuadletType::Network, QuadletType::Container];
    match name {
        "" | "bridge" | "default" | "host" | "none" | "pasta" | "private" | "slirp4netns" => None,
        "ns" => host_path(options),
        "container" => Some(Reference::Container(options.to_owned())),
        name if units.iter().any(|known| has_extension(name, *known)) => unit(name, &units),
        name => Some(Reference::Network(name.to_owned())),
    }
}

fn image(value: &str) -> Option<Reference> {
    let units = [QuadletType::Image, QuadletType::Build];
    if units.iter().any(|known| has_extension(value, *known)) { unit(value, &units) } else { image_name(value) }
}

fn image_name(value: &str) -> Option<Reference> {
    (!value.is_empty()).then(|| Reference::Image(value.to_owned()))
}

/// `SetWorkingDirectory=` of a build is a word of Quadlet's, a URL or a path.
fn working_directory(value: &str) -> Option<Reference> {
    let word = ["file", "unit", "yaml"].iter().any(|word| value.eq_ignore_ascii_case(word));
    let url = value.contains("://") || value.starts_with("github.com/");
    if word || url || value.is_empty() { None } else { file_beside_unit(value) }
}

fn unit(name: &str, types: &[QuadletType]) -> Option<Reference> {
    let name: QuadletName = name.parse().ok()?;
    types.contains(&name.quadlet_type()).then_some(Reference::Unit(name))
}

fn has_extension(name: &str, quadlet_type: QuadletType) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| extension == quadlet_type.extension())
}

fn host_path(path: &str) -> Option<Reference> {
    path.starts_with('/').then(|| Reference::HostPath(path.to_owned()))
}

fn file_beside_unit(path: &str) -> Option<Reference> {
    if path.is_empty() {
        return None;
    }
    host_path(path).or_else(|| Some(Reference::UnitRelativePath(path.to_owned())))
}

/// What a value with doubled percent signs means; absent when it has a specifier.
fn literal_of(value: &str) -> Option<Cow<'_, str>> {
    if !value.contains('%') {
        return Some(Cow::Borrowed(value));
    }
    let specifier = value.replace("%%", "").contains('%');
    (!specifier).then(|| Cow::Owned(value.replace("%%", "%")))
}

/// `Lookup` of podman's `unitfile.go`.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn option<'a>(options: &'a [String], names: &[&str]) -> Option<&'a str> {
    let matching = |option: &'a String| option.split_once('=').filter(|(name, _)| names.contains(name));
    options.iter().filter_map(matching).next_back().map(|(_, value)| value)
}

/// Fields of one line of comma-separated values: a field may stand in double quotes, which are doubled inside.
fn comma_separated(value: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        let Some(field) = fields.last_mut() else { continue };
        match c {
            '"' if quoted && rest.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quadlet_type: QuadletType, cases: &[(&str, &str, &[&str])]) {
        for (key, value, expected) in cases {
            let found: Vec<String> = references(quadlet_type, key, value).iter().map(shown).collect();
            assert_eq!(found, *expected, "{key}={value}");
        }
    }

    fn shown(reference: &Reference) -> String {
        match reference {
            Reference::Unit(name) => format!("unit {name}"),
            Reference::HostPath(path) => format!("path {path}"),
            Reference::UnitRelativePath(path) => format!("relative {path}"),
            Reference::Volume(name) => format!("volume {name}"),
            Reference::Network(name) => format!("network {name}"),
            Reference::Container(name) => format!("container {name}"),
            Reference::Secret(name) => format!("secret {name}"),
            Reference::Image(name) => format!("image {name}"),
        }
    }

    #[test]
    fn storage_of_containers_is_found() {
        check(
            QuadletType::Container,
            &[
                ("Volume", "/etc/app:/etc/app:ro,Z", &["path /etc/app"]),
                ("Volume", "./conf:/etc/app", &["relative ./conf"]),
                ("Volume", "data.volume:/data", &["unit data.volume"]),
                ("Volume", "data@.volume:/data:Z", &["unit data@.volume"]),
                ("Volume", "data:/data", &["volume data"]),
                ("Volume", "app.image:/data", &["volume app.image"]),
                ("Volume", "/data", &[]),
                ("Volume", ":/data", &[]),
                ("Volume", "%h/data:/data", &[]),
                ("Volume", "/srv/100%%:/data", &["path /srv/100%"]),
                ("Mount", "type=bind,source=/etc/app,target=/etc/app,ro", &["path /etc/app"]),
                ("Mount", "type=bind,src=../x,dst=/x", &["relative ../x"]),
                // Quotes are resolved before commas are looked for, by podman as well: they have to be escaped.
                ("Mount", r#"type=bind,"source=/a,b",target=/c"#, &["path /a"]),
                ("Mount", r#"type=bind,\"source=/a,b\",target=/c"#, &["path /a,b"]),
                ("Mount", r#""type=bind,source=/a b,target=/c""#, &["path /a b"]),
                ("Mount", "type=volume,source=data.volume,destination=/data", &["unit data.volume"]),
                ("Mount", "source=data,destination=/data", &["volume data"]),
                ("Mount", "type=image,source=app.image,destination=/app", &["unit app.image"]),
                ("Mount", "type=image,source=quay.io/a/b:1,destination=/app", &["image quay.io/a/b:1"]),
                ("Mount", "type=artifact,source=x.artifact,destination=/x", &[]),
                ("Mount", "type=tmpfs,destination=/tmp", &[]),
                ("Mount", "type=glob,source=/etc/*.conf,destination=/x", &[]),
            ],
        );
    }

    #[test]
    fn other_things_of_containers_are_found() {
        check(
            QuadletType::Container,
            &[
                ("Image", "quay.io/a/b:1", &["image quay.io/a/b:1"]),
                ("Image", r#""localhost/b""#, &["image localhost/b"]),
                ("Image", "app.image", &["unit app.image"]),
                ("Image", "app.build", &["unit app.build"]),
                ("Image", "", &[]),
                ("Network", "front.network", &["unit front.network"]),
                ("Network", "front.network:ip=10.0.0.2", &["unit front.network"]),
                ("Network", "app.container", &["unit app.container"]),
                ("Network", "front:alias=x", &["network front"]),
                ("Network", "container:app", &["container app"]),
                ("Network", "ns:/run/netns/x", &["path /run/netns/x"]),
                ("Network", "host", &[]),
                ("Network", "pasta:-t,auto", &[]),
                ("Pod", "app.pod", &["unit app.pod"]),
                ("Pod", "app", &[]),
                ("EnvironmentFile", r#"/etc/a env/b "/etc/c d""#, &["path /etc/a", "relative env/b", "path /etc/c d"]),
                ("EnvironmentFile", r#""open"#, &[]),
                ("Secret", "password,type=env,target=PW", &["secret password"]),
                ("Secret", "one two", &["secret one", "secret two"]),
                ("Secret", "key-%i", &[]),
                ("ContainersConfModule", "/etc/nvd.conf", &["path /etc/nvd.conf"]),
                ("ContainersConfModule", "nvd.conf", &[]),
                ("Rootfs", "/var/lib/rootfs:O", &["path /var/lib/rootfs"]),
                ("SeccompProfile", "unconfined", &[]),
                ("AddDevice", "-/dev/maybe /dev/fuse:/dev/fuse:rw", &["path /dev/fuse"]),
                ("PodmanArgs", "--volume /a:/b", &[]),
                ("Exec", "/bin/app", &[]),
                ("NoSuchKey", "/x", &[]),
            ],
        );
    }

    #[test]
    fn things_of_other_types_are_found() {
        check(
            QuadletType::Build,
            &[
                ("File", "/srv/Containerfile", &["path /srv/Containerfile"]),
                ("Secret", "id=key,src=/etc/key", &["path /etc/key"]),
                ("Secret", "id=key,env=KEY", &[]),
                ("SetWorkingDirectory", "unit", &[]),
                ("SetWorkingDirectory", "https://example.com/x.git", &[]),
                ("SetWorkingDirectory", "context", &["relative context"]),
                ("Volume", "cache.volume:/cache", &["unit cache.volume"]),
            ],
        );
        check(
            QuadletType::Kube,
            &[
                ("Yaml", "/etc/app.yaml pods.yaml", &["path /etc/app.yaml", "relative pods.yaml"]),
                ("ConfigMap", "/etc/map.yaml", &["path /etc/map.yaml"]),
                ("Network", "front.network", &["unit front.network"]),
            ],
        );
        check(
            QuadletType::Volume,
            &[("Device", "/dev/sdb1", &["path /dev/sdb1"]), ("Image", "a.image", &["unit a.image"])],
        );
        check(
            QuadletType::Image,
            &[("Image", "quay.io/a:1", &["image quay.io/a:1"]), ("DecryptionKey", "/etc/key:pass", &["path /etc/key"])],
        );
        check(QuadletType::Pod, &[("Volume", "data.volume:/data", &["unit data.volume"]), ("Image", "x", &[])]);
    }
}
