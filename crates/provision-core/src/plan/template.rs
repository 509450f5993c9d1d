//! Templates in a plan: minijinja with strict undefined. Finds what a text refers to, and renders it.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value as Rendered};

use super::node::{Node, Table, Value};
use crate::secret::Text;

/// What a template refers to: the parts of a dotted name, at most three are looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference(pub(crate) Vec<String>);

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
        Self { environment }
    }

    /// The references of a text; an error when it is no valid template.
    pub(crate) fn references(&self, text: &str) -> Result<BTreeSet<Reference>, Failure> {
        check_length(text)?;
        let template = self.environment.template_from_str(text).map_err(|error| explain(&error))?;
        let functions: BTreeSet<&str> = self.environment.globals().map(|(name, _)| name).collect();
        Ok(template
            .undeclared_variables(true)
            .into_iter()
            .filter(|name| !functions.contains(name.as_str()))
            .map(|name| Reference(name.split('.').map(str::to_owned).collect()))
            .collect())
    }

    /// Renders a text. A lone `{{ expression }}` keeps the type of its value.
    pub(crate) fn render(&self, text: &str, context: &Rendered) -> Result<Rendered, Failure> {
        check_length(text)?;
        if let Some(expression) = lone_expression(text) {
            let expression = self.environment.compile_expression(expression).map_err(|error| explain(&error))?;
            let value = expression.eval(context.clone()).map_err(|error| explain(&error))?;
            if value.is_undefined() {
                return Err(explain(&ErrorKind::UndefinedError.into()));
            }
            return Ok(value);
        }
        self.environment.render_str(text, context.clone()).map(Rendered::from).map_err(|error| explain(&error))
    }
}

/// Whether a text is a template at all; most are not, and stay as they are to the letter.
pub(crate) fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// How many operators one expression or block may have. The engine goes down a step for each and does not count them; on
/// the stack of a thread it falls at some 4000.
const OPERATORS: usize = 1000;

/// Refuses what the engine would overflow its stack with: an expression with operators without end, or a block with
/// branches without end.
fn check_length(text: &str) -> Result<(), Failure> {
    let mut rest = text;
    let mut branches = 0;
    while let Some((_, tag)) = rest.split_once('{') {
        let Some(inner) = tag.strip_prefix(['{', '%']) else {
            rest = tag;
            continue;
        };
        let (operators, after) = measure(inner);
        let inside = inner.get(..inner.len() - after.len()).unwrap_or_default();
        let word = inside.trim_start_matches(['-', '+']).split_ascii_whitespace().next();
        branches += usize::from(word == Some("elif"));
        if operators > OPERATORS || branches > OPERATORS {
            return Err(Failure {
                message: format!("a template has an expression or branches of more than {OPERATORS} parts"),
                help: "make several of it",
            });
        }
        rest = match word {
            // What stands in it is text.
            Some("raw") => after.split_once("endraw").map_or("", |(_, after)| after),
            _ => after,
        };
    }
    Ok(())
}

/// Counts the operators up to the end of an expression or block, and gives what comes behind it.
fn measure(inner: &str) -> (usize, &str) {
    let mut operators = 0;
    let mut quote = None;
    let mut word = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '}') if inner.get(..at).is_some_and(|before| before.ends_with(['}', '%'])) => {
                return (operators, inner.get(at + 1..).unwrap_or_default());
            }
            (None, '+' | '-' | '*' | '/' | '%' | '~' | '|' | '.' | '[' | '(' | '<' | '>' | '=' | '!') => operators += 1,
            (None, _) => {}
        }
        if character.is_alphanumeric() || character == '_' {
            word.push(character);
        } else {
            operators += usize::from(matches!(word.as_str(), "not" | "and" | "or" | "is" | "in" | "if" | "else"));
            word.clear();
        }
    }
    (operators, "")
}

fn lone_expression(text: &str) -> Option<&str> {
    // Not trimmed: the newline behind it may be the end of a file's only line.
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}") && !inner.contains("{%")).then_some(inner)
}

fn explain(error: &minijinja::Error) -> Failure {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let (what, help) = match error.kind() {
        ErrorKind::UndefinedError => (
            "it refers to something that is not there".to_owned(),
            "templates know `input`, `host`, `fact`, `plan` and the resources by their kinds",
        ),
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
        let found: Vec<String> = found.iter().map(|reference| reference.0.join(".")).collect();
        assert_eq!(found, ["directory.root.path", "input.names"]);
        assert!(templates.references("{{ htpasswd('a', input.p) }}").unwrap().iter().all(|r| r.0[0] == "input"));
        assert!(templates.references("{{ x").unwrap_err().message.contains("not a valid template"));
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
