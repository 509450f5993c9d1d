//! `certificate_authority`: an authority of one's own, its certificate and its key.
//!
//! Whoever trusts it was told so by hand, so it is made once and then kept: nothing that is found on the host in its
//! place is overwritten, and it is made anew only when the plan asks for another name or type of key.

use time::Duration;

use crate::change::{Action, Change, Shown, Signal};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::certificate::pair::{
    KeyMode, PairFiles, Standing, Wish, chain, is_issued, lifetime, show_differences, show_issue, show_wish, unmade,
};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Thing, Want};
use crate::step::Step;
use crate::x509::{
    self, AuthoritySpec, CertificateInfo, Consequence, Difference, Expiry, Found, IssuerPem, Lifetime, SubjectText,
    authority_differences, inspect,
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "certificate_authority",
    summary: "A certificate authority: a self-signed certificate that signs others, and its key.",
    fields: &[
        Field { name: "common_name", takes: "text", required: true, doc: "What those who trust it see it called." },
        Field {
            name: "organization",
            takes: "text",
            required: false,
            doc: "Who runs it. Another name makes another authority, and so does another `common_name`.",
        },
        Field {
            name: "directory",
            takes: "path",
            required: false,
            doc: "Where its files are, NAME.crt and NAME.key after the resource. Not needed with both of the next two.",
        },
        Field { name: "certificate", takes: "path", required: false, doc: "Another place for the certificate (0644)." },
        Field { name: "key", takes: "path", required: false, doc: "Another place for the key, which is always 0600." },
        Field {
            name: "key_type",
            takes: r#""ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-3072" | "rsa-4096""#,
            required: false,
            doc: "\"ecdsa-p256\" without it. Another type makes another authority.",
        },
        Field {
            name: "lifetime",
            takes: "days",
            required: false,
            doc: "How long a new certificate is valid; \"3650d\" without it.",
        },
        Field {
            name: "renew_before",
            takes: "days",
            required: false,
            doc: "How long before its end it is renewed, with the key it has; half a year without it, or a third of a \
                  shorter lifetime.",
        },
        Field { name: "owner", takes: "user", required: false, doc: "By name or number; left as it is without it." },
        Field { name: "group", takes: "group", required: false, doc: "By name or number; left as it is without it." },
    ],
    example: r#"
[directory.certificates]
path = "/etc/registry"

[certificate_authority.root]
directory = "{{ directory.certificates.path }}"
common_name = "Registry CA"
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct CertificateAuthority {
    files: PairFiles,
    spec: AuthoritySpec,
    renew_before: Duration,
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let files = PairFiles::read(fields, setup, KeyMode::OWNER);
    let common_name: Option<SubjectText> = fields.required("common_name");
    let organization = fields.optional("organization");
    let key_type = fields.optional("key_type").unwrap_or_default();
    let (lifetime, renew_before) = lifetime(fields, Lifetime::AUTHORITY, Lifetime::authority_window)?;
    let spec = AuthoritySpec { organization, key_type, lifetime, ..AuthoritySpec::new(common_name?) };
    Some(Box::new(CertificateAuthority { files: files?, spec, renew_before }))
}

impl Resource for CertificateAuthority {
    fn provides(&self) -> Vec<Thing> {
        self.files.provides()
    }

    fn objects(&self) -> Vec<Object> {
        self.files.objects()
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let nature = [("is_ca", "true".into()), ("path_length", self.spec.path_length.to_string().into())];
        self.wish().wanted().into_iter().chain(nature).chain(self.files.wanted()).collect()
    }

    fn wants(&self) -> Vec<Want> {
        self.files.wants()
    }

    fn asks(&self) -> Vec<Ask> {
        self.files.asks()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let standing = self.files.standing(answers)?;
        match (standing.certificate, standing.key) {
            (None, None) => {
                self.files.require_parents(answers, context)?;
                Ok(self.creation(&standing, context))
            }
            (Some(_), Some(_)) => self.difference(&standing, context),
            (Some(_), None) => Err(self.lone(&self.files.certificate, "its key", &self.files.key)),
            // Nobody has seen that key's certificate yet; and a copy of the key is kept on the host.
            (None, Some(_)) if context.unfinished => {
                self.files.require_parents(answers, context)?;
                let mut change = self.creation(&standing, context);
                change.reasons.push(
                    "there is a key without its certificate, as an apply leaves it that was cut short".to_owned(),
                );
                Ok(change)
            }
            (None, Some(_)) => Err(self.lone(&self.files.key, "its certificate", &self.files.certificate)),
        }
    }

    fn steps(&self, change: &Change, answers: &Answers, materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { files, spec, renew_before: _ } = self;
        if !is_issued(change) {
            return Ok(files.settle(change));
        }
        let now = materials.now()?;
        if change.action != Action::Update {
            let pair = x509::generate_authority(spec, now).map_err(|error| unmade(&error))?;
            return files.put(&pair, answers);
        }
        let current =
            IssuerPem { certificate_pem: materials.file(&files.certificate)?, key_pem: materials.file(&files.key)? };
        let pair = x509::renew_authority(spec, &current, now).map_err(|error| unmade(&error))?;
        let mut steps = vec![files.put_certificate(&pair, answers)?];
        steps.extend(files.settle_key(change));
        Ok(steps)
    }

    fn reads(&self, change: &Change) -> Vec<AbsPath> {
        if is_issued(change) && change.action == Action::Update {
            vec![self.files.certificate.clone(), self.files.key.clone()]
        } else {
            Vec::new()
        }
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        self.files.attributes()
    }
}

impl CertificateAuthority {
    fn wish(&self) -> Wish<'_> {
        let AuthoritySpec { common_name, organization, key_type, lifetime: _, path_length: _ } = &self.spec;
        Wish {
            common_name: Some(common_name.as_str()),
            organization: organization.as_ref().map(SubjectText::as_str),
            names: None,
            usages: None,
            key_type: key_type.to_string(),
        }
    }

    fn creation(&self, standing: &Standing<'_>, context: &Context<'_>) -> Change {
        let mut change = Change::new(Action::Create);
        show_wish(&mut change, self.wish());
        show_issue(&mut change, None, Some(context.now.saturating_add(self.spec.lifetime.duration())));
        self.files.compare(&mut change, standing);
        change.signals(Signal::Content)
    }

    fn difference(&self, standing: &Standing<'_>, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { files, spec, renew_before } = self;
        let certificate = inspect(standing.pem).map_err(|error| self.unusable(&chain(&error)))?;
        let found = Found { certificate: &certificate, key_sha256: files.key_sha256(standing)? };
        let expiry = Expiry { now: context.now, renew_before: *renew_before };
        let differences = authority_differences(spec, found, expiry);
        self.check_own(&differences, context)?;
        Ok(self.change(&certificate, &differences, standing, context))
    }

    /// Refuses what nobody can have meant: that an authority from elsewhere goes, or one whose key is another.
    fn check_own(&self, differences: &[Difference], context: &Context<'_>) -> Result<(), Undecided> {
        let with = |name: &str| differences.iter().find(|difference| difference.attribute == name);
        if let Some(foreign) = with("is_ca").or_else(|| with("issuer")) {
            return Err(self.unusable(&foreign.reason));
        }
        // A change that the plan asks for takes a new key anyway.
        let asked = differences
            .iter()
            .any(|difference| difference.consequence == Consequence::Replace && difference.attribute != "key");
        // An apply that was cut between the two files has brought a new key already: the pair is made once more.
        match with("key").filter(|_| !asked && !context.unfinished) {
            Some(stranger) => Err(Undecided::with_help(
                format!("{}: {}", self.files.key, stranger.reason),
                format!(
                    "put the key of {} back from a copy, or remove both files to make a new authority, which everybody \
                     must then be told to trust",
                    self.files.certificate
                ),
            )),
            None => Ok(()),
        }
    }

    fn change(
        &self,
        certificate: &CertificateInfo,
        differences: &[Difference],
        standing: &Standing<'_>,
        context: &Context<'_>,
    ) -> Change {
        let Self { files, spec, renew_before: _ } = self;
        let Some(consequence) = differences.iter().map(|difference| difference.consequence).max() else {
            let mut change = Change::new(Action::Update);
            files.compare(&mut change, standing);
            return if change.attributes.is_empty() { Change::none() } else { change };
        };
        let (action, sequel) = match consequence {
            Consequence::Renew => (Action::Update, "it keeps its name and key: what it signed stays good"),
            Consequence::Replace => {
                (Action::Replace, "everybody who trusts the old one must be told to trust the new one")
            }
        };
        let mut change = Change::new(action);
        show_differences(&mut change, differences);
        change.reasons.push(sequel.to_owned());
        show_issue(&mut change, Some(certificate), Some(context.now.saturating_add(spec.lifetime.duration())));
        files.compare(&mut change, standing);
        change.signals(Signal::Content)
    }

    fn unusable(&self, reason: &str) -> Undecided {
        let PairFiles { certificate, key, .. } = &self.files;
        Undecided::with_help(
            format!("{certificate} on the host is not this authority's: {reason}"),
            format!("choose another path, or remove {certificate} and {key} if nobody relies on them"),
        )
    }

    /// One file without the other may be half of somebody's authority, so neither is made anew beside it.
    fn lone(&self, there: &AbsPath, what: &str, missing: &AbsPath) -> Undecided {
        Undecided::with_help(
            format!("{there} is on the host, but {what} {missing} is not"),
            format!(
                "put {missing} back from a copy; or remove {there} to make a new authority, which everybody must then \
                 be told to trust"
            ),
        )
    }
}

#[cfg(test)]
mod tests;
