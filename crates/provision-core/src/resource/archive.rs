//! `archive`: a directory with what an archive holds.

use crate::attribute::Account;
use crate::blob::Blob;
use crate::change::{Action, Change, Shown, Signal};
use crate::fetch::Sha256;
use crate::knob::archive::ARCHIVE;
use crate::knob::measure::MEASURE;
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, FileState, Undecided, Wanted};
use crate::resource::directory::{ownership, ownership_wants, with_parent};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want, package};
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "archive",
    summary: "A directory with what an archive holds, unpacked once.",
    fields: &[
        Field {
            name: "path",
            takes: "path",
            required: true,
            doc: "The directory. It is the archive's alone: it is put in place as a whole, and replaced as a whole by another archive.",
        },
        Field {
            name: "source",
            takes: "file",
            required: false,
            doc: "The archive, beside the plan. Exactly one of this and `from`.",
        },
        Field {
            name: "from",
            takes: "path",
            required: false,
            doc: "The archive on the host, such as that of a `download`; with it `sha256` is needed.",
        },
        Field { name: "sha256", takes: "text", required: false, doc: "The SHA-256 that the archive must have." },
        Field {
            name: "format",
            takes: "\"tar\" | \"gzip\" | \"xz\" | \"zstd\" | \"zip\"",
            required: false,
            doc: "What it is: a tar, as it is or compressed, or a zip; told by the name's end without it. The host needs tar and the program of that name, for a zip `unzip`.",
        },
        Field {
            name: "strip",
            takes: "integer",
            required: false,
            doc: "How many directories around the contents are left out; without it none. Each must be the only thing there.",
        },
        Field {
            name: "owner",
            takes: "user",
            required: false,
            doc: "Of all that is in it, by name or number; whoever unpacks it without it.",
        },
        Field { name: "group", takes: "group", required: false, doc: "Of all that is in it, by name or number." },
    ],
    example: r#"
[download.tools]
url = "https://example.com/tool"
path = "/opt/tools.tar.gz"
sha256 = "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf"

[archive.tools]
path = "/opt/tools"
from = "{{ download.tools.path }}"
sha256 = "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf"
strip = 1
"#,
    templates: &[],
    assets: &["source"],
    read,
};

/// Where the archive is.
#[derive(Debug)]
enum Source {
    Here(Blob),
    Host(AbsPath),
}

#[derive(Debug)]
struct Archive {
    path: AbsPath,
    source: Source,
    knob: Knob,
    /// The line that the knob has once it is unpacked.
    line: String,
    sha256: String,
    /// What unpacks it.
    tools: &'static [Tool],
    /// Its owner and group before it, where the plan makes them.
    owners: Vec<Want>,
}

fn format_of(name: &str) -> Option<&'static str> {
    const ENDS: [(&str, &str); 9] = [
        (".tar", "tar"),
        (".tar.gz", "gzip"),
        (".tgz", "gzip"),
        (".tar.xz", "xz"),
        (".txz", "xz"),
        (".tar.zst", "zstd"),
        (".tar.zstd", "zstd"),
        (".tzst", "zstd"),
        (".zip", "zip"),
    ];
    let name = name.to_lowercase();
    ENDS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| *format)
}

