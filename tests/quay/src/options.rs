//! Options as Go's `flag` has them: `-name VALUE`, `--name VALUE`, `--name=VALUE`.

use std::collections::BTreeMap;

use crate::Failure;

/// Whether something follows the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Value,
    Nothing,
}

pub fn parse(arguments: &[String], known: &[(&str, Takes)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut given = BTreeMap::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(option) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            return Err(format!("`{argument}` is no option").into());
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        let Some((_, takes)) = known.iter().find(|(known, _)| *known == name) else {
            return Err(format!("flag provided but not defined: -{name}").into());
        };
        let value = match (takes, value) {
            (_, Some(value)) => value,
            (Takes::Nothing, None) => "true".to_owned(),
            (Takes::Value, None) => {
                arguments.next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?
            }
        };
        given.insert(name.to_owned(), value);
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_is_two() {
        let known = [("addr", Takes::Value), ("stdin", Takes::Nothing)];
        for (line, expected) in [
            ("-addr :1 --stdin", Some("addr=:1 stdin=true")),
            ("--addr=:1", Some("addr=:1")),
            ("--addr", None),
            ("--other x", None),
            ("addr", None),
        ] {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let found = parse(&words, &known).ok();
            let shown = found.map(|found| {
                let pairs: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
                pairs.join(" ")
            });
            assert_eq!(shown.as_deref(), expected, "{line}");
        }
    }
}
