//! `trust_anchor`: an authority that a host trusts.

use std::str::FromStr;

use x509_parser::pem::Pem;

use crate::change::{Action, Change, Shown, Signal};
use crate::knob::trust_anchor::{NOWHERE, STALE, TRUST_ANCHOR};
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, FileState, Sort, Undecided, Wanted};
use crate::resource::directory::in_the_way;
use crate::resource::file::FileSpec;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::secret::Text;
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "trust_anchor",
    summary: "An authority that the host trusts: the system as a whole, and podman for some registries.",
    fields: &[
        Field {
            name: "source",
            takes: "file",
            required: false,
            doc: "The authority's certificate beside the plan, in PEM. Exactly one of this, `content` and `from`.",
        },
        Field { name: "content", takes: "text", required: false, doc: "The certificate itself, in PEM." },
        Field {
            name: "from",
            takes: "path",
            required: false,
            doc: "The certificate on the host, such as that of a `certificate_authority`. Another host takes it as `{{ on.HOST.trust_anchor.NAME.content }}`.",
        },
        Field {
            name: "name",
            takes: "text",
            required: false,
            doc: "Its name in the system's store: letters, digits, `-`, `_` and `.`; the resource's own without it.",
        },
        Field {
            name: "system",
            takes: "true or false",
            required: false,
            doc: "Whether the system as a whole trusts it; without it true. It goes into `/usr/local/share/ca-certificates` (Debian, Alpine), `/etc/pki/ca-trust/source/anchors` (Red Hat), or where SUSE and Arch have it, and the store is made anew.",
        },
        Field {
            name: "registries",
            takes: "list of text",
            required: false,
            doc: "Registries, as `name` or `name:port`, for which podman trusts it: `/etc/containers/certs.d/<registry>/ca.crt` (containers-certs.d(5)).",
        },
    ],
    example: EXAMPLE,
    templates: &[],
    assets: &["source"],
    read,
};

const EXAMPLE: &str = r#"
[trust_anchor.site]
registries = ["registry.example.com:8443"]
content = """
-----BEGIN CERTIFICATE-----
MIIBfjCCASOgAwIBAgIUMF3VYw2HHsJRA6pJKkmpYDZP1mUwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
"""
"#;

/// An authority that nobody has, for looking through a plan.
const EXAMPLE_PEM: &str = include_str!("../x509/example.pem");

const REGISTRIES: &str = "/etc/containers/certs.d";

/// Where the certificate is.
#[derive(Debug)]
enum Source {
    Known(String),
    Host(AbsPath),
}

#[derive(Debug)]
struct TrustAnchor {
    source: Source,
    /// What is on the host, as others are told that are to trust it.
    lent: Option<Text>,
    knob: Option<Knob>,
    /// The files of the registries.
    files: Vec<AbsPath>,
}

/// A name of a file in a store.
struct Name(String);

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if fits && !text.is_empty() && !text.starts_with(['.', '-']) && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err("a name has letters, digits, `-`, `_` and `.`, and starts with none of these")
        }
    }
}

/// A registry as podman names the directory of it.
struct Registry(String);

