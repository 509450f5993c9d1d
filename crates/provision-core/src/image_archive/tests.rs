//! Archives made in code, so that each says what it is about.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::*;
use crate::blob::{Blob, sha256_hex};

/// Blobs of an OCI layout, and what else is in the tar.
#[derive(Default)]
struct Builder {
    files: Vec<(String, Vec<u8>)>,
}

impl Builder {
    fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.files.push((path.to_owned(), bytes.into()));
        self
    }

    fn blob(&mut self, media_type: &str, bytes: impl Into<Vec<u8>>) -> Value {
        let bytes = bytes.into();
        let (hex, size) = (sha256_hex(&bytes), bytes.len());
        self.file(&format!("blobs/sha256/{hex}"), bytes);
        json!({ "mediaType": media_type, "digest": format!("sha256:{hex}"), "size": size })
    }

    fn document(&mut self, media_type: &str, value: &Value) -> Value {
        self.blob(media_type, value.to_string())
    }

    fn image(&mut self, architecture: &str) -> Value {
        let layer = self.blob("application/vnd.oci.image.layer.v1.tar+gzip", format!("\x1f layer of {architecture}"));
        let config = self.document(CONFIG, &config(architecture));
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        self.document("application/vnd.oci.image.manifest.v1+json", &manifest)
    }

    fn index(&mut self, manifests: &[Value]) -> &mut Self {
        let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
        self.file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#).file("index.json", index)
    }

    fn tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, bytes) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn read(&self) -> Result<ImageArchive, ImageArchiveError> {
        read_both(&self.tar())
    }
}

/// Reads an archive whole and by passing over its layers, which must tell the same.
fn read_both(bytes: &[u8]) -> Result<ImageArchive, ImageArchiveError> {
    let whole = ImageArchive::read(bytes);
    match (ImageArchive::index(Cursor::new(bytes)), &whole) {
        (Ok(index), Ok(whole)) => assert_eq!(index, ImageArchive { sha256: None, ..whole.clone() }),
        (Err(index), Err(whole)) => assert_eq!(index.to_string(), whole.to_string()),
        (index, whole) => panic!("{index:?} and {whole:?}"),
    }
    whole
}

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn config(architecture: &str) -> Value {
    json!({ "os": "linux", "architecture": architecture, "rootfs": { "type": "layers", "diff_ids": [] } })
}

fn config_id(architecture: &str) -> String {
    sha256_hex(config(architecture).to_string().as_bytes())
}

fn named(mut descriptor: Value, key: &str, name: &str) -> Value {
    descriptor["annotations"][key] = json!(name);
    descriptor
}

fn one_image(name: &str) -> Builder {
    let mut builder = Builder::default();
    let manifest = named(builder.image("amd64"), "org.opencontainers.image.ref.name", name);
    builder.index(&[manifest]);
    builder
}

fn docker(tags: &Value) -> Builder {
    let mut builder = Builder::default();
    let config_file = format!("{}.json", config_id("amd64"));
    builder.file(&config_file, config("amd64").to_string()).file("layer.tar", "x");
    let manifest = json!([{ "Config": config_file, "RepoTags": tags, "Layers": ["layer.tar"] }]);
    builder.file("manifest.json", manifest.to_string());
    builder
}

#[test]
fn oci_archive_is_read() {
    let builder = one_image("localhost/registry:1");
    let archive = builder.read().unwrap();
    let tar = builder.tar();
    assert_eq!((archive.length, archive.sha256.as_deref()), (tar.len() as u64, Some(sha256_hex(&tar).as_str())));
    assert_eq!(archive.format, ArchiveFormat::Oci { entries: 1 });
    assert_eq!(archive.images.len(), 1);
    let image = &archive.images[0];
    assert_eq!(image.image_id, config_id("amd64"));
    assert_eq!(image.names, ["localhost/registry:1"]);
    assert_eq!(image.platform, Some("linux/amd64".parse().unwrap()));
    assert!(image.manifest_digest.as_ref().is_some_and(|digest| digest.len() == "sha256:".len() + 64));
}

