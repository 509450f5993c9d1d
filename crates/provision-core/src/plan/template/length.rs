//! What a template may have of operators and branches, so that no text makes the engine overflow its stack.

use super::Failure;

/// How many operators one expression or block may have. The engine goes down a step for each and does not count them; on
/// the stack of a thread it falls at some 4000.
const OPERATORS: usize = 1000;

/// Refuses what the engine would overflow its stack with: an expression with operators without end, or a block with
/// branches without end.
pub(super) fn check_length(text: &str) -> Result<(), Failure> {
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
