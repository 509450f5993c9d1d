//! `certificate`: the certificate that a server or a client shows, and its key.
//!
//! Signed by an authority, of the same plan or already on the host, or by itself. It is issued anew, with a new key, when
//! it is not what is asked for, when its end is near, and when its authority is another one.

use std::str::FromStr;

use time::{Duration, OffsetDateTime};

use crate::change::{Action, Change, Shown, Signal};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::plan::node::Value;
use crate::probe::{Answers, Ask, Entry, FileState, PathState, Sort, Undecided, Wanted};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;
use crate::x509::{
    self, CertificateInfo, Difference, Expiry, Found, IssuerPem, LeafSpec, Lifetime, Names, San, Usages, inspect,
    leaf_differences,
};
use pair::{
    KeyMode, PairFiles, Standing, Wish, chain, end_of, is_issued, lifetime, show_differences, show_issue, show_wish,
    unmade, whole,
};

pub(crate) mod pair;

/// The kind.
pub static KIND: Kind = Kind {
    name: "certificate",
    summary: "A certificate for a server or a client, and its key; from an authority or self-signed.",
    fields: &[
        Field {
            name: "names",
            takes: "list of names",
            required: true,
            doc: "What clients call it: DNS names, also `*.example.com`, and IPv4 and IPv6 addresses.",
        },
        Field {
            name: "authority",
            takes: "path",
            required: false,
            doc: "Certificate of the authority on the host, such as `{{ certificate_authority.root.certificate }}`. \
                  Self-signed without it.",
        },
        Field {
            name: "authority_key",
            takes: "path",
            required: false,
            doc: "Key of the authority on the host, such as `{{ certificate_authority.root.key }}`. It must be there \
                  when there is something to sign, and is read for nothing else.",
        },
        Field {
            name: "directory",
            takes: "path",
            required: false,
            doc: "Where its files are, NAME.crt and NAME.key after the resource. Not needed with both of the next two.",
        },
        Field { name: "certificate", takes: "path", required: false, doc: "Another place for the certificate (0644)." },
        Field { name: "key", takes: "path", required: false, doc: "Another place for the key." },
        Field {
            name: "common_name",
            takes: "text",
            required: false,
            doc: "Common name of the subject; the first name without it. Clients look at `names` alone.",
        },
        Field {
            name: "usages",
            takes: r#""server" | "client" | "both""#,
            required: false,
            doc: "What it is for; \"server\" without it.",
        },
        Field {
            name: "key_type",
            takes: r#""ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-3072" | "rsa-4096""#,
            required: false,
            doc: "\"ecdsa-p256\" without it.",
        },
        Field {
            name: "lifetime",
            takes: "days",
            required: false,
            doc: "How long a new certificate is valid, at most until its authority's end; \"397d\" without it.",
        },
        Field {
            name: "renew_before",
            takes: "days",
            required: false,
            doc: "How long before its end it is issued anew; a third of the lifetime without it.",
        },
        Field { name: "owner", takes: "user", required: false, doc: "By name or number; left as it is without it." },
        Field { name: "group", takes: "group", required: false, doc: "By name or number; left as it is without it." },
        Field {
            name: "key_mode",
            takes: r#""0600" | "0640" | "0400" | "0440""#,
            required: false,
            doc: "Permission bits of the key; \"0600\" without it. With \"0640\" the group's services can read it.",
        },
    ],
    example: r#"
[directory.certificates]
path = "/etc/registry"

[certificate_authority.root]
directory = "{{ directory.certificates.path }}"
common_name = "Registry CA"

[certificate.server]
directory = "{{ directory.certificates.path }}"
authority = "{{ certificate_authority.root.certificate }}"
authority_key = "{{ certificate_authority.root.key }}"
names = ["registry.example.com", "192.0.2.10", "2001:db8::10"]
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct Certificate {
    files: PairFiles,
    spec: LeafSpec,
    renew_before: Duration,
    authority: Option<Authority>,
}

/// The files of whoever signs.
#[derive(Debug)]
struct Authority {
    certificate: AbsPath,
    key: AbsPath,
}

/// The wish for [`Usages`] as plans write it.
struct Purpose(Usages);

impl FromStr for Purpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "server" => Ok(Self(Usages::Server)),
            "client" => Ok(Self(Usages::Client)),
            "both" => Ok(Self(Usages::ServerAndClient)),
            _ => Err("it is \"server\", \"client\" or \"both\"".to_owned()),
        }
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let names = names(fields);
    let key_mode = fields.optional("key_mode").unwrap_or(KeyMode::OWNER);
    let files = PairFiles::read(fields, setup, key_mode);
    let authority = authority(fields);
    let common_name = fields.optional("common_name");
    let Purpose(usages) = fields.optional("usages").unwrap_or(Purpose(Usages::default()));
    let key_type = fields.optional("key_type").unwrap_or_default();
    let (lifetime, renew_before) = lifetime(fields, Lifetime::LEAF, Lifetime::leaf_window)?;
    let spec = LeafSpec { common_name, names: names?, key_type, lifetime, usages };
    let (files, authority) = (files?, authority?);
    if let Some(Authority { certificate, key }) = &authority
        && [certificate, key].into_iter().any(|path| *path == files.certificate || *path == files.key)
    {
        fields.problem(
            "authority",
            format!("{} would overwrite its own authority", fields.label()),
            "give the two files other paths than the authority's",
        );
        return None;
    }
    Some(Box::new(Certificate { files, spec, renew_before, authority }))
}