#[test]
fn names_are_those_that_podman_gives() {
    for (key, name, loaded) in [
        ("org.opencontainers.image.ref.name", "localhost/registry:1", vec!["localhost/registry:1"]),
        ("org.opencontainers.image.ref.name", "registry:1", vec!["localhost/registry:1"]),
        ("org.opencontainers.image.ref.name", "1", vec!["localhost/1:latest"]),
        ("org.opencontainers.image.ref.name", "docker.io/a:1", vec!["docker.io/library/a:1"]),
        ("org.opencontainers.image.ref.name", "", vec![]),
        ("org.opencontainers.image.ref.name", "Not A Name", vec![]),
        ("io.containerd.image.name", "quay.io/a/b:2", vec!["quay.io/a/b:2"]),
    ] {
        let mut builder = Builder::default();
        let manifest = named(builder.image("amd64"), key, name);
        builder.index(&[manifest]);
        let archive = builder.read().unwrap();
        let found: Vec<String> = archive.images[0].loaded_names().iter().map(ToString::to_string).collect();
        assert_eq!(found, loaded, "{name}");
    }
    let mut builder = Builder::default();
    let manifest = named(builder.image("amd64"), "org.opencontainers.image.ref.name", "1");
    builder.index(&[named(manifest, "io.containerd.image.name", "quay.io/a/b:1")]);
    assert_eq!(builder.read().unwrap().images[0].names, ["quay.io/a/b:1"]);
}

