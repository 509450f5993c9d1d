//! Templates in a plan: minijinja with strict undefined. Finds what a text refers to, and renders it.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value as Rendered};

use super::node::{Node, Table, Value};
use crate::secret::Text;

/// What a template refers to: the parts of a dotted name, at most three are looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference(pub(crate) Vec<String>);

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
    pub(crate) fn references(&self, text: &str) -> Result<BTreeSet<Reference>, String> {
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
    pub(crate) fn render(&self, text: &str, context: &Rendered) -> Result<Rendered, String> {
        if let Some(expression) = lone_expression(text) {
            let expression = self.environment.compile_expression(expression).map_err(|error| explain(&error))?;
            let value = expression.eval(context.clone()).map_err(|error| explain(&error))?;
            if value.is_undefined() {
                return Err("it refers to something that is not there".to_owned());
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

fn lone_expression(text: &str) -> Option<&str> {
    // Not trimmed: the newline behind it may be the end of a file's only line.
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}") && !inner.contains("{%")).then_some(inner)
}

fn explain(error: &minijinja::Error) -> String {
    let what = match error.kind() {
        ErrorKind::UndefinedError => "it refers to something that is not there".to_owned(),
        ErrorKind::SyntaxError => format!("it is not a valid template: {}", error.detail().unwrap_or("syntax error")),
        ErrorKind::OutOfFuel => "it does not come to an end, or makes more text than any file has".to_owned(),
        _ => error.to_string(),
    };
    // The place within the template, where it has several lines.
    match error.line() {
        Some(line) if line > 1 => format!("{what} (line {line} of the template)"),
        _ => what,
    }
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
pub(crate) fn from_rendered(value: &Rendered, secret: bool) -> Result<Value, String> {
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
                .map_err(|error| error.to_string())?
                .map(|item| Ok(Node { value: from_rendered(&item, secret)?, place: None, rendered: true }))
                .collect::<Result<_, String>>()?,
        ),
        ValueKind::None => return Err("it gives nothing".to_owned()),
        other => return Err(format!("it gives a {other}, which no field takes")),
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
        assert!(templates.references("{{ x").unwrap_err().contains("not a valid template"));
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
