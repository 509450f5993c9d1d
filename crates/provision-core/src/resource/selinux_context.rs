//! `selinux_context`: the SELinux context that files have where a pattern fits, semanage-fcontext(8), and the labels of those
//! that are there already, restorecon(8).

use std::str::FromStr;

use regex::Regex;

use crate::change::{Action, Change, Shown};
use crate::knob::selinux::{RIGHT, SELINUX_CONTEXT, SELINUX_LABELS};
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::plan::node::Value;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want, selinux};
use crate::step::Step;

#[cfg(test)]
mod tests;

/// The kind.
pub static KIND: Kind = Kind {
    name: "selinux_context",
    summary: "The SELinux context of files where a pattern fits, and of those that are there already. Tested against recorded output of its tools only.",
    fields: &[
        Field {
            name: "pattern",
            takes: "text",
            required: true,
            doc: "Which files: a path, as a regular expression of all of it: \"/srv/www(/.*)?\" is the directory and all below it. Of several that fit a file the one that was added last counts.",
        },
        Field {
            name: "type",
            takes: "text",
            required: true,
            doc: "Their type, such as \"httpd_sys_content_t\"; \"<<none>>\" lets them have whatever they have.",
        },
        Field {
            name: "files",
            takes: "\"all\" | \"file\" | \"directory\" | \"link\" | \"socket\" | \"pipe\" | \"block-device\" | \"character-device\"",
            required: false,
            doc: "What sort of file alone; \"all\" without it.",
        },
        Field {
            name: "restore",
            takes: "true | false | list of paths",
            required: false,
            doc: "Whether what is there already gets the labels that the host says it should have, as restorecon gives them, and is looked at each time; false without it. With true the pattern tells where; where it does not, paths do, each with all below it. A file whose type counts as customized (customizable_types(5)) keeps it.",
        },
    ],
    example: r#"
[selinux_context.site]
pattern = "/srv/www(/.*)?"
type = "httpd_sys_content_t"
restore = true

[selinux_context.uploads]
pattern = "/srv/www/uploads(/.*)?"
type = "httpd_sys_rw_content_t"
after = ["selinux_context.site"]
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct FileContext {
    context: Knob,
    wanted: String,
    /// The labels of what is there already, each with the path that they are of.
    labels: Vec<(Knob, AbsPath)>,
}

/// A regular expression that semanage takes.
#[derive(Debug)]
struct Pattern(String);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("a pattern is one of whole paths, and starts with `/`".to_owned());
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("SELinux takes no pattern with a blank; `.` fits any character".to_owned());
        }
        if text.len() > 1 && text.ends_with('/') {
            return Err(format!(
                "no path ends in `/`: write \"{}(/.*)?\" for the directory and what is below it",
                text.trim_end_matches('/')
            ));
        }
        // What PCRE alone knows is left to the host.
        if !text.contains("(?")
            && let Err(error) = Regex::new(&format!("^(?:{text})$"))
        {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            return Err(format!("it is no regular expression: {why}"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A type, or that files have none in particular.
#[derive(Debug)]
struct Type(String);

impl FromStr for Type {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if text == "<<none>>" || (fits && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= 128) {
            Ok(Self(text.to_owned()))
        } else if text.contains(':') {
            Err("write the type alone, the third part of a context: \"httpd_sys_content_t\"")
        } else {
            Err("a type has a name such as \"httpd_sys_content_t\", or is \"<<none>>\"")
        }
    }
}

/// A sort of file.
#[derive(Debug)]
struct Files(&'static str);

impl FromStr for Files {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const KNOWN: [&str; 8] =
            ["all", "file", "directory", "link", "socket", "pipe", "block-device", "character-device"];
        let known = KNOWN.into_iter().find(|known| *known == text);
        known.map(Self).ok_or_else(|| format!("it is one of {}", KNOWN.join(", ")))
    }
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let pattern: Option<Pattern> = fields.required("pattern");
    let wanted: Option<Type> = fields.required("type");
    let files: Option<Files> = fields.optional("files");
    let labels = labels(fields, pattern.as_ref());
    let (Pattern(pattern), Type(wanted), labels) = (pattern?, wanted?, labels?);
    let name = match files {
        None if fields.has("files") => return None,
        None | Some(Files("all")) => pattern,
        Some(Files(files)) => format!("{pattern} {files}"),
    };
    Some(Box::new(FileContext { context: Knob::new(&SELINUX_CONTEXT, name), wanted, labels }))
}

/// Where labels are to be looked at; nothing when that is wrong.
fn labels(fields: &Fields<'_>, pattern: Option<&Pattern>) -> Option<Vec<(Knob, AbsPath)>> {
    let knob = |path: &AbsPath, below: &str| (Knob::new(&SELINUX_LABELS, format!("{path}{below}")), path.clone());
    let all = |path: &AbsPath| {
        let help = "name what is to be labelled; for all of a host touch /.autorelabel, and reboot";
        fields.problem("restore", "that is the whole host", help);
        *path == AbsPath::root()
    };
    if let Some(Value::Array(_)) = fields.raw("restore").map(|node| &node.value) {
        let paths: Vec<AbsPath> = fields.list("restore");
        if paths.iter().any(|path| *path == AbsPath::root() && all(path)) {
            return None;
        }
        return Some(paths.iter().map(|path| knob(path, "/**")).collect());
    }
    let restore = fields.boolean("restore");
    if fields.has("restore") && restore.is_none() {
        return None;
    }
    if restore != Some(true) {
        return Some(Vec::new());
    }
    let Pattern(pattern) = pattern?;
    match place(pattern) {
        Some((path, _)) if path == AbsPath::root() => {
            all(&path);
            None
        }
        Some((path, below)) => Some(vec![knob(&path, below)]),
        None => {
            let help = "write the paths, each of which is labelled with all below it: restore = [\"/srv/www\"]";
            fields.problem("restore", format!("{pattern} does not tell which paths those are"), help);
            None
        }
    }
}

/// The path that a pattern is about, and `/**` where it is about all below that as well.
fn place(pattern: &str) -> Option<(AbsPath, &'static str)> {
    let below = ["(/.*)?", "(/.*)", "/.*"].into_iter().find_map(|end| pattern.strip_suffix(end));
    let mut path = String::new();
    let mut rest = below.unwrap_or(pattern).chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => path.push(rest.next().filter(char::is_ascii_punctuation)?),
            '^' | '$' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' => return None,
            // A dot of a name that nobody took the trouble to escape.
            c => path.push(c),
        }
    }
    if path.is_empty() && below.is_some() {
        path.push('/');
    }
    Some((path.parse().ok()?, if below.is_some() { "/**" } else { "" }))
}

