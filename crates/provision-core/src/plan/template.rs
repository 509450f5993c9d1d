//! Templates in a plan: minijinja with strict undefined. Finds what a text refers to, and renders it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value as Rendered};

mod length;

use super::node::{Entry, Node, Table, Value};
use crate::blob::hex;
use crate::secret::Text;
use length::check_length;

/// What a template refers to: `directory.data["a"].path`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference(pub(crate) Vec<Part>);

/// One part of a reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// `.a` or `["a"]`.
    Name(String),
    /// `[each.key]`: what stands there.
    By(Vec<String>),
}

impl Reference {
    /// A part that is written out.
    pub(crate) fn part(&self, index: usize) -> Option<&str> {
        match self.0.get(index) {
            Some(Part::Name(name)) => Some(name),
            Some(Part::By(_)) | None => None,
        }
    }

    /// Whether it begins so.
    pub(crate) fn is(&self, first: &str) -> bool {
        self.part(0) == Some(first)
    }

    /// Its parts once it is known what stands at those that are not written out; as far as that is known.
    pub(crate) fn path(&self, standing: impl Fn(&[String]) -> Option<String>) -> Vec<String> {
        let part = |part: &Part| match part {
            Part::Name(name) => Some(name.clone()),
            Part::By(path) => standing(path),
        };
        self.0.iter().map_while(part).collect()
    }

    /// As it would be written.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Name(name) if text.is_empty() => text.push_str(name),
                Part::Name(name) if is_identifier(name) => text.extend([".", name]),
                Part::Name(name) => text.extend(["[\"", name, "\"]"]),
                Part::By(path) => text.extend(["[", &path.join("."), "]"]),
            }
        }
        text
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Why a text is no template, or cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: &'static str,
}

/// The template engine of one plan.
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// `plan` goes into the salt of [`htpasswd`], so that two plans never share one.
    pub(crate) fn new(plan: &str) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        // A file keeps its last newline, and a line that holds nothing but a block leaves nothing behind.
        let mut syntax = minijinja::syntax::SyntaxConfig::builder();
        syntax.keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true);
        if let Ok(syntax) = syntax.build() {
            environment.set_syntax(syntax);
        }
        let plan = plan.to_owned();
        environment.set_fuel(Some(FUEL));
        environment.add_function("htpasswd", move |state: &State<'_, '_>, user: &str, password: &str| {
            state.consume_fuel(FUEL / PASSWORDS)?;
            htpasswd(&plan, user, password)
        });
        environment.add_function("base64", |text: &str| base64::engine::general_purpose::STANDARD.encode(text));
        Self { environment }
    }

    /// The references of a text; an error when it is no valid template.
    pub(crate) fn references(&self, text: &str) -> Result<BTreeSet<Reference>, Failure> {
        check_length(text)?;
        let template = self.environment.template_from_str(text).map_err(|error| explain(&error))?;
        // The engine follows names and stops at `["a"]`, so those are names where it looks.
        let flat = flat(text);
        let names = match self.environment.template_from_str(&flat) {
            Ok(template) => template.undeclared_variables(true),
            Err(_) => template.undeclared_variables(true),
        };
        let functions: BTreeSet<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let names = names.into_iter().filter(|name| !functions.contains(name.as_str()));
        let mut found = BTreeSet::new();
        for name in names {
            let parts: Vec<Part> = name.split('.').map(unflat).collect();
            for part in &parts {
                if let Part::By(path) = part {
                    found.insert(Reference(path.iter().cloned().map(Part::Name).collect()));
                }
            }
            found.insert(Reference(parts));
        }
        Ok(found)
    }

    /// The references of an expression; an error when it is none.
    pub(crate) fn expression_references(&self, text: &str) -> Result<BTreeSet<Reference>, Failure> {
        check_length(&format!("{{{{ {text} }}}}"))?;
        self.environment.compile_expression(text).map_err(|error| explain(&error))?;
        self.references(&format!("{{{{ {text} }}}}"))
    }

    /// What an expression comes to.
    pub(crate) fn evaluate(&self, text: &str, context: &Rendered) -> Result<Rendered, Failure> {
        let expression = self.environment.compile_expression(text).map_err(|error| explain(&error))?;
        let value = expression.eval(context.clone()).map_err(|error| explain(&error))?;
        if value.is_undefined() { Err(explain(&ErrorKind::UndefinedError.into())) } else { Ok(value) }
    }

    /// Renders a text. A lone `{{ expression }}` keeps the type of its value.
    pub(crate) fn render(&self, text: &str, context: &Rendered) -> Result<Rendered, Failure> {
        check_length(text)?;
        if let Some(expression) = lone_expression(text) {
            return self.evaluate(expression, context);
        }
        self.environment.render_str(text, context.clone()).map(Rendered::from).map_err(|error| explain(&error))
    }
}