impl FromStr for Registry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
        if fits && !text.is_empty() && !text.starts_with(['.', '-', ':']) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a registry is written as in an image's name: registry.example.com:8443")
        }
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let source: Option<String> = fields.optional("source");
    let content: Option<String> = fields.optional("content");
    let from: Option<AbsPath> = fields.optional("from");
    let name: Option<Name> = fields.optional("name");
    let system = fields.boolean("system").unwrap_or(true);
    let registries: Vec<Registry> = fields.list("registries");
    let field = fields.one_of("", ["source", "content", "from"])?;
    if !system && registries.is_empty() {
        fields.problem("system", "nobody would trust it", "name `registries`, or leave `system` out");
        return None;
    }
    let source = match (source, content, from) {
        (_, _, Some(from)) => Source::Host(from),
        (Some(name), ..) => match setup.assets.read(&name) {
            Ok(bytes) => Source::Known(String::from_utf8_lossy(&bytes).into_owned()),
            Err(reason) => {
                fields.problem("source", reason, "a relative path starts at the plan's directory");
                return None;
            }
        },
        (_, Some(content), _) => Source::Known(content),
        _ => return None,
    };
    if let Source::Known(text) = &source
        && let Err((message, help)) = check(text)
    {
        fields.problem(field, message, help);
        return None;
    }
    let lent = match &source {
        Source::Known(_) => None,
        Source::Host(from) => setup.lends.content(from, EXAMPLE_PEM),
    };
    let name = name.map_or_else(|| setup.address.stem(), |Name(name)| name);
    let knob = system.then(|| Knob::new(&TRUST_ANCHOR, name));
    let file = |Registry(name): Registry| format!("{REGISTRIES}/{name}/ca.crt").parse().ok();
    Some(Box::new(TrustAnchor { source, lent, knob, files: registries.into_iter().filter_map(file).collect() }))
}

/// What stands where podman looks.
#[derive(Debug, PartialEq, Eq)]
enum Found<'a> {
    Nothing,
    File { content: Option<&'a [u8]>, readable: bool },
}

impl<'a> Found<'a> {
    fn of(file: &AbsPath, answers: &'a Answers) -> Result<Self, Undecided> {
        let Some(entry) = answers.path(file)?.entry() else { return Ok(Self::Nothing) };
        if entry.sort != Sort::File {
            return Err(in_the_way(file, &entry.sort, "file"));
        }
        let content = match answers.file(file, &Wanted::Always)? {
            FileState::Present { content, .. } => content.as_deref(),
            FileState::Absent => None,
        };
        Ok(Self::File { content, readable: entry.mode.is_public() })
    }

    /// What it was, where it is not as wanted.
    fn before(&self, wanted: Option<&str>) -> Option<Shown> {
        match self {
            Self::Nothing => Some(Shown::Absent),
            Self::File { content, readable } => match (content, wanted) {
                (Some(found), Some(wanted)) if *found == wanted.as_bytes() => {
                    (!readable).then(|| "not for everybody".into())
                }
                (found, _) => Some(Shown::Content(String::from_utf8_lossy(found.unwrap_or_default()).into_owned())),
            },
        }
    }
}

/// Whether a text is one certificate and nothing else.
fn check(text: &str) -> Result<(), (String, &'static str)> {
    let blocks: Vec<Pem> = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok).collect();
    if blocks.iter().any(|block| block.label.contains("PRIVATE KEY")) {
        return Err(("there is a private key in it".to_owned(), "an authority's certificate alone belongs here"));
    }
    match blocks.iter().filter(|block| block.label == "CERTIFICATE").count() {
        1 => Ok(()),
        0 => Err(("there is no certificate in it".to_owned(), "a certificate starts with -----BEGIN CERTIFICATE-----")),
        several => Err((
            format!("there are {several} certificates in it"),
            "a trust store takes one a file: make a resource of each",
        )),
    }
}

impl TrustAnchor {
    fn look(from: &AbsPath) -> Ask {
        Ask::File { path: from.clone(), content: Wanted::Always }
    }

    /// The certificate, where it can be known yet.
    fn content(&self, answers: &Answers, context: &Context<'_>) -> Result<Option<String>, Undecided> {
        let from = match &self.source {
            Source::Known(text) => return Ok(Some(text.clone())),
            Source::Host(from) => from,
        };
        if context.pending(&Thing::Path(from.clone())).is_some() || context.command_pending() {
            return Ok(None);
        }
        match answers.file(from, &Wanted::Always)? {
            FileState::Present { content: Some(content), .. } => {
                let text = String::from_utf8_lossy(content).into_owned();
                check(&text).map_err(|(message, help)| Undecided::with_help(format!("{from}: {message}"), help))?;
                Ok(Some(text))
            }
            _ => Err(Undecided::with_help(
                format!("there is no certificate at {from}"),
                "put it there, or let a `certificate_authority` make it",
            )),
        }
    }
}

