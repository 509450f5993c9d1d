//! `file`: a regular file with its content, mode and owner.

use crate::attribute::Mode;
use crate::blob::Blob;
use crate::change::{Action, Change, Shown, Signal};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, CONTENT_LIMIT, Entry, FileState, PathState, Sort, Undecided, Wanted};
use crate::resource::directory::{
    compare_ownership, in_the_way, kept_ownership, ownership, ownership_wants, wanted_ownership, with_parent,
};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::{Ownership, Step};

/// The kind.
pub static KIND: Kind = Kind {
    name: "file",
    summary: "A regular file with its content, mode and owner.",
    fields: &[
        Field { name: "path", takes: "path", required: true, doc: "Where it is." },
        Field {
            name: "content",
            takes: "text",
            required: false,
            doc: "What is in it. Exactly one of `content`, `source` and `template`.",
        },
        Field {
            name: "source",
            takes: "file",
            required: false,
            doc: "A file beside the plan that is sent byte for byte.",
        },
        Field {
            name: "template",
            takes: "file",
            required: false,
            doc: "A file beside the plan that is rendered first.",
        },
        Field {
            name: "mode",
            takes: "mode",
            required: false,
            doc: "Permission bits; without it \"0644\", or \"0600\" when a secret goes into it.",
        },
        Field { name: "owner", takes: "user", required: false, doc: "By name or number; left as it is without it." },
        Field { name: "group", takes: "group", required: false, doc: "By name or number; left as it is without it." },
        Field {
            name: "validate",
            takes: "list of text",
            required: false,
            doc: "A command that must succeed before the new content replaces the old; `%s` is the new file.",
        },
    ],
    example: r#"
[file.motd]
path = "/etc/motd"
content = "Managed by provision.\n"

[file.sudoers]
path = "/etc/sudoers.d/core"
content = "core ALL=(ALL) NOPASSWD: ALL\n"
mode = "0440"
validate = ["visudo", "-cf", "%s"]
"#,
    templates: &["template"],
    assets: &["source"],
    read,
};

const DEFAULT_MODE: Mode = Mode::new(0o644);
const SECRET_MODE: Mode = Mode::new(0o600);

/// A file with known content. Other kinds that come down to one file, such as a unit, are made of it.
#[derive(Debug, Clone)]
pub(crate) struct FileSpec {
    pub(crate) path: AbsPath,
    pub(crate) content: Blob,
    pub(crate) secret: bool,
    pub(crate) mode: Mode,
    pub(crate) ownership: Ownership,
    pub(crate) validate: Vec<String>,
}

#[derive(Debug)]
struct File {
    spec: FileSpec,
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path = fields.required("path");
    refuse_root(fields, path.as_ref());
    let content = fields.text("content");
    let source: Option<String> = fields.optional("source");
    let template = fields.text("template");
    let mode = fields.optional("mode");
    let ownership = ownership(fields);
    let validate: Vec<String> = fields.list("validate");
    if validate.first().is_some_and(String::is_empty) {
        fields.problem("validate", "there is no program to run", "write a list: program, then arguments");
    } else if !validate.is_empty() && !validate.iter().skip(1).any(|argument| argument.contains("%s")) {
        fields.problem("validate", "the command never gets the new file", "put `%s` where its path belongs");
    }
    fields.one_of("", ["content", "source", "template"])?;
    let (content, secret) = match (content.or(template), source) {
        (Some(text), _) => (Blob::from_bytes(text.expose().as_bytes().to_vec()), text.is_secret()),
        (None, Some(source)) => match setup.assets.blob(&source) {
            Ok(blob) => (blob, false),
            Err(reason) => {
                fields.problem("source", reason, "a relative path starts at the plan's directory");
                return None;
            }
        },
        (None, None) => return None,
    };
    let mode = mode.unwrap_or(if secret { SECRET_MODE } else { DEFAULT_MODE });
    Some(Box::new(File { spec: FileSpec { path: path?, content, secret, mode, ownership, validate } }))
}

/// Nothing but a directory stands at the root.
pub(crate) fn refuse_root(fields: &Fields<'_>, path: Option<&AbsPath>) {
    if path == Some(&AbsPath::root()) {
        let message = format!("`/` is a directory, and {} is none", fields.label());
        fields.problem("path", message, "write the path of the thing itself");
    }
}

impl Resource for File {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Path(self.spec.path.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        let parent = Want::after(Target::Parent(self.spec.path.clone()));
        std::iter::once(parent).chain(ownership_wants(&self.spec.ownership)).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        self.spec.asks()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        Ok(self.spec.diff(answers, context)?.signals(Signal::Content))
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        Ok(vec![self.spec.step(change, answers)?])
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        self.spec.wanted()
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.spec.path.to_string()), ("mode", self.spec.mode.to_string())]
    }
}