const NOT_THERE: &str = "it refers to something that is not there";

/// What begins a name that stands for another part of a reference. No plan has such names: they begin with a letter.
const KEY: &str = "__key_";
const BY: &str = "__by_";

/// The text with every `["a"]` and `[each.key]` that follows a name as if it were a name itself. For looking at only.
fn flat(text: &str) -> String {
    let mut flat = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        flat.push_str(before);
        match subscript(before, after) {
            Some((name, length)) => {
                flat.push('.');
                flat.push_str(&name);
                rest = after.get(length..).unwrap_or_default();
            }
            None => {
                flat.push('[');
                rest = after;
            }
        }
    }
    flat.push_str(rest);
    flat
}

/// The name for a subscript, and how long it is with its bracket.
fn subscript(before: &str, after: &str) -> Option<(String, usize)> {
    let word = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
    let follows = is_identifier(word) || before.is_empty() || before.ends_with(']');
    if !follows || matches!(word, "in" | "not" | "and" | "or" | "if" | "else" | "is") {
        return None;
    }
    let inner = after.get(..after.find(']')?)?;
    let quoted = |quote: char| inner.strip_prefix(quote)?.strip_suffix(quote);
    let name = match quoted('"').or_else(|| quoted('\'')) {
        Some(key) if is_identifier(key) => key.to_owned(),
        Some(key) if key.parse::<crate::address::Key>().is_ok() => format!("{KEY}{}", hex(key.as_bytes())),
        Some(_) => return None,
        None => {
            let path = inner.trim();
            let mut parts = path.split('.');
            let knowable = parts.next().is_some_and(|root| matches!(root, "each" | "input" | "host"));
            if !knowable || !parts.all(is_identifier) || path.len() > 256 {
                return None;
            }
            format!("{BY}{}", hex(path.as_bytes()))
        }
    };
    Some((name, inner.len() + 1))
}

fn unflat(name: &str) -> Part {
    let decoded = |prefix: &str| -> Option<String> {
        let digits = name.strip_prefix(prefix)?;
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        String::from_utf8((0..digits.len()).step_by(2).map(byte).collect::<Option<_>>()?).ok()
    };
    if let Some(key) = decoded(KEY) {
        return Part::Name(key);
    }
    match decoded(BY) {
        Some(path) => Part::By(path.split('.').map(str::to_owned).collect()),
        None => Part::Name(name.to_owned()),
    }
}

/// Whether a text is a template at all; most are not, and stay as they are to the letter.
pub(crate) fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// The dotted name that a text is and nothing else: of `{{ input.sites }}`. What it names can be taken as it is.
pub(crate) fn lone_reference(text: &str) -> Option<Vec<String>> {
    let path: Vec<String> = lone_expression(text)?.trim().split('.').map(str::to_owned).collect();
    path.iter().all(|part| is_identifier(part)).then_some(path)
}

fn lone_expression(text: &str) -> Option<&str> {
    // Not trimmed: the newline behind it may be the end of a file's only line.
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}") && !inner.contains("{%")).then_some(inner)
}