impl Resource for TrustAnchor {
    fn attributes(&self) -> Vec<(&'static str, String)> {
        let content = match &self.source {
            Source::Known(text) => Some(text.as_str()),
            Source::Host(_) => self.lent.as_ref().map(Text::expose),
        };
        content.map(|text| ("content", text.to_owned())).into_iter().collect()
    }

    fn provides(&self) -> Vec<Thing> {
        let files = self.files.iter().cloned().map(Thing::Path);
        self.knob.iter().cloned().map(Thing::Knob).chain(files).collect()
    }

    fn objects(&self) -> Vec<Object> {
        let files = self.files.iter().cloned().map(Object::Path);
        self.knob.iter().cloned().map(Object::Knob).chain(files).collect()
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants: Vec<Want> = self.files.iter().map(|file| Want::after(Target::Parent(file.clone()))).collect();
        if let Source::Host(from) = &self.source {
            wants.push(Want::uses(Target::Thing(Thing::Path(from.clone()))));
        }
        wants
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks: Vec<Ask> = self.knob.iter().cloned().map(Ask::Knob).collect();
        for file in &self.files {
            // The same questions whatever the content is, which may not be known yet: answered from what is in the file.
            asks.push(Ask::File { path: file.clone(), content: Wanted::Always });
            let above = std::iter::successors(Some(file.clone()), AbsPath::parent).take(4);
            asks.extend(above.map(Ask::Path));
        }
        if let Source::Host(from) = &self.source {
            asks.push(Self::look(from));
        }
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let content = self.content(answers, context)?;
        let after = content.clone().map_or(Shown::Unknown, Shown::Content);
        let mut change = Change::new(Action::Update);
        let mut fresh = true;
        if let Some(knob) = &self.knob {
            let now = answers.knob(knob)?;
            if now == NOWHERE && !context.anything_pending() {
                return Err(Undecided::with_help(
                    "the host has no trust store of its own",
                    "install the package `ca-certificates` there",
                ));
            }
            fresh &= now == ABSENT || now == NOWHERE;
            if content.as_ref() != Some(now) {
                let before = match now.strip_prefix(STALE) {
                    Some(text) if Some(text) == content.as_deref() => "not in the store yet".into(),
                    _ if now == ABSENT || now == NOWHERE => Shown::Absent,
                    _ => Shown::Content(now.clone()),
                };
                change.differs("system", before, after.clone());
            }
        }
        for file in &self.files {
            // Its directory is made with it; what is in the way of it is found all the same.
            let found = Found::of(file, answers)?;
            fresh &= found == Found::Nothing;
            if let Some(before) = found.before(content.as_deref()) {
                change.differs("registries", before, after.clone());
            }
        }
        if change.attributes.is_empty() {
            return Ok(Change::none());
        }
        if fresh {
            change.action = Action::Create;
        }
        Ok(change.signals(Signal::Content))
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let Source::Known(text) = &self.source else { return Vec::new() };
        let content = || Shown::Content(text.clone());
        let system = self.knob.iter().map(|_| ("system", content()));
        system.chain(self.files.iter().map(|_| ("registries", content()))).collect()
    }

    fn reads(&self, _change: &Change) -> Vec<AbsPath> {
        if let Source::Host(from) = &self.source { vec![from.clone()] } else { Vec::new() }
    }