/// A program of the host, and the packages that bring it.
type Tool = (&'static str, &'static [&'static str]);

/// What unpacks a format.
fn tools(format: &str) -> &'static [Tool] {
    const TAR: Tool = ("tar", &["tar"]);
    match format {
        "zip" => &[("unzip", &["unzip"])],
        "gzip" => &[TAR, ("gzip", &["gzip"])],
        "xz" => &[TAR, ("xz", &["xz-utils", "xz"])],
        "zstd" => &[TAR, ("zstd", &["zstd"])],
        _ => &[TAR],
    }
}

/// Whether the host has it.
fn has(program: &str) -> Knob {
    Knob::new(&MEASURE, format!("program {program}"))
}

/// The format as a plan writes it.
struct Format(&'static str);

impl std::str::FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = ["tar", "gzip", "xz", "zstd", "zip"].into_iter().find(|known| *known == text);
        known.map(Self).ok_or("it is \"tar\", \"gzip\", \"xz\", \"zstd\" or \"zip\"")
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path: Option<AbsPath> = fields.required("path");
    let source: Option<String> = fields.optional("source");
    let from: Option<AbsPath> = fields.optional("from");
    let sha256: Option<Sha256> = fields.optional("sha256");
    let format: Option<Format> = fields.optional("format");
    let strip = fields.integer("strip", 0..=16).unwrap_or(0);
    let ownership = ownership(fields);
    if fields.has("source") == fields.has("from") {
        let found = if fields.has("source") { "both" } else { "neither" };
        let message = format!("{} has {found} of `source` and `from`", fields.label());
        fields.problem("", message, "write exactly one of them");
        return None;
    }
    let named = source.clone().or_else(|| from.as_ref().map(ToString::to_string))?;
    let Some(format) = format.map(|Format(format)| format).or_else(|| format_of(&named)) else {
        if !fields.has("format") {
            let field = if source.is_some() { "source" } else { "from" };
            let help = "add `format = ...`: tar, gzip, xz, zstd or zip";
            fields.problem(field, format!("the name {named} does not tell what archive it is"), help);
        }
        return None;
    };
    let (source, digest) = match (source, from) {
        (Some(source), _) => match setup.assets.blob(&source) {
            Ok(blob) => {
                let digest = blob.sha256().to_owned();
                (Source::Here(blob), digest)
            }
            Err(reason) => {
                fields.problem("source", reason, "a relative path starts at the plan's directory");
                return None;
            }
        },
        (None, Some(from)) => {
            fields.must_have("sha256");
            (Source::Host(from), sha256.as_ref()?.as_str().to_owned())
        }
        (None, None) => return None,
    };
    if let Some(wanted) = sha256.filter(|wanted| wanted.as_str() != digest) {
        let message = format!("the archive has the SHA-256 {digest}, not {}", wanted.as_str());
        fields.problem("sha256", message, "get the right archive, or correct the digest");
        return None;
    }
    let path = path?;
    let owners = ownership_wants(&ownership).collect();
    let account = |account: Option<Account>| account.map_or_else(|| "-".to_owned(), |account| account.to_string());
    let line = format!("{digest} {format} {strip} {} {}", account(ownership.user), account(ownership.group));
    let knob = Knob::new(&ARCHIVE, path.as_str());
    Some(Box::new(Archive { path, source, knob, line, sha256: digest, tools: tools(format), owners }))
}

impl Archive {
    fn look(from: &AbsPath) -> Ask {
        Ask::File { path: from.clone(), content: Wanted::Never }
    }

    /// What is in a line, as attributes.
    fn attributes_of(line: &str) -> Vec<(&'static str, Shown)> {
        const NAMES: [&str; 5] = ["sha256", "format", "strip", "owner", "group"];
        NAMES.into_iter().zip(line.split(' ')).filter(|(_, value)| *value != "-").map(|(n, v)| (n, v.into())).collect()
    }
}

impl Resource for Archive {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Directory(self.path.clone())]
    }

    fn objects(&self) -> Vec<Object> {
        vec![Object::Knob(self.knob.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants = vec![Want::after(Target::Parent(self.path.clone()))];
        if let Source::Host(from) = &self.source {
            wants.push(Want::after(Target::Tree(from.clone())));
        }
        wants.extend(self.owners.iter().cloned());
        wants.extend(self.tools.iter().flat_map(|(_, packages)| packages.iter().map(|name| package::want(name))));
        wants
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = with_parent(&self.path);
        asks.push(Ask::Knob(self.knob.clone()));
        asks.extend(self.tools.iter().map(|(program, _)| Ask::Knob(has(program))));
        if let Source::Host(from) = &self.source {
            asks.push(Self::look(from));
        }
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { path, source, knob, line, sha256, tools, owners: _ } = self;
        let now = answers.knob(knob)?;
        if now == line {
            return Ok(Change::none());
        }
        for (program, packages) in *tools {
            if answers.knob(&has(program))? == "no" && !context.command_pending() {
                let message = format!("the host has no {program}, and unpacking this archive takes it");
                let help = format!("install the package {} there, or let the plan have it", packages.join(" or "));
                return Err(Undecided::with_help(message, help));
            }
        }
        if now == ABSENT {
            context.require_parent(path, answers)?;
        }
        if let Source::Host(from) = source {
            let pending = context.pending(&Thing::Path(from.clone())).is_some() || context.command_pending();
            match answers.file(from, &Wanted::Never)? {
                _ if pending => {}
                FileState::Present { sha256: found, .. } if found == sha256 => {}
                FileState::Present { sha256: found, .. } => {
                    let message = format!("{from} has the SHA-256 {found}, and the plan wants {sha256}");
                    return Err(Undecided::with_help(message, "put the right archive there, or correct `sha256`"));
                }
                FileState::Absent => {
                    let message = format!("there is no archive at {from}");
                    return Err(Undecided::with_help(message, "put it there, or let a `download` bring it"));
                }
            }
        }
        let before: Vec<(&str, Shown)> = match now.as_str() {
            ABSENT => Vec::new(),
            "foreign" => vec![("sha256", "what no archive brought".into())],
            line => Self::attributes_of(line),
        };
        let mut change = Change::new(if now == ABSENT { Action::Create } else { Action::Replace });
        let wanted = Self::attributes_of(line);
        let side = |found: &[(&str, Shown)], name: &str| {
            found.iter().find(|(known, _)| *known == name).map_or(Shown::Absent, |(_, value)| value.clone())
        };
        for name in ["sha256", "format", "strip", "owner", "group"] {
            change.compare(name, side(&before, name), side(&wanted, name));
        }
        if change.action == Action::Replace {
            change.reasons.push("what is in the directory now is replaced as a whole".to_owned());
        }
        Ok(change.signals(Signal::Content))
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        Self::attributes_of(&self.line)
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { source, knob, line, .. } = self;
        let (state, input) = match source {
            Source::Here(blob) => (line.clone(), Some(blob.clone())),
            Source::Host(from) => (format!("{line}\n{from}"), None),
        };
        Ok(vec![Step::Turn { knob: knob.clone(), state, input }])
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.path.to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    const DIGEST: &str = "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf";

    fn tools(rest: &str) -> String {
        format!("path = '/opt/tools'\nfrom = '/srv/t.tar.gz'\nsha256 = '{DIGEST}'\n{rest}")
    }

    fn knob() -> Knob {
        Knob::new(&ARCHIVE, "/opt/tools")
    }

    #[test]
    fn an_archive_is_unpacked_once() {
        case("archive", &tools("strip = 1"))
            .given_file("/srv/t.tar.gz", "#!/bin/sh\n", "0644")
            .creates(&format!("sha256: (absent) -> {DIGEST}, format: (absent) -> gzip, strip: (absent) -> 1"))
            .steps("set the contents of /opt/tools")
            .in_sync();
    }

    #[test]
    fn another_archive_takes_its_place_as_a_whole() {
        let before = format!("{} gzip 0 - -", "b".repeat(64));
        case("archive", &tools("owner = 'core'"))
            .given_file("/srv/t.tar.gz", "#!/bin/sh\n", "0644")
            .given(|state| state.turn(&knob(), &before))
            .expects(Action::Replace, &format!("sha256: {} -> {DIGEST}, owner: (absent) -> core", "b".repeat(64)))
            .because("what is in the directory now is replaced as a whole")
            .mended();
    }

    #[test]
    fn an_archive_that_is_not_there_or_another_is_said() {
        case("archive", &tools("")).undecided("there is no archive at /srv/t.tar.gz");
        let found = crate::blob::sha256_hex(b"other");
        case("archive", &tools(""))
            .given_file("/srv/t.tar.gz", "other", "0644")
            .undecided(&format!("/srv/t.tar.gz has the SHA-256 {found}, and the plan wants {DIGEST}"));
    }

    #[test]
    fn a_download_may_bring_it() {
        let download =
            format!("[download.t]\nurl = 'https://example.com/tool'\npath = '/srv/t.tar.gz'\nsha256 = '{DIGEST}'\n");
        case("archive", &tools("")).plan(&download).applied().in_sync();
    }

    #[test]
    fn a_program_that_the_host_lacks_is_said_before_unless_a_package_brings_it() {
        let zip = format!("path = '/opt/tools'\nfrom = '/srv/t.zip'\nsha256 = '{DIGEST}'");
        let without = |program: &'static str, fields: &str| {
            case("archive", fields)
                .given_file("/srv/t.zip", "#!/bin/sh\n", "0644")
                .given_file("/srv/t.tar.gz", "#!/bin/sh\n", "0644")
                .given(move |state| state.turn(&has(program), "no"))
        };
        without("unzip", &zip).undecided("the host has no unzip, and unpacking this archive takes it");
        without("unzip", &zip).plan("[package.unzip]\n").mended();
        // What is unpacked stays without it.
        without("unzip", &zip).given(|state| state.turn(&knob(), &format!("{DIGEST} zip 0 - -"))).in_sync();
        without("unzip", &tools("")).mended();
        without("gzip", &tools("")).undecided("the host has no gzip, and unpacking this archive takes it");
        without("tar", &tools("")).undecided("the host has no tar, and unpacking this archive takes it");
        let zstd = tools("format = 'zstd'");
        without("zstd", &zstd).undecided("the host has no zstd, and unpacking this archive takes it");
    }

    #[test]
    fn what_the_plan_lacks_or_mistakes_is_found() {
        case("archive", "path = '/opt/t'")
            .refused("2:10: archive.x has neither of `source` and `from` (write exactly one of them)");
        case("archive", "path = '/opt/t'\nfrom = '/srv/t.rar'\nsha256 = 'x'").refused(
            "4:8: the name /srv/t.rar does not tell what archive it is (add `format = ...`: tar, gzip, xz, zstd or zip)\n5:10: \"x\" does not fit `sha256` of archive.x (it is the 64 hex digits that `sha256sum` prints)",
        );
        case("archive", "path = '/opt/t'\nfrom = '/srv/t.zip'")
            .refused("2:10: archive.x lacks `sha256` (add `sha256 = ...`; `provision kinds` shows what it takes)");
    }
}
