"""Makes image archives, without any container tool on the machine.

    image.py oci|docker REFERENCE ARCHITECTURE LAYER.. OUT.tar [--entrypoint JSON] [--cmd JSON] [--config JSON]

A layer is a tar, or one that is packed with gzip already. --config: more of an image's `config`, such as its User.
The same layers always give the same bytes: no clock, no names of this machine, sorted keys.
Formats: OCI image-layout and image-spec 1.0; the docker-archive format of `docker save` (manifest.json).
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tempfile

EPOCH = "1970-01-01T00:00:00Z"


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(stream):
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()


class Archive:
    """A tar whose members carry nothing but a name and bytes."""

    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)

    def add(self, name, stream):
        stream.seek(0, io.SEEK_END)
        member = tarfile.TarInfo(name)
        member.size = stream.tell()
        member.mode = 0o644
        stream.seek(0)
        self.tar.addfile(member, stream)

    def add_bytes(self, name, content):
        self.add(name, io.BytesIO(content))

    def close(self):
        self.tar.close()


def packed(layer):
    """With gzip; as it is, if it is that already."""
    layer.seek(0)
    if layer.read(2) == b"\x1f\x8b":
        return layer
    out = tempfile.TemporaryFile()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as zipped:
        layer.seek(0)
        shutil.copyfileobj(layer, zipped)
    return out


def plain(layer):
    """Without gzip."""
    layer.seek(0)
    if layer.read(2) != b"\x1f\x8b":
        return layer
    layer.seek(0)
    out = tempfile.TemporaryFile()
    with gzip.GzipFile(fileobj=layer) as zipped:
        shutil.copyfileobj(zipped, out)
    return out


def oci(archive, reference, layers, config):
    """Compressed, as an image pushed by podman is: an archive's size is what a test uploads."""

    def blob(stream):
        name = digest(stream)
        archive.add(f"blobs/sha256/{name}", stream)
        return {"digest": f"sha256:{name}", "size": stream.seek(0, io.SEEK_END)}

    vendor = "application/vnd.oci.image"
    archive.add_bytes("oci-layout", as_json({"imageLayoutVersion": "1.0.0"}))
    layers = [blob(packed(layer)) | {"mediaType": f"{vendor}.layer.v1.tar+gzip"} for layer in layers]
    config = blob(io.BytesIO(as_json(config))) | {"mediaType": f"{vendor}.config.v1+json"}
    manifest = {"schemaVersion": 2, "mediaType": f"{vendor}.manifest.v1+json", "config": config, "layers": layers}
    manifest = blob(io.BytesIO(as_json(manifest))) | {
        "mediaType": f"{vendor}.manifest.v1+json",
        "annotations": {"org.opencontainers.image.ref.name": reference},
    }
    archive.add_bytes("index.json", as_json({"schemaVersion": 2, "manifests": [manifest]}))


def docker(archive, reference, layers, config):
    """Uncompressed layers, named by their digests, as `docker save` and `podman save` write them."""
    layers = [plain(layer) for layer in layers]
    names = [f"{digest(layer)}.tar" for layer in layers]
    config = as_json(config)
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    for name, layer in zip(names, layers):
        archive.add(name, layer)
    archive.add_bytes(config_name, config)
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": names}]
    archive.add_bytes("manifest.json", as_json(manifest))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("format", choices=["oci", "docker"])
    parser.add_argument("reference")
    parser.add_argument("architecture", help="amd64, arm64: Debian's names, which are OCI's too")
    parser.add_argument("layers", nargs="+")
    parser.add_argument("out")
    parser.add_argument("--entrypoint", type=json.loads, default=[])
    parser.add_argument("--cmd", type=json.loads, default=[])
    parser.add_argument("--config", type=json.loads, default={})
    arguments = parser.parse_args()

    with contextlib.ExitStack() as files:
        layers = [files.enter_context(open(layer, "rb")) for layer in arguments.layers]
        environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        config = {
            "architecture": arguments.architecture,
            "os": "linux",
            "created": EPOCH,
            "config": arguments.config
            | {
                "Entrypoint": arguments.entrypoint,
                "Cmd": arguments.cmd,
                "Env": environment + arguments.config.get("Env", []),
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(plain(layer))}" for layer in layers]},
            "history": [{"created": EPOCH, "created_by": "provision testbed"} for _ in layers],
        }
        archive = Archive(arguments.out)
        {"oci": oci, "docker": docker}[arguments.format](archive, arguments.reference, layers, config)
        archive.close()


if __name__ == "__main__":
    main()