#[test]
fn gzip_is_read_and_hashed_as_a_file() {
    let plain = one_image("a:1");
    // Two members, as pigz and estargz write them.
    let tar = plain.tar();
    let (first, second) = tar.split_at(700);
    let mut packed = Vec::new();
    for part in [first, second] {
        let mut encoder = GzEncoder::new(&mut packed, Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    let archive = ImageArchive::read(packed.as_slice()).unwrap();
    assert_eq!(archive.images, plain.read().unwrap().images);
    assert_eq!((archive.length, archive.sha256), (packed.len() as u64, Some(sha256_hex(&packed))));

    for length in [20, packed.len() / 2, packed.len() - 1] {
        let error = ImageArchive::read(&packed[..length]).unwrap_err();
        assert!(matches!(error, ImageArchiveError::Truncated), "{length}: {error:?}");
    }
    let middle = packed.len() / 2;
    packed[middle..middle + 8].fill(0xff);
    let error = ImageArchive::read(packed.as_slice()).unwrap_err();
    assert!(matches!(error, ImageArchiveError::Damaged { .. }), "{error:?}");
}

#[test]
fn docker_archive_is_read() {
    for (tags, names) in [(json!(["a:1", "quay.io/b:2"]), vec!["a:1", "quay.io/b:2"]), (json!(null), vec![])] {
        let archive = docker(&tags).read().unwrap();
        assert_eq!(archive.format, ArchiveFormat::Docker);
        let image = archive.select(None, None).unwrap();
        assert_eq!(
            (image.names.as_slice(), &image.image_id),
            (&*names.iter().map(|s| s.to_string()).collect::<Vec<_>>(), &config_id("amd64"))
        );
        assert_eq!(image.manifest_digest, None);
    }
}

#[test]
fn archive_in_both_formats_is_read_as_podman_reads_it() {
    let docker_manifest = |builder: &Builder| {
        let config = format!("blobs/sha256/{}", config_id("amd64"));
        let layer = builder.files.first().map(|(path, _)| path.clone());
        json!([{ "Config": config, "RepoTags": ["a:1", "b:1"], "Layers": [layer] }]).to_string()
    };
    let mut one = one_image("a:1");
    let manifest = docker_manifest(&one);
    assert_eq!(one.file("manifest.json", manifest).read().unwrap().format, ArchiveFormat::Oci { entries: 1 });

    let mut two = Builder::default();
    let image = two.image("amd64");
    two.index(&[
        named(image.clone(), "io.containerd.image.name", "a:1"),
        named(image, "io.containerd.image.name", "b:1"),
    ]);
    let oci = two.read().unwrap();
    assert_eq!((oci.format, oci.images.len()), (ArchiveFormat::Oci { entries: 2 }, 1));
    assert_eq!(oci.images[0].names, ["a:1", "b:1"]);
    let manifest = docker_manifest(&two);
    let archive = two.file("manifest.json", manifest).read().unwrap();
    assert_eq!(archive.format, ArchiveFormat::Docker);
    assert_eq!(archive.images[0].image_id, oci.images[0].image_id);
}

fn several_platforms() -> Builder {
    let mut builder = Builder::default();
    let images = [builder.image("amd64"), builder.image("arm64")];
    let attestation = named(builder.image("unknown"), "vnd.docker.reference.type", "attestation-manifest");
    let absent = json!({ "digest": format!("sha256:{}", "0".repeat(64)), "size": 7 });
    let [amd64, arm64] = images;
    let index = json!({ "schemaVersion": 2, "manifests": [amd64, arm64, attestation, absent] });
    let index = builder.document("application/vnd.oci.image.index.v1+json", &index);
    builder.index(&[named(index, "org.opencontainers.image.ref.name", "quay.io/a/b:1")]);
    builder
}

#[test]
fn nested_index_is_as_many_images_and_one_is_selected() {
    let archive = several_platforms().read().unwrap();
    assert_eq!(archive.images.len(), 2);
    let platform = |text: &str| text.parse::<Platform>().unwrap();
    for (name, wanted, expected) in [
        (None, Some("linux/arm64"), Ok(config_id("arm64"))),
        (Some("quay.io/a/b:1"), Some("linux/x86_64"), Ok(config_id("amd64"))),
        (
            None,
            None,
            Err(
                "several images fit: quay.io/a/b:1 (linux/amd64), quay.io/a/b:1 (linux/arm64); say which by name or platform",
            ),
        ),
        (
            None,
            Some("linux/s390x"),
            Err("image archive has no linux/s390x; it has quay.io/a/b:1 (linux/amd64), quay.io/a/b:1 (linux/arm64)"),
        ),
        (
            Some("b:1"),
            Some("linux/amd64"),
            Err(
                "image archive has no b:1 for linux/amd64; it has quay.io/a/b:1 (linux/amd64), quay.io/a/b:1 (linux/arm64)",
            ),
        ),
    ] {
        let found = archive.select(name, wanted.map(platform).as_ref());
        let found = found.map(|image| image.image_id.clone()).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }
    let short = one_image("a").read().unwrap();
    assert!(short.select(Some("localhost/a:latest"), None).is_ok());
    assert!(short.select(Some("a"), None).is_ok());
}

#[test]
fn what_is_no_image_archive_is_refused() {
    let text = "no archive at all, but long enough for the block of a tar. ".repeat(20);
    let mut plain_tar = Builder::default();
    plain_tar.file("README", "text");
    let mut artifact = Builder::default();
    let chart = artifact.document("application/vnd.cncf.helm.config.v1+json", &json!({}));
    let manifest = artifact.document("x", &json!({ "config": chart, "layers": [] }));
    artifact.index(&[manifest]);
    let mut layout = one_image("a");
    layout.file("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    let mut broken = Builder::default();
    broken.file("index.json", r#"{"manifests":7}"#);
    for (bytes, message) in [
        (text.into_bytes(), "not an image archive: neither a tar nor a gzip of one"),
        (b"short".to_vec(), "not an image archive: neither a tar nor a gzip of one"),
        (vec![], "image archive is truncated"),
        (b"\xfd7zXZ\0rest".to_vec(), "image archive is compressed with xz; decompress it first with `xz -d`"),
        (b"\x28\xb5\x2f\xfdrest".to_vec(), "image archive is compressed with zstd; decompress it first with `zstd -d`"),
        (b"BZh9rest".to_vec(), "image archive is compressed with bzip2; decompress it first with `bzip2 -d`"),
        (plain_tar.tar(), "tar archive holds no image: it has neither index.json nor manifest.json"),
        (artifact.tar(), "image archive holds no image that could be run"),
        (layout.tar(), r#"image archive has image layout version "2.0.0"; only 1.x is known"#),
        (broken.tar(), "cannot understand index.json in the image archive"),
        (Builder::default().index(&[]).tar(), "image archive holds no image that could be run"),
    ] {
        assert_eq!(read_both(&bytes).unwrap_err().to_string(), message);
    }
}

#[test]
fn truncated_archive_is_recognised_wherever_it_ends() {
    let tar = one_image("a:1").tar();
    // The closing blocks are padding up to a multiple of 10 KiB; a block after the last content must be left.
    let content = tar.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(512);
    for length in (512..content).step_by(256) {
        let error = read_both(&tar[..length]).unwrap_err();
        assert!(matches!(error, ImageArchiveError::Truncated), "{length}: {error:?}");
    }
    assert!(ImageArchive::read(&tar[..content]).is_ok());
}

#[test]
fn contents_that_contradict_themselves_are_refused() {
    let change = |path: &str, bytes: &[u8]| {
        let mut builder = one_image("a:1");
        for file in builder.files.iter_mut().filter(|file| file.0.ends_with(path)) {
            file.1 = bytes.to_vec();
        }
        builder.read().unwrap_err()
    };
    let id = config_id("amd64");
    let same_length = config("amd64").to_string().replace("amd64", "arm64");
    let error = change(&id, same_length.as_bytes());
    assert!(matches!(&error, ImageArchiveError::DigestMismatch { expected, .. } if *expected == id), "{error:?}");
    let error = change(&id, b"{}");
    assert!(matches!(error, ImageArchiveError::BlobLength { found: 2, .. }), "{error:?}");
    let error = change(&id, &vec![b'x'; same_length.len()]);
    assert!(matches!(error, ImageArchiveError::NotADocument { .. }), "{error:?}");

    let mut builder = one_image("a:1");
    builder.files.remove(0);
    assert!(matches!(builder.read(), Err(ImageArchiveError::MissingBlob { .. })));

    let mut builder = docker(&json!(["a"]));
    builder.files[0].1 = same_length.into_bytes();
    assert!(matches!(builder.read(), Err(ImageArchiveError::DigestMismatch { .. })));

    let mut builder = Builder::default();
    builder.index(&[json!({ "digest": "sha512:abc", "size": 1 })]);
    assert!(matches!(builder.read(), Err(ImageArchiveError::Digest { .. })));
}

#[test]
fn indexes_do_not_nest_without_end() {
    let mut builder = Builder::default();
    let mut descriptor = builder.image("amd64");
    for _ in 0..6 {
        descriptor = builder.document("x", &json!({ "manifests": [descriptor] }));
    }
    builder.index(&[descriptor]);
    assert!(matches!(builder.read(), Err(ImageArchiveError::TooDeep { .. })));
}

#[test]
fn error_of_the_file_is_not_taken_for_one_of_the_archive() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::Error::other("disk")),
                count => Ok(count),
            }
        }
    }
    let tar = one_image("a:1").tar();
    for length in [0, 100, 2000] {
        let error = ImageArchive::read(Failing(&tar[..length])).unwrap_err();
        assert!(matches!(error, ImageArchiveError::Read { .. }), "{length}: {error:?}");
    }
}