fn names(fields: &Fields<'_>) -> Option<Names> {
    let names: Vec<San> = fields.list("names");
    let empty = fields.raw("names").is_none_or(|node| matches!(&node.value, Value::Array(items) if items.is_empty()));
    // A wrong name has a finding of its own.
    if empty {
        fields.problem(
            "names",
            format!("{} has no names", fields.label()),
            "add `names = [...]`: every DNS name and address that clients connect to",
        );
    }
    Names::new(names).ok()
}

/// The authority; none inside when it is to be self-signed.
fn authority(fields: &Fields<'_>) -> Option<Option<Authority>> {
    let certificate = fields.optional("authority");
    let key = fields.optional("authority_key");
    let missing = match (fields.has("authority"), fields.has("authority_key")) {
        (false, false) => return Some(None),
        (true, true) => return Some(Some(Authority { certificate: certificate?, key: key? })),
        (true, false) => "authority_key",
        (false, true) => "authority",
    };
    let attribute = if missing == "authority" { "certificate" } else { "key" };
    fields.problem(
        "",
        format!("{} has only half of its authority: it lacks `{missing}`", fields.label()),
        format!("add `{missing} = \"{{{{ certificate_authority.NAME.{attribute} }}}}\"`, or the path on the host"),
    );
    None
}

impl Resource for Certificate {
    fn provides(&self) -> Vec<Thing> {
        self.files.provides()
    }

    fn objects(&self) -> Vec<Object> {
        self.files.objects()
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let common_name = self.spec.subject_common_name();
        let wish = wish(&self.spec, common_name.as_ref()).wanted();
        wish.into_iter().chain([("is_ca", "false".into())]).chain(self.files.wanted()).collect()
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants = self.files.wants();
        if let Some(Authority { certificate, key }) = &self.authority {
            wants.push(Want::uses(Target::Thing(Thing::Path(certificate.clone()))));
            wants.push(Want::after(Target::Thing(Thing::Path(key.clone()))));
        }
        wants
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = self.files.asks();
        if let Some(Authority { certificate, key }) = &self.authority {
            asks.extend([Ask::Path(certificate.clone()), whole(certificate), Ask::Path(key.clone())]);
        }
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { files, spec: _, renew_before: _, authority: _ } = self;
        let standing = files.standing(answers)?;
        let signer = self.signer(answers, context)?;
        let verdict = self.verdict(&standing, &signer, context)?;
        if verdict.action == Action::Keep {
            let mut change = Change::new(Action::Update);
            files.compare(&mut change, &standing);
            return Ok(if change.attributes.is_empty() { Change::none() } else { change });
        }
        self.check_signer(&signer, answers, context)?;
        files.require_parents(answers, context)?;
        Ok(self.issue(verdict, &standing, &signer, context))
    }

    fn steps(&self, change: &Change, answers: &Answers, materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { files, spec, renew_before: _, authority } = self;
        if !is_issued(change) {
            return Ok(files.settle(change));
        }
        let now = materials.now()?;
        let pair = match authority {
            None => x509::self_signed_leaf(spec, now),
            Some(Authority { certificate, key }) => {
                let issuer = IssuerPem { certificate_pem: materials.file(certificate)?, key_pem: materials.file(key)? };
                x509::issue_leaf(spec, &issuer, now)
            }
        };
        files.put(&pair.map_err(|error| unmade(&error))?, answers)
    }