    fn steps(&self, _change: &Change, answers: &Answers, materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let text = match &self.source {
            Source::Known(text) => text.clone(),
            Source::Host(from) => String::from_utf8_lossy(materials.file(from)?).into_owned(),
        };
        let mut steps = Vec::new();
        if let Some(knob) = &self.knob
            && *answers.knob(knob)? != text
        {
            steps.push(Step::Turn { knob: knob.clone(), state: text.clone(), input: None });
        }
        for file in &self.files {
            if Found::of(file, answers)?.before(Some(&text)).is_none() {
                continue;
            }
            let above: Vec<AbsPath> = std::iter::successors(file.parent(), AbsPath::parent).take(3).collect();
            for directory in above.into_iter().rev() {
                if answers.path(&directory)?.entry().is_none() {
                    steps.push(Step::EnsureDirectory { path: directory });
                }
            }
            steps.push(FileSpec::new(file.clone(), text.clone()).put(answers)?);
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIBfjCCASOgAwIBAgIUMF3VYw2HHsJRA6pJKkmpYDZP1mUwCgYIKoZIzj0EAwIw\n-----END CERTIFICATE-----\n";

    fn site(rest: &str) -> String {
        format!("content = \"\"\"\n{PEM}\"\"\"\n{rest}")
    }

    fn knob() -> Knob {
        Knob::new(&TRUST_ANCHOR, "x")
    }

    #[test]
    fn the_system_and_podman_come_to_trust_it() {
        case("trust_anchor", &site("registries = ['a.example:5000']"))
            .creates("system: (absent) -> (3 lines), registries: (absent) -> (3 lines)")
            .steps(
                "set the trust anchor x; make the directory /etc/containers/certs.d unless it is there; \
                 make the directory /etc/containers/certs.d/a.example:5000 unless it is there; \
                 put the file /etc/containers/certs.d/a.example:5000/ca.crt in place",
            )
            .in_sync();
    }

    #[test]
    fn a_store_that_was_not_made_anew_is_and_another_certificate_is_replaced() {
        case("trust_anchor", &site(""))
            .given(|state| state.turn(&knob(), &format!("stale\n{PEM}")))
            .updates("system: not in the store yet -> (3 lines)")
            .mended();
        case("trust_anchor", &site(""))
            .given(|state| state.turn(&knob(), "another\n"))
            .updates("system: (1 lines) -> (3 lines)")
            .mended();
    }

    #[test]
    fn one_that_is_on_the_host_is_read_there() {
        case("trust_anchor", "from = '/srv/ca.crt'").undecided("there is no certificate at /srv/ca.crt");
        case("trust_anchor", "from = '/srv/ca.crt'")
            .given_file("/srv/ca.crt", PEM, "0644")
            .creates("system: (absent) -> (3 lines)")
            .mended();
    }

    #[test]
    fn an_authority_of_the_same_plan_is_trusted_once_it_is_there() {
        let authority = "[certificate_authority.ca]\ncommon_name = 'Site'\ndirectory = '/srv'\n";
        case("trust_anchor", "from = '{{ certificate_authority.ca.certificate }}'")
            .plan(authority)
            .creates("system: (absent) -> (known after apply)")
            .applied()
            .in_sync();
    }

    #[test]
    fn a_host_without_a_store_is_said() {
        case("trust_anchor", &site(""))
            .given(|state| state.turn(&knob(), NOWHERE))
            .undecided("the host has no trust store of its own");
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        case("trust_anchor", "content = 'x'")
            .refused("3:11: there is no certificate in it (a certificate starts with -----BEGIN CERTIFICATE-----)");
        case("trust_anchor", &format!("content = \"\"\"\n{PEM}{PEM}\"\"\""))
            .refused("3:11: there are 2 certificates in it (a trust store takes one a file: make a resource of each)");
        let key = PEM.replace("CERTIFICATE", "PRIVATE KEY");
        case("trust_anchor", &format!("content = \"\"\"\n{PEM}{key}\"\"\""))
            .refused("3:11: there is a private key in it (an authority's certificate alone belongs here)");
        case("trust_anchor", &site("name = '../x'")).refused(
            "8:8: \"../x\" does not fit `name` of trust_anchor.x (a name has letters, digits, `-`, `_` and `.`, and starts with none of these)",
        );
        case("trust_anchor", &site("system = false"))
            .refused("8:10: nobody would trust it (name `registries`, or leave `system` out)");
    }
}