fn explain(error: &minijinja::Error) -> Failure {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let (what, help) = match error.kind() {
        ErrorKind::UndefinedError => {
            (NOT_THERE.to_owned(), "templates know `input`, `host`, `fact`, `plan` and the resources by their kinds")
        }
        ErrorKind::SyntaxError => (
            format!("it is not a valid template: {detail}"),
            "an expression is `{{ ... }}` and a block `{% if ... %}...{% endif %}`; `{{` itself is {{ '{{' }}",
        ),
        ErrorKind::OutOfFuel => (
            "it does not come to an end, or makes more text than any file has".to_owned(),
            "make its loops and what they write smaller",
        ),
        ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest | ErrorKind::UnknownMethod => {
            (detail, "there are those of minijinja (https://docs.rs/minijinja), and the function `htpasswd`")
        }
        _ => (detail, "correct the expression"),
    };
    // The place within the template, where it has several lines.
    let message = match error.line() {
        Some(line) if line > 1 => format!("{what} (line {line} of the template)"),
        _ => what,
    };
    Failure { message, help }
}

/// A value for templates.
pub(crate) fn to_rendered(node: &Node) -> Rendered {
    match &node.value {
        Value::Text(text) => Rendered::from(text.expose()),
        Value::Integer(number) => Rendered::from(*number),
        Value::Float(number) => Rendered::from(*number),
        Value::Boolean(value) => Rendered::from(*value),
        Value::Array(items) => Rendered::from(items.iter().map(to_rendered).collect::<Vec<_>>()),
        Value::Table(table) => table_to_rendered(table),
        Value::Unknown => Rendered::UNDEFINED,
    }
}

pub(crate) fn table_to_rendered(table: &Table) -> Rendered {
    map(table.entries.iter().map(|(key, entry)| (key.clone(), to_rendered(&entry.node))))
}

/// A value for templates with named parts. Collecting pairs straight into a value would make a list of them.
pub(crate) fn map(pairs: impl IntoIterator<Item = (String, Rendered)>) -> Rendered {
    Rendered::from(pairs.into_iter().collect::<BTreeMap<String, Rendered>>())
}

/// What a template gave, as a value of the plan; secret when a secret went in.
pub(crate) fn from_rendered(value: &Rendered, secret: bool) -> Result<Value, Failure> {
    use minijinja::value::ValueKind;
    let text = |text: String| Value::Text(if secret { Text::secret(text) } else { Text::plain(text) });
    Ok(match value.kind() {
        ValueKind::String => text(value.to_string()),
        ValueKind::Bool if !secret => Value::Boolean(value.is_true()),
        ValueKind::Number if !secret => match i64::try_from(value.clone()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Text(Text::plain(value.to_string())),
        },
        ValueKind::Bool | ValueKind::Number => text(value.to_string()),
        ValueKind::Seq | ValueKind::Iterable => Value::Array(
            value
                .try_iter()
                .map_err(|error| explain(&error))?
                .map(|item| Ok(Node { value: from_rendered(&item, secret)?, place: None, rendered: true }))
                .collect::<Result<_, Failure>>()?,
        ),
        ValueKind::Map => {
            let mut entries = BTreeMap::new();
            for key in value.try_iter().map_err(|error| explain(&error))? {
                let item = value.get_item(&key).map_err(|error| explain(&error))?;
                let node = Node { value: from_rendered(&item, secret)?, place: None, rendered: true };
                entries.insert(key.to_string(), Entry { key: None, node });
            }
            Value::Table(Table { entries: entries.into_iter().collect() })
        }
        ValueKind::None | ValueKind::Undefined => {
            let help = "write what is to stand there instead: {{ value or 'nothing' }}";
            return Err(Failure { message: "it gives nothing".to_owned(), help });
        }
        other => {
            let help = "name the part of it that is meant, as in {{ input.port }} or {{ directory.root.path }}";
            return Err(Failure { message: format!("it gives a {other}, which no field takes"), help });
        }
    })
}

/// What one text may use up: about so many instructions, or 64 times as many bytes (256 MB). Far above what any file
/// takes, and below what anybody would wait for.
const FUEL: u64 = 4_000_000;

/// How many passwords one text may have: 10 seconds' worth.
const PASSWORDS: u64 = 200;

/// bcrypt's cost: about 50 ms a password on today's machines, and what `htpasswd -B` calls sensible.
const COST: u32 = 10;