    fn reads(&self, change: &Change) -> Vec<AbsPath> {
        match &self.authority {
            Some(Authority { certificate, key }) if is_issued(change) => vec![certificate.clone(), key.clone()],
            _ => Vec::new(),
        }
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        self.files.attributes()
    }
}

/// Whoever signs, as far as it is known beforehand.
enum Signer {
    /// The certificate itself.
    Itself,
    /// An authority that stays, or is renewed under its name and key: then with the end that it will have.
    Known { certificate: Box<CertificateInfo>, renewed: bool },
    /// An authority that this apply makes; its end, where that is known.
    Coming(Option<OffsetDateTime>),
}

impl Signer {
    fn end(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Itself => None,
            Self::Known { certificate, .. } => Some(certificate.not_after),
            Self::Coming(end) => *end,
        }
    }
}

/// What is to be done about the certificate, and why.
struct Verdict {
    action: Action,
    /// What is there, where it could be read.
    before: Option<CertificateInfo>,
    differences: Vec<Difference>,
    /// Why, besides the differences.
    reason: Option<String>,
}

impl Certificate {
    fn signer(&self, answers: &Answers, context: &Context<'_>) -> Result<Signer, Undecided> {
        let Some(Authority { certificate: path, key: _ }) = &self.authority else { return Ok(Signer::Itself) };
        let upstream = context.upstream(&Thing::Path(path.clone())).filter(|change| change.signal > Signal::None);
        let renewed = match upstream.map(|change| (change.action, end_of(change))) {
            // What a command does to a file is known once it has run: until then what is there counts.
            None | Some((Action::Run, _)) => None,
            // Only an authority says when its new certificate ends; whatever else changes a file may change it wholly.
            Some((Action::Update, Some(end))) => Some(end),
            Some((_, end)) => return Ok(Signer::Coming(end)),
        };
        let FileState::Present { content: Some(pem), .. } = answers.file(path, &Wanted::Always)? else {
            return Err(if upstream.is_some() { too_early(path) } else { absent(path, answers.path(path)?) });
        };
        let mut certificate = inspect(pem).map_err(|error| {
            Undecided::new(format!("{path} is not the certificate of an authority: {}", chain(&error)))
        })?;
        certificate.not_after = renewed.unwrap_or(certificate.not_after);
        Ok(Signer::Known { certificate: Box::new(certificate), renewed: renewed.is_some() })
    }

    fn verdict(&self, standing: &Standing<'_>, signer: &Signer, context: &Context<'_>) -> Result<Verdict, Undecided> {
        let verdict =
            |action, reason: Option<String>| Verdict { action, before: None, differences: Vec::new(), reason };
        match (standing.certificate, standing.key) {
            (None, None) => return Ok(verdict(Action::Create, None)),
            (None, Some(_)) => {
                let reason = "there is a private key without its certificate, as an apply leaves it that was cut short";
                return Ok(verdict(Action::Replace, Some(reason.to_owned())));
            }
            (Some(_), _) => {}
        }
        let key_sha256 = self.files.key_sha256(standing)?;
        let certificate = match inspect(standing.pem) {
            Ok(certificate) => certificate,
            Err(error) => {
                let reason = format!("what is there cannot be used: {}", chain(&error));
                return Ok(verdict(Action::Replace, Some(reason)));
            }
        };
        let found = Found { certificate: &certificate, key_sha256 };
        let expiry = Expiry { now: context.now, renew_before: self.renew_before };
        let (mut differences, mut reason) = match signer {
            Signer::Itself => (leaf_differences(&self.spec, found, None, expiry), None),
            Signer::Known { certificate: issuer, .. } => {
                (leaf_differences(&self.spec, found, Some(issuer), expiry), None)
            }
            // Who signs is not there yet; what is about the certificate alone can be told.
            Signer::Coming(_) => {
                let mut differences = leaf_differences(&self.spec, found, Some(&certificate), expiry);
                differences.retain(|difference| ABOUT_ITSELF.contains(&difference.attribute));
                (differences, Some("its authority is another one".to_owned()))
            }
        };
        if standing.key.is_none() {
            reason.get_or_insert_with(|| "its private key is gone".to_owned());
        }
        differences.sort();
        // Whatever differs, the key is new as well: nobody relies on the one that a leaf had.
        let same = differences.is_empty() && reason.is_none();
        let action = if same { Action::Keep } else { Action::Replace };
        Ok(Verdict { action, before: Some(certificate), differences, reason })
    }