/// An image of two layers, in a file, as `podman save` writes either format; with the digests of what is in its layers.
fn two_layers(format: &str) -> (tempfile::NamedTempFile, Blob, Vec<String>) {
    let mut builder = Builder::default();
    let layers = [vec![1_u8; 50_000], vec![2_u8; 700]];
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256_hex(layer))).collect();
    let config =
        json!({ "os": "linux", "architecture": "amd64", "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    if format == "oci" {
        let packed = |builder: &mut Builder, layer: &[u8]| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
            gzip.write_all(layer).unwrap();
            builder.blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip.finish().unwrap())
        };
        let layers: Vec<Value> = layers.iter().map(|layer| packed(&mut builder, layer)).collect();
        let config = builder.document(CONFIG, &config);
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers, "annotations": { "a": "b" } });
        let entry = builder.document("application/vnd.oci.image.manifest.v1+json", &manifest);
        builder.index(&[named(entry, "org.opencontainers.image.ref.name", "localhost/two:1")]);
    } else {
        let file = format!("{}.json", sha256_hex(config.to_string().as_bytes()));
        let names: Vec<String> = diff_ids.iter().map(|digest| format!("{}.tar", &digest[7..])).collect();
        layers.iter().zip(&names).for_each(|(layer, name)| _ = builder.file(name, layer.clone()));
        builder.file(&file, config.to_string());
        let manifest = json!([{ "Config": file, "RepoTags": ["localhost/two:1"], "Layers": names }]);
        builder.file("manifest.json", manifest.to_string());
    }
    // As in a bundle, with something before it.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[b"before".as_slice(), &builder.tar()].concat()).unwrap();
    let path = camino::Utf8PathBuf::from_path_buf(file.path().to_path_buf()).unwrap();
    let blob = Blob::from_stretch(path, 6, builder.tar().len() as u64, String::new());
    (file, blob, diff_ids)
}

fn unpacked(digests: &[&String]) -> Layers {
    Layers { unpacked: digests.iter().map(|digest| ((*digest).clone(), 50_000)).collect(), ..Layers::default() }
}

fn files(blob: &Blob) -> Vec<(String, Vec<u8>)> {
    let bytes = blob.read().unwrap();
    assert_eq!(bytes.len() as u64, blob.length());
    let mut archive = tar::Archive::new(bytes.as_slice());
    let file = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    };
    archive.entries().unwrap().map(file).collect()
}

