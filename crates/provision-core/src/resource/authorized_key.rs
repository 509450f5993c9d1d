//! `authorized_key`: a key that may log in as a user.

use std::time::Duration;

use crate::attribute::Account;
use crate::change::{Action, Change, Shown};
use crate::knob::authorized_key::AUTHORIZED_KEY;
use crate::knob::{ABSENT, Knob, KnobSort};
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Guard, Undecided};
use crate::resource::edit::{STATE, is_wanted};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "authorized_key",
    summary: "A key that may log in as a user, in `~/.ssh/authorized_keys`; other keys stay as they are.",
    fields: &[
        Field {
            name: "user",
            takes: "user",
            required: true,
            doc: "By name, one that the host has or the plan makes. The home is the one that the host has for it.",
        },
        Field {
            name: "key",
            takes: "text",
            required: true,
            doc: "The public key as ssh-keygen(1) writes it: `ssh-ed25519 AAAA... comment`. The same key with another comment or other options is changed, not added once more.",
        },
        Field {
            name: "options",
            takes: "list of text",
            required: false,
            doc: "What stands before the key, sshd(8): `no-pty`, `from=\"192.0.2.0/24\"`; without it none.",
        },
        STATE,
    ],
    example: r#"
[authorized_key.deploy]
user = "root"
key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1mVkX0ASc8Kxk8T0Wb0mVq3y6w0dVw4iQ7uQpZ8b1C deploy"
options = ["restrict", "command=\"/usr/local/bin/deploy\""]
"#,
    templates: &[],
    assets: &[],
    read,
};

/// Types of keys that sshd takes, and their certificates' authorities.
const TYPES: [&str; 8] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
];

#[derive(Debug)]
struct AuthorizedKey {
    user: String,
    knob: Knob,
    /// The line, or [`ABSENT`].
    line: String,
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let user: Option<Account> = fields.required("user");
    let key: Option<String> = fields.required("key");
    let options: Vec<String> = fields.list("options");
    let wanted = is_wanted(fields);
    let user = match user? {
        Account::Name(name) => name,
        Account::Id(id) => {
            fields.problem("user", format!("{id} is a number"), "a home is found by the user's name");
            return None;
        }
    };
    let key = key?;
    let mut words = key.split(' ').filter(|word| !word.is_empty());
    let (kind, letters) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let help = "it is one line of a `.pub` file: `ssh-ed25519 AAAA... comment`";
    if !TYPES.contains(&kind) {
        fields.problem("key", "this does not begin with the type of a public key", help);
        return None;
    }
    if !is_of_type(letters, kind) || key.chars().any(char::is_control) {
        fields.problem("key", format!("this is not a whole public key of the type {kind}"), help);
        return None;
    }
    if let Some(option) = options.iter().find(|option| !is_option(option)) {
        let help = "a word, or a word with a value in double quotes: `from=\"192.0.2.0/24\"`";
        fields.problem("options", format!("{option:?} is not an option of a key"), help);
        return None;
    }
    let comment = words.collect::<Vec<_>>().join(" ");
    let parts = [options.join(","), format!("{kind} {letters}"), comment];
    let line = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let knob = Knob::new(&AUTHORIZED_KEY, format!("{user} {kind} {letters}"));
    let line = if wanted? { line } else { ABSENT.to_owned() };
    Some(Box::new(AuthorizedKey { user, knob, line }))
}

/// Whether these are the letters of a key that names this type first, RFC 4253 section 6.6 in base64.
fn is_of_type(letters: &str, kind: &str) -> bool {
    let body = letters.trim_end_matches('=');
    let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    if !letters.len().is_multiple_of(4) || letters.len() - body.len() > 2 || !body.bytes().all(fit) {
        return false;
    }
    let value = |b: u8| -> u32 {
        u32::from(match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            _ => 63,
        })
    };
    let mut bytes = Vec::with_capacity(body.len());
    for group in body.as_bytes().chunks(4) {
        let bits = group.iter().fold(0, |bits, b| (bits << 6) | value(*b)) << (6 * (4 - group.len()));
        bytes.extend(bits.to_be_bytes().into_iter().skip(1).take(group.len() * 3 / 4));
    }
    let mut begins = u32::try_from(kind.len()).unwrap_or(0).to_be_bytes().to_vec();
    begins.extend(kind.bytes());
    bytes.len() > begins.len() + 4 && bytes.starts_with(&begins)
}