impl FileContext {
    /// What the host has for the pattern; nothing while nobody can tell.
    fn found(&self, answers: &Answers, context: &Context<'_>) -> Result<Option<Shown>, Undecided> {
        let now = answers.knob(&self.context)?;
        if !selinux::is_known(now, context)? {
            return Ok(None);
        }
        if let Some((from, to)) = now.strip_prefix("conflict ").and_then(|pair| pair.split_once(' ')) {
            let name = self.context.name();
            let pattern = name.split(' ').next().unwrap_or(name);
            let right = pattern.strip_prefix(from).map(|rest| format!("{to}{rest}")).unwrap_or_default();
            return Err(Undecided::with_help(
                format!(
                    "the host's SELinux policy takes all below {from} for what is below {to}, so {pattern} never fits"
                ),
                format!("write pattern = \"{right}\""),
            ));
        }
        Ok(Some(if now == ABSENT { Shown::Absent } else { now.as_str().into() }))
    }
}

impl Resource for FileContext {
    fn provides(&self) -> Vec<Thing> {
        let labels = self.labels.iter().map(|(knob, _)| Thing::Knob(knob.clone()));
        labels.chain([Thing::Knob(self.context.clone())]).collect()
    }

    /// The labels first: they follow from the context, on the way back as well.
    fn objects(&self) -> Vec<Object> {
        let labels = self.labels.iter().map(|(knob, _)| Object::Knob(knob.clone()));
        labels.chain([Object::Knob(self.context.clone())]).collect()
    }

    fn wants(&self) -> Vec<Want> {
        let trees = self.labels.iter().map(|(_, path)| Want::after(Target::Tree(path.clone())));
        selinux::wants().into_iter().chain(trees).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        self.labels.iter().map(|(knob, _)| knob).chain([&self.context]).cloned().map(Ask::Knob).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { context: _, wanted, labels } = self;
        let found = self.found(answers, context)?;
        let mut change = Change::new(if found == Some(Shown::Absent) { Action::Create } else { Action::Update });
        change.compare("type", found.unwrap_or_else(|| "not known yet".into()), wanted.as_str());
        let moves = !change.attributes.is_empty();
        for (labels, path) in labels {
            let now = answers.knob(labels)?;
            selinux::is_known(now, context)?;
            // Which labels will be wrong by the new context nobody knows before it is there.
            if moves {
                change.reasons.push(format!("what is there already is labelled anew: {path}"));
            } else if let Some(wrong) = now.strip_prefix("wrong ") {
                let (count, first) = wrong.split_once(' ').unwrap_or((wrong, ""));
                change.differs("labels", format!("{count} wrong, such as {first}"), RIGHT);
            }
        }
        Ok(if change.attributes.is_empty() { Change::none() } else { change })
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let labels = self.labels.first().map(|_| ("labels", RIGHT.into()));
        [("type", self.wanted.as_str().into())].into_iter().chain(labels).collect()
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let moves = change.attributes.iter().any(|attribute| attribute.name == "type");
        let mut steps = Vec::new();
        if moves {
            steps.extend(self.labels.iter().map(|(knob, _)| Step::Claim(Object::Knob(knob.clone()))));
            steps.push(Step::Turn { knob: self.context.clone(), state: self.wanted.clone(), input: None });
        }
        for (knob, _) in &self.labels {
            if moves || answers.knob(knob)?.starts_with("wrong") {
                steps.push(Step::Turn { knob: knob.clone(), state: RIGHT.to_owned(), input: None });
            }
        }
        Ok(steps)
    }
}