#[test]
fn an_archive_without_what_is_there_has_the_rest_and_the_same_image() {
    for format in ["oci", "docker"] {
        let (_file, blob, diff_ids) = two_layers(format);
        let archive = ImageArchive::index(Cursor::new(blob.read().unwrap())).unwrap();
        let image = archive.select(None, None).unwrap();
        let layered = archive.layered(image).unwrap();
        assert_eq!(layered.count(), 2);
        assert!(diff_ids.iter().all(|digest| layered.digests().contains(digest)));
        assert_eq!(layered.without(&Layers::default(), &blob), None, "{format}");
        let there = unpacked(&[&diff_ids[0]]);
        assert_eq!(layered.present(&there), 1);
        let rest = layered.without(&there, &blob).unwrap();
        assert!(rest.length() < blob.length() - 40_000, "{format}");
        // Every document is under its digest, and the one layer that is missing is there.
        let files = files(&rest);
        let blobs: Vec<&(String, Vec<u8>)> =
            files.iter().filter(|(name, _)| name.starts_with("blobs/sha256/")).collect();
        assert_eq!((files.len(), blobs.len()), (5, 3), "{format}");
        assert!(blobs.iter().all(|(name, content)| name.ends_with(&sha256_hex(content))));
        assert!(blobs.iter().any(|(name, _)| name.ends_with(&image.image_id)));
        let content = |name: &str| -> Value {
            serde_json::from_slice(&files.iter().find(|(own, _)| own == name).unwrap().1).unwrap()
        };
        let entry = &content("index.json")["manifests"][0];
        assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "localhost/two:1");
        let manifest = content(&format!("blobs/sha256/{}", &entry["digest"].as_str().unwrap()[7..]));
        assert_eq!(manifest["config"]["digest"], format!("sha256:{}", image.image_id));
        assert_eq!(
            (&manifest["layers"][0]["digest"], &manifest["layers"][0]["size"]),
            (&json!(diff_ids[0]), &json!(50_000))
        );
        let last = manifest["layers"][1]["digest"].as_str().unwrap();
        assert!(blobs.iter().any(|(name, _)| name.ends_with(&last[7..])), "{format}");
        // The same bytes again, so that sending them can go on.
        assert_eq!(rest.clone().hashed().unwrap(), layered.without(&there, &blob).unwrap().hashed().unwrap());
        // With all of its layers there only what describes it is sent.
        let all = layered.without(&unpacked(&[&diff_ids[0], &diff_ids[1]]), &blob).unwrap();
        assert!(all.length() < rest.length(), "{format}: {}", all.length());
    }
}

#[test]
fn a_layer_that_the_host_knows_packed_is_described_as_it_is() {
    let (_file, blob, diff_ids) = two_layers("oci");
    let archive = ImageArchive::index(Cursor::new(blob.read().unwrap())).unwrap();
    let image = archive.select(None, None).unwrap();
    let layered = archive.layered(image).unwrap();
    let there = Layers { packed: layered.digests(), ..unpacked(&[&diff_ids[0]]) };
    let names: Vec<String> =
        files(&layered.without(&there, &blob).unwrap()).into_iter().map(|(name, _)| name).collect();
    let manifest = format!("blobs/sha256/{}", &image.manifest_digest.as_ref().unwrap()[7..]);
    assert!(names.contains(&manifest), "the manifest is another");
}

#[test]
fn what_is_not_layer_by_layer_in_the_file_is_sent_whole() {
    // Compressed as a whole.
    let (_file, blob, _) = two_layers("docker");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&blob.read().unwrap()).unwrap();
    let archive = ImageArchive::index(Cursor::new(gzip.finish().unwrap())).unwrap();
    assert_eq!(archive.layered(archive.select(None, None).unwrap()), None);
    // As many layers as the configuration has, and none of them a link or compressed.
    let archive = ImageArchive::index(Cursor::new(docker(&json!(["a:1"])).tar())).unwrap();
    assert_eq!(archive.layered(archive.select(None, None).unwrap()), None);
    let bytes = blob.read().unwrap();
    let at = bytes.windows(16).position(|window| window == [1; 16]).unwrap();
    let mut compressed = bytes.clone();
    compressed[at..at + 2].copy_from_slice(&[0x1f, 0x8b]);
    let archive = ImageArchive::index(Cursor::new(compressed)).unwrap();
    assert_eq!(archive.layered(archive.select(None, None).unwrap()), None);
}