impl FileSpec {
    /// A file that is not secret, of the usual mode, whose owner is left alone.
    pub(crate) fn new(path: AbsPath, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path,
            content: Blob::from_bytes(content.into()),
            secret: false,
            mode: DEFAULT_MODE,
            ownership: Ownership::default(),
            validate: Vec::new(),
        }
    }

    fn look(&self) -> Wanted {
        if self.secret { Wanted::Never } else { Wanted::Unless(self.content.sha256().to_owned()) }
    }

    pub(crate) fn asks(&self) -> Vec<Ask> {
        let mut asks = with_parent(&self.path);
        asks.push(Ask::File { path: self.path.clone(), content: self.look() });
        asks
    }

    /// The difference, without a signal. A file that is not there needs its directory.
    pub(crate) fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        if answers.path(&self.path)?.entry().is_none() {
            context.require_parent(&self.path, answers)?;
        }
        self.difference(answers)
    }

    /// The difference alone, whether or not the file's directory is there.
    pub(crate) fn difference(&self, answers: &Answers) -> Result<Change, Undecided> {
        let Self { path, content, secret, mode, ownership, validate: _ } = self;
        match answers.path(path)? {
            PathState::Absent => {
                let mut change = Change::new(Action::Create);
                change.differs("content", Shown::Absent, shown(content, *secret));
                change.compare("mode", Shown::Absent, mode.to_string());
                compare_ownership(&mut change, None, ownership);
                Ok(change)
            }
            PathState::Present(entry) if entry.sort == Sort::File => {
                let mut change = Change::new(Action::Update);
                if let FileState::Present { sha256, content: found } = answers.file(path, &self.look())?
                    && sha256 != content.sha256()
                {
                    let before = if *secret { Shown::Secret } else { shown_bytes(found.as_deref(), entry, sha256) };
                    change.differs("content", before, shown(content, *secret));
                }
                change.compare("mode", entry.mode.to_string(), mode.to_string());
                compare_ownership(&mut change, Some(entry), ownership);
                Ok(if change.attributes.is_empty() { Change::none() } else { change })
            }
            PathState::Present(entry) => Err(in_the_way(path, &entry.sort, "file")),
        }
    }

    /// What [`FileSpec::difference`] shows as wanted.
    pub(crate) fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let Self { path: _, content, secret, mode, ownership, validate: _ } = self;
        let mut wanted = vec![("content", shown(content, *secret)), ("mode", mode.to_string().into())];
        wanted.extend(wanted_ownership(["owner", "group"], ownership));
        wanted
    }

    /// The step that makes a change of [`FileSpec::diff`].
    pub(crate) fn step(&self, change: &Change, answers: &Answers) -> Result<Step, Undecided> {
        if change.action == Action::Update && change.attributes.iter().all(|attribute| attribute.name != "content") {
            let Self { path, mode, ownership, .. } = self;
            return Ok(Step::SetAttributes { path: path.clone(), mode: Some(*mode), ownership: ownership.clone() });
        }
        self.put(answers)
    }

    /// The step that puts the whole file in place.
    pub(crate) fn put(&self, answers: &Answers) -> Result<Step, Undecided> {
        let Self { path, content, secret: _, mode, ownership, validate } = self;
        let ownership = kept_ownership(ownership, answers.path(path)?);
        let (path, content, validate) = (path.clone(), content.clone(), validate.clone());
        Ok(Step::PutFile { path, content, mode: *mode, ownership, validate })
    }
}

/// Content as a change may show it.
fn shown(content: &Blob, secret: bool) -> Shown {
    if secret {
        return Shown::Secret;
    }
    let text =
        content.bytes().filter(|bytes| bytes.len() <= CONTENT_LIMIT).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match text {
        Some(text) => Shown::Content(text.to_owned()),
        None => Shown::Bytes { length: content.length(), sha256: content.sha256().to_owned() },
    }
}

fn shown_bytes(found: Option<&[u8]>, entry: &Entry, sha256: &str) -> Shown {
    match found.filter(|bytes| bytes.len() as u64 == entry.size).and_then(|bytes| std::str::from_utf8(bytes).ok()) {
        Some(text) => Shown::Content(text.to_owned()),
        None => Shown::Bytes { length: entry.size, sha256: sha256.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    #[test]
    fn an_absent_file_is_made() {
        case("file", "path = '/srv/f'\ncontent = \"a\\n\"")
            .creates("content: (absent) -> (1 lines), mode: (absent) -> 0644")
            .mended();
    }

    #[test]
    fn content_edited_by_hand_is_put_back() {
        case("file", "path = '/srv/f'\ncontent = 'new'")
            .given_file("/srv/f", "old", "0644")
            .updates("content: (1 lines) -> (1 lines)")
            .mended();
    }

    #[test]
    fn drifted_mode_is_updated_without_a_new_file() {
        case("file", "path = '/srv/f'\ncontent = 'x'")
            .given_file("/srv/f", "x", "0666")
            .updates("mode: 0666 -> 0644")
            .steps("set mode and owner of /srv/f")
            .mended();
    }

    #[test]
    fn an_owner_is_compared_by_name_or_number() {
        case("file", "path = '/srv/f'\ncontent = 'x'\nowner = 'core'\ngroup = '0'")
            .given_file("/srv/f", "x", "0644")
            .updates("owner: root -> core")
            .mended();
    }

    #[test]
    fn a_secret_is_never_shown_and_its_file_is_private() {
        case("file", "path = '/srv/f'\ncontent = '{{ input.password }}'")
            .secret_input("password", "hunter22")
            .given_file("/srv/f", "old", "0600")
            .updates("content: (secret) -> (secret)")
            .mended();
    }

    #[test]
    fn a_link_in_the_way_is_not_removed() {
        case("file", "path = '/srv/f'\ncontent = ''")
            .given_link("/srv/f", "/x")
            .undecided("/srv/f is a link on the host, and the plan wants a file there");
    }
}