    /// Makes sure that whoever signs can, as far as that is known: finding it out on the way would be late.
    fn check_signer(&self, signer: &Signer, answers: &Answers, context: &Context<'_>) -> Result<(), Undecided> {
        let (Some(Authority { certificate, key }), Signer::Known { certificate: found, renewed }) =
            (&self.authority, signer)
        else {
            return Ok(());
        };
        if !renewed {
            x509::check_may_issue(found, context.now).map_err(|error| {
                let help = "a certificate_authority that the plan manages is renewed in time";
                Undecided::with_help(format!("{certificate}: {}", chain(&error)), help)
            })?;
        }
        let coming = context.pending(&Thing::Path(key.clone())).is_some();
        match answers.path(key)? {
            PathState::Present(Entry { sort: Sort::File | Sort::Link(_), .. }) => Ok(()),
            PathState::Present(entry) => Err(Undecided::new(format!("{key} is a {}, not a key", entry.sort.name()))),
            PathState::Absent if coming => Ok(()),
            PathState::Absent => Err(Undecided::with_help(
                format!("the authority's key {key} is not on the host, and there is something to sign"),
                "put it there for this apply",
            )),
        }
    }

    fn issue(&self, verdict: Verdict, standing: &Standing<'_>, signer: &Signer, context: &Context<'_>) -> Change {
        let (lifetime, common_name) = (self.spec.lifetime, self.spec.subject_common_name());
        let Verdict { action, before, differences, reason } = verdict;
        let mut change = Change::new(action);
        change.reasons.extend(reason);
        if before.is_some() {
            show_differences(&mut change, &differences);
        } else {
            show_wish(&mut change, wish(&self.spec, common_name.as_ref()));
        }
        if matches!(signer, Signer::Itself) && action != Action::Create {
            change.reasons.push("everybody who trusts the old one must be told to trust the new one".to_owned());
        }
        let full = context.now.saturating_add(lifetime.duration());
        let end = match signer {
            Signer::Coming(None) => None,
            _ => Some(signer.end().map_or(full, |end| end.min(full))),
        };
        show_issue(&mut change, before.as_ref(), end);
        self.files.compare(&mut change, standing);
        change.signals(Signal::Content)
    }
}

/// What a plan asks of a leaf, under this common name.
fn wish<'a>(spec: &LeafSpec, common_name: Option<&'a x509::SubjectText>) -> Wish<'a> {
    let LeafSpec { common_name: _, names, key_type, lifetime: _, usages } = spec;
    Wish {
        common_name: common_name.map(x509::SubjectText::as_str),
        organization: None,
        names: Some(listed(names.as_set())),
        usages: Some(listed(&usages.names())),
        key_type: key_type.to_string(),
    }
}

/// Differences that hold whoever signs.
const ABOUT_ITSELF: [&str; 6] = ["common_name", "is_ca", "key", "key_type", "names", "usages"];

fn listed<'a, T: ToString + 'a>(items: impl IntoIterator<Item = &'a T>) -> String {
    items.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The answer to an authority that a command makes.
fn too_early(path: &AbsPath) -> Undecided {
    Undecided::with_help(
        format!("the authority's certificate {path} is only made by a command of this apply"),
        "let a plan of its own make the authority, and apply that first",
    )
}

/// The answer to an authority whose certificate cannot be had.
fn absent(path: &AbsPath, state: &PathState) -> Undecided {
    match state.entry().map(|entry| &entry.sort) {
        Some(Sort::Link(target)) => Undecided::with_help(
            format!("the authority's certificate {path} is a link on the host"),
            format!("name the file that it leads to: {target}"),
        ),
        Some(other) => Undecided::new(format!("{path} is a {}, not a certificate", other.name())),
        None => Undecided::with_help(
            format!("the authority's certificate {path} is not on the host, and the plan does not make it"),
            "add a certificate_authority resource, or put the authority's files there",
        ),
    }
}

#[cfg(test)]
mod tests;
