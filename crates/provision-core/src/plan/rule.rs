//! What a plan asks of a value that is given for an input, besides its type.

use regex::Regex;

use super::fields::Fields;
use super::input::InputType;
use super::node::{Node, Value};

/// A rule. It is looked at wherever a value comes from, before any host is asked where that is known by then; what it
/// says of a value never repeats it, since that may be a secret.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    /// What the whole of a text must match; of a list, each item.
    matches: Option<Pattern>,
    /// Names that a table must not have.
    reserved: Vec<String>,
    /// What is wanted, in words.
    meaning: Option<String>,
}

#[derive(Debug, Clone)]
struct Pattern {
    written: String,
    whole: Regex,
}

impl Rule {
    /// Reads `matches`, `reserved` and `meaning` of an input of a type.
    pub(super) fn read(fields: &Fields<'_>, input_type: InputType) -> Self {
        let pattern = fields.optional::<String>("matches");
        let reserved: Vec<String> = fields.list("reserved");
        let meaning = fields.optional("meaning");
        let fits = |name: &str, types: &[InputType], which: &str| {
            if fields.has(name) && !types.contains(&input_type) {
                fields.problem(name, format!("`{name}` is for {which}"), "take it out, or give the input that `type`");
            }
        };
        fits("matches", &[InputType::Text, InputType::Path, InputType::List], "text, paths and lists of text");
        fits("reserved", &[InputType::Table], "tables");
        if fields.has("meaning") && !fields.has("matches") && !fields.has("reserved") {
            let help = "add `matches` or `reserved`, or call it `description`";
            fields.problem("meaning", "`meaning` says in words what is refused, and nothing is", help);
        }
        // A group, so that an alternative is one of the whole.
        let matches = pattern.and_then(|written| match Regex::new(&format!("^(?:{written})$")) {
            Ok(whole) => Some(Pattern { written, whole }),
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned();
                fields.problem("matches", format!("it is no regular expression: {why}"), "see https://docs.rs/regex");
                None
            }
        });
        Self { matches, reserved, meaning }
    }

    /// Looks at a value of the input's type.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self, node: &Node) -> Result<(), String> {
        match &node.value {
            Value::Text(text) => self.text(text.expose()),
            Value::Array(items) => items.iter().try_for_each(|item| self.check(item)),
            Value::Table(table) => {
                let named = |name: &&String| table.entries.contains_key(name.as_str());
                let found: Vec<&str> = self.reserved.iter().filter(named).map(String::as_str).collect();
                if found.is_empty() {
                    return Ok(());
                }
                let why = self.meaning.as_ref().map(|meaning| format!(": {meaning}")).unwrap_or_default();
                Err(format!("it must not have {}{why}", found.join(", ")))
            }
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Unknown => Ok(()),
        }
    }

    fn text(&self, text: &str) -> Result<(), String> {
        match &self.matches {
            Some(Pattern { written, whole }) if !whole.is_match(text) => {
                Err(self.meaning.clone().unwrap_or_else(|| format!("it must match {written}")))
            }
            _ => Ok(()),
        }
    }
}
