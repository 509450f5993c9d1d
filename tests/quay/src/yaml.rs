//! config.yaml as a value. Plain words mean what they mean to Quay, whose YAML is that of Python: `yes` is true, and a
//! password that is written as a number is a number.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use crate::Failure;

pub fn parse(text: &str) -> Result<Value, Failure> {
    let mut events = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| format!("not YAML: {error}"))?;
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
            event => events.push(event),
        }
    }
    let mut events = events.into_iter();
    let value = match events.next() {
        Some(event) => node(event, &mut events)?,
        None => Value::Null,
    };
    if events.next().is_some() {
        return Err("more than one document".into());
    }
    Ok(value)
}

fn node<'a>(event: Event<'a>, events: &mut impl Iterator<Item = Event<'a>>) -> Result<Value, Failure> {
    let end = "it ends in the middle";
    match event {
        Event::Scalar(text, ScalarStyle::Plain, _, None) => Ok(plain(&text)),
        Event::Scalar(text, ..) => Ok(Value::String(text.into_owned())),
        Event::SequenceStart(..) => {
            let mut list = Vec::new();
            loop {
                match events.next().ok_or(end)? {
                    Event::SequenceEnd => return Ok(Value::Array(list)),
                    event => list.push(node(event, events)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut map = Map::new();
            loop {
                let key = match events.next().ok_or(end)? {
                    Event::MappingEnd => return Ok(Value::Object(map)),
                    Event::Scalar(key, ..) => key.into_owned(),
                    other => return Err(format!("a key that is no word: {other:?}").into()),
                };
                let value = node(events.next().ok_or(end)?, events)?;
                if map.insert(key.clone(), value).is_some() {
                    return Err(format!("{key} is there twice").into());
                }
            }
        }
        other => Err(format!("not supported here: {other:?}").into()),
    }
}

/// YAML 1.1, as far as settings have it.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ if text.bytes().any(|b| b.is_ascii_digit()) => {
            let digits = text.replace('_', "");
            match (digits.parse::<i64>(), digits.parse::<f64>()) {
                (Ok(number), _) => number.into(),
                // `1e5` without a point is a word there.
                (_, Ok(number)) if digits.contains('.') => number.into(),
                _ => Value::String(text.to_owned()),
            }
        }
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_as_python_reads_them() {
        let text = "a: yes\nb: 'yes'\nc: 12345678\nd: \"12345678\"\ne: [x, {f: /g}]\nh:\ni: abc123\n";
        assert_eq!(
            parse(text).unwrap(),
            json!({"a": true, "b": "yes", "c": 12_345_678, "d": "12345678", "e": ["x", {"f": "/g"}], "h": null, "i": "abc123"})
        );
        for broken in ["a: [", "a: 1\na: 2", "a: *b", "a: 1\n---\nb: 1"] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }
}