/// A line of an htpasswd file (`htpasswd -B`): the user and the bcrypt hash of the password.
///
/// The salt comes from the plan's name and the user, so that the same password gives the same line and a second apply
/// changes nothing. A salt need not be secret; it does not depend on the password, which it could betray.
fn htpasswd(plan: &str, user: &str, password: &str) -> Result<String, minijinja::Error> {
    use sha2::{Digest, Sha256};
    let refuse = |reason: String| minijinja::Error::new(ErrorKind::InvalidOperation, format!("htpasswd: {reason}"));
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
        return Err(refuse("a user name is not empty and has no colon and no control character".to_owned()));
    }
    // bcrypt looks at 72 bytes and ignores the rest, which would make two passwords one.
    if password.is_empty() || password.len() > 72 || password.contains('\0') {
        return Err(refuse("a password has 1 to 72 bytes and no NUL".to_owned()));
    }
    let digest = Sha256::new()
        .chain_update("provision htpasswd\0")
        .chain_update(plan)
        .chain_update("\0")
        .chain_update(user)
        .finalize();
    let mut salt = [0_u8; 16];
    for (to, from) in salt.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    let hash = bcrypt::hash_with_salt(password, COST, salt).map_err(|error| refuse(error.to_string()))?;
    Ok(format!("{user}:{}", hash.format_for_version(bcrypt::Version::TwoY)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn references_are_dotted_names() {
        let templates = Templates::new("p");
        let found =
            templates.references("{{ directory.root.path }}/{% for x in input.names %}{{ x }}{% endfor %}").unwrap();
        let found: Vec<String> = found.iter().map(Reference::text).collect();
        assert_eq!(found, ["directory.root.path", "input.names"]);
        assert!(templates.references("{{ htpasswd('a', input.p) }}").unwrap().iter().all(|r| r.is("input")));
        assert!(templates.references("{{ x").unwrap_err().message.contains("not a valid template"));
    }

    #[test]
    fn keys_are_parts_of_a_reference() {
        let templates = Templates::new("p");
        for (text, expected) in [
            ("{{ directory.data[\"a\"].path }}", "directory.data.a.path"),
            ("{{ directory.data['x.example'].path }}", "directory.data[\"x.example\"].path"),
            ("{{ directory.data[each.key].path }}", "directory.data[each.key].path each.key"),
            ("{{ input['p'] }}", "input.p"),
            ("{{ directory['data']['8080'].path }}", "directory.data[\"8080\"].path"),
            ("{{ input.names[0] }}", "input.names"),
            ("{{ directory.data[x ~ y].path }}", "directory.data x y"),
            ("{% if input.a in ['b'] %}{{ ['c'] }}{% endif %}", "input.a"),
            ("{% if input.a in[\"b\"] %}{% endif %}", "input.a"),
            ("{{ directory.data[']'] }} [a] x['", "directory.data"),
        ] {
            let mut found: Vec<String> = templates.references(text).unwrap().iter().map(Reference::text).collect();
            found.sort_by_key(|text| expected.split(' ').position(|word| word == text));
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn a_lone_expression_keeps_its_type() {
        let templates = Templates::new("p");
        let context = context! { input => context! { port => 8443, list => ["a", "b"] } };
        assert_eq!(templates.render("{{ input.port }}", &context).unwrap(), Rendered::from(8443));
        assert_eq!(templates.render("{{ input.port }}/tcp", &context).unwrap(), Rendered::from("8443/tcp"));
        assert_eq!(templates.render("{{ input.port }}\n", &context).unwrap(), Rendered::from("8443\n"));
        assert!(templates.render("{{ input.prot }}", &context).is_err());
        assert!(templates.render("x{{ input.prot }}", &context).is_err());
    }

    #[test]
    fn the_same_password_gives_the_same_line() {
        let line = htpasswd("registry", "init", "hunter22").unwrap();
        assert_eq!(line, htpasswd("registry", "init", "hunter22").unwrap());
        assert_ne!(line, htpasswd("other", "init", "hunter22").unwrap());
        let hash = line.strip_prefix("init:$2y$10$").map(|rest| format!("$2b$10${rest}")).unwrap();
        assert!(bcrypt::verify("hunter22", &hash).unwrap());
        assert!(!bcrypt::verify("hunter23", &hash).unwrap());
        assert!(htpasswd("p", "a:b", "x").is_err());
        assert!(htpasswd("p", "a", &"x".repeat(73)).is_err());
    }
}