fn is_option(option: &str) -> bool {
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let inside = value.map(|value| value.strip_prefix('"').and_then(|value| value.strip_suffix('"')));
    let closed = |text: &str| !text.replace("\\\"", "").contains('"') && !text.ends_with('\\');
    named && !option.chars().any(char::is_control) && inside.is_none_or(|inside| inside.is_some_and(closed))
}

impl AuthorizedKey {
    /// Whether the host has the user.
    fn account(&self) -> Guard {
        let argv = ["getent", "passwd", &self.user].map(str::to_owned).to_vec();
        Guard { argv, directory: None, limit: Duration::from_secs(10) }
    }
}

impl Resource for AuthorizedKey {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Knob(self.knob.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        let user =
            KnobSort::find("user").map(|sort| Want::after(Target::Thing(Thing::Knob(Knob::new(sort, &self.user)))));
        user.into_iter().collect()
    }

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::Knob(self.knob.clone()), Ask::Guard(self.account())]
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        /// What getent(1) says of a name that nobody has.
        const NOT_FOUND: i32 = 2;
        let Self { user, knob, line } = self;
        let now = answers.knob(knob)?;
        if *answers.guard(&self.account())? == NOT_FOUND && line != ABSENT && !context.anything_pending() {
            return Err(Undecided::with_help(
                format!("the host has no user {user}, and the plan does not make it"),
                "add a resource that makes it (kind `user`), or name another",
            ));
        }
        if now == line {
            return Ok(Change::none());
        }
        let shown = |state: &str| if state == ABSENT { Shown::Absent } else { state.into() };
        let mut change = Change::new(if now == ABSENT { Action::Create } else { Action::Update });
        change.compare("line", shown(now), shown(line));
        Ok(change)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        if self.line == ABSENT { Vec::new() } else { vec![("line", self.line.as_str().into())] }
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        Ok(vec![Step::Turn { knob: self.knob.clone(), state: self.line.clone(), input: None }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJ1mVkX0ASc8Kxk8T0Wb0mVq3y6w0dVw4iQ7uQpZ8b1C";

    fn plan(more: &str) -> String {
        format!("user = 'core'\nkey = 'ssh-ed25519 {KEY} me'\n{more}")
    }

    fn knob() -> Knob {
        Knob::new(&AUTHORIZED_KEY, format!("core ssh-ed25519 {KEY}"))
    }

    #[test]
    fn a_key_is_added_with_its_options() {
        case("authorized_key", &plan("options = ['no-pty', 'from=\"192.0.2.1\"']"))
            .creates(&format!("line: (absent) -> no-pty,from=\"192.0.2.1\" ssh-ed25519 {KEY} me"))
            .holds(&format!("knob authorized_key core ssh-ed25519 {KEY}"))
            .mended();
    }

    #[test]
    fn the_same_key_with_something_else_beside_it_is_changed() {
        case("authorized_key", &plan(""))
            .given(|state| state.turn(&knob(), &format!("restrict ssh-ed25519 {KEY}")))
            .updates(&format!("line: restrict ssh-ed25519 {KEY} -> ssh-ed25519 {KEY} me"))
            .mended();
    }

    #[test]
    fn a_key_is_taken_out() {
        case("authorized_key", &plan("state = 'absent'")).in_sync();
        case("authorized_key", &plan("state = 'absent'"))
            .given(|state| state.turn(&knob(), "x"))
            .updates("line: x -> (absent)")
            .mended();
    }

    #[test]
    fn a_user_that_nobody_knows_is_told_beforehand() {
        let argv = ["getent", "passwd", "core"].map(str::to_owned).to_vec();
        case("authorized_key", &plan(""))
            .given(|state| _ = state.statuses.insert(argv, 2))
            .undecided("the host has no user core, and the plan does not make it");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        case("authorized_key", "user = 'core'\nkey = 'AAAA'").refused(
            "4:7: this does not begin with the type of a public key (it is one line of a `.pub` file: `ssh-ed25519 AAAA... comment`)",
        );
        case("authorized_key", "user = 'core'\nkey = 'ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA'").refused(
            "4:7: this is not a whole public key of the type ssh-rsa (it is one line of a `.pub` file: `ssh-ed25519 AAAA... comment`)",
        );
        case("authorized_key", &plan("options = ['from=\"a\" b=\"c\"']")).refused(
            "5:11: \"from=\\\"a\\\" b=\\\"c\\\"\" is not an option of a key (a word, or a word with a value in double quotes: `from=\"192.0.2.0/24\"`)",
        );
    }
}
