//! `download`: a file from the web, known by its digest.

use std::time::Duration;

use crate::attribute::{Mode, Span};
use crate::change::{Action, Change, Shown, Signal};
use crate::fetch::{Download as Content, Outside, Sha256, WebAddress};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, FileState, PathState, Sort, Undecided, Wanted};
use crate::resource::directory::{
    compare_ownership, in_the_way, kept_ownership, ownership, ownership_wants, wanted_ownership, with_parent,
};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::{Ownership, Step};

/// The kind.
pub static KIND: Kind = Kind {
    name: "download",
    summary: "A file from the web, known by its digest.",
    fields: &[
        Field {
            name: "url",
            takes: "address",
            required: true,
            doc: "Where it comes from: `https://...` or `http://...`.",
        },
        Field { name: "path", takes: "path", required: true, doc: "Where it goes on the host." },
        Field {
            name: "sha256",
            takes: "text",
            required: true,
            doc: "The SHA-256 of its content. Nothing is downloaded while the host has a file with that digest.",
        },
        Field {
            name: "via",
            takes: "\"host\" | \"here\"",
            required: false,
            doc: "Who downloads: the host, with its curl or wget (without this field), or this side, which keeps what it has downloaded and sends it along.",
        },
        Field { name: "mode", takes: "mode", required: false, doc: "Permission bits; without it \"0644\"." },
        Field { name: "owner", takes: "user", required: false, doc: "By name or number; left as it is without it." },
        Field { name: "group", takes: "group", required: false, doc: "By name or number; left as it is without it." },
        Field {
            name: "timeout",
            takes: "span",
            required: false,
            doc: "Longest time that the host may take for it; without it \"15m\".",
        },
    ],
    example: r#"
[download.tool]
url = "https://example.com/tool"
path = "/opt/tool"
sha256 = "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf"
mode = "0755"
"#,
    templates: &[],
    assets: &[],
    read,
};

const DEFAULT_MODE: Mode = Mode::new(0o644);
const DEFAULT_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Who downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    Host,
    Here,
}

impl std::str::FromStr for Via {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "host" => Ok(Self::Host),
            "here" => Ok(Self::Here),
            _ => Err("it is \"host\" or \"here\""),
        }
    }
}

#[derive(Debug)]
struct Download {
    path: AbsPath,
    content: Content,
    via: Via,
    mode: Mode,
    ownership: Ownership,
    limit: Duration,
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let url: Option<WebAddress> = fields.required("url");
    let path = fields.required("path");
    let sha256: Option<Sha256> = fields.required("sha256");
    let via = fields.optional("via").unwrap_or(Via::Host);
    let mode = fields.optional("mode").unwrap_or(DEFAULT_MODE);
    let ownership = ownership(fields);
    let limit = fields.optional::<Span>("timeout").map_or(DEFAULT_LIMIT, Span::duration);
    let content = Content { url: url?.as_str().to_owned(), sha256: sha256?.as_str().to_owned() };
    Some(Box::new(Download { path: path?, content, via, mode, ownership, limit }))
}

impl Download {
    fn look(&self) -> Ask {
        Ask::File { path: self.path.clone(), content: Wanted::Never }
    }

    /// Whether a change is of more than mode and owner.
    fn replaces(change: &Change) -> bool {
        change.attributes.iter().any(|attribute| attribute.name == "sha256")
    }
}

impl Resource for Download {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Path(self.path.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        let parent = Want::after(Target::Parent(self.path.clone()));
        std::iter::once(parent).chain(ownership_wants(&self.ownership)).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        with_parent(&self.path).into_iter().chain([self.look()]).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { path, content, via: _, mode, ownership, limit: _ } = self;
        let (action, before, entry) = match answers.path(path)? {
            PathState::Absent => {
                context.require_parent(path, answers)?;
                (Action::Create, Shown::Absent, None)
            }
            PathState::Present(entry) if entry.sort == Sort::File => match answers.file(path, &Wanted::Never)? {
                FileState::Present { sha256, .. } => (Action::Update, sha256.as_str().into(), Some(entry)),
                FileState::Absent => return Err(Undecided::new(format!("{path} went away while it was looked at"))),
            },
            PathState::Present(entry) => return Err(in_the_way(path, &entry.sort, "file")),
        };
        let mut change = Change::new(action);
        change.compare("sha256", before, content.sha256.as_str());
        change.compare("mode", entry.map(|entry| Shown::Text(entry.mode.to_string())), mode.to_string());
        compare_ownership(&mut change, entry, ownership);
        Ok(if change.attributes.is_empty() { Change::none() } else { change.signals(Signal::Content) })
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let mut wanted = vec![("sha256", self.content.sha256.as_str().into()), ("mode", self.mode.to_string().into())];
        wanted.extend(wanted_ownership(["owner", "group"], &self.ownership));
        wanted
    }

    fn downloads(&self, change: &Change) -> Option<Content> {
        (self.via == Via::Here && Self::replaces(change)).then(|| self.content.clone())
    }

    fn outside(&self) -> Vec<Outside> {
        vec![match self.via {
            Via::Here => Outside::Here(self.content.clone()),
            Via::Host => Outside::Host(format!("downloads {}", self.content.url)),
        }]
    }

    fn steps(&self, change: &Change, answers: &Answers, materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { path, content, via, mode, ownership, limit } = self;
        let (path, mode) = (path.clone(), *mode);
        if !Self::replaces(change) {
            return Ok(vec![Step::SetAttributes { path, mode: Some(mode), ownership: ownership.clone() }]);
        }
        let ownership = kept_ownership(ownership, answers.path(&path)?);
        Ok(vec![match via {
            Via::Host => Step::Fetch { path, download: content.clone(), mode, ownership, limit: *limit },
            Via::Here => {
                let content = materials.download(content)?.clone();
                Step::PutFile { path, content, mode, ownership, validate: Vec::new() }
            }
        }])
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.path.to_string())]
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    const TOOL: &str = "url = 'https://example.com/tool'\npath = '/opt/tool'\nsha256 = 'a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf'\n";
    const DIGEST: &str = "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf";

    #[test]
    fn a_file_is_downloaded_once() {
        case("download", TOOL)
            .creates(&format!("sha256: (absent) -> {DIGEST}, mode: (absent) -> 0644"))
            .steps("download /opt/tool")
            .in_sync()
            .steps("");
    }

    #[test]
    fn another_content_is_replaced_and_a_mode_alone_costs_no_download() {
        case("download", TOOL)
            .given_file("/opt/tool", "by hand", "0644")
            .expects(
                crate::change::Action::Update,
                &format!("sha256: {} -> {DIGEST}", crate::blob::sha256_hex(b"by hand")),
            )
            .mended();
        case("download", TOOL)
            .given_file("/opt/tool", "#!/bin/sh\n", "0600")
            .updates("mode: 0600 -> 0644")
            .steps("set mode and owner of /opt/tool");
    }

    #[test]
    fn what_is_no_file_is_in_the_way() {
        case("download", TOOL)
            .given_directory("/opt/tool", "0755")
            .undecided("/opt/tool is a directory on the host, and the plan wants a file there");
    }

    #[test]
    fn an_address_with_a_password_and_a_digest_that_is_none_are_refused() {
        case("download", "url = 'https://a:b@example.com/'\npath = '/opt/tool'\nsha256 = 'abc'").refused(
            "3:7: \"https://a:b@example.com/\" does not fit `url` of download.x (a user and password in an address can be read by everybody: leave them out)\n5:10: \"abc\" does not fit `sha256` of download.x (it is the 64 hex digits that `sha256sum` prints)",
        );
    }
}
