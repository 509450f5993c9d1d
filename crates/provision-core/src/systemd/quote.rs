//! Owns the quoting of words inside a setting's value, as systemd.syntax(7) describes it.
//!
//! Three things are apart here, because they apply to different settings: quoting (settings that are split into
//! words), percent signs (almost every setting) and dollar signs (command lines only).

use std::fmt::Write;

/// Why a value cannot be split into words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// A quote is opened and never closed.
    #[error("unbalanced {quote} in {value:?}")]
    Unbalanced {
        /// The quote.
        quote: char,
        /// The whole value.
        value: String,
    },
    /// A backslash is followed by something that systemd.syntax(7) does not list.
    #[error("unknown escape \\{escape} in {value:?}; a literal backslash is written twice")]
    Escape {
        /// What follows the backslash.
        escape: String,
        /// The whole value.
        value: String,
    },
    /// Escaped bytes that are not UTF-8.
    #[error("the escapes in {value:?} do not make UTF-8 text")]
    NotText {
        /// The whole value.
        value: String,
    },
}

/// Quotes one word for a setting that systemd or Quadlet splits into words and unescapes: `Exec*=`, `Environment=`,
/// `Label=` and their like. A word that needs no quotes is returned as it is.
///
/// Neither `%` nor `$` is touched: see [`literal`] and [`literal_exec`], which can be applied before or after.
/// A NUL becomes `\x00`, which systemd refuses; no program could be given it.
#[must_use]
pub fn quote_word(word: &str) -> String {
    // A lone semicolon separates two commands of an Exec line.
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '\\');
    if !word.is_empty() && word != ";" && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('"');
    for c in word.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // systemd refuses control characters in a file; those above 0x7f are two bytes, hence \u and not \x.
            c if c.is_ascii_control() => {
                let _infallible = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() => {
                let _infallible = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Quotes each word and puts a space between them.
#[must_use]
pub fn quote_words<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| quote_word(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// Makes percent signs literal by doubling them, for a setting in which systemd expands specifiers but no variables,
/// such as `Environment=`, `Description=` or `WorkingDirectory=` of a service; systemd.unit(5), "Specifiers".
#[must_use]
pub fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

/// Makes percent and dollar signs literal by doubling them, for a command line (`ExecStart=` and its like;
/// systemd.service(5), "Command lines").
///
/// It is also right for almost every value of a Quadlet section, `Environment=` among them: Quadlet copies it into
/// the service's `ExecStart=podman run ...`, and systemd expands it there.
#[must_use]
pub fn literal_exec(text: &str) -> String {
    literal(text).replace('$', "$$")
}

/// Splits a value into words at blanks, takes quotes away and resolves escapes: the inverse of [`quote_words`].
///
/// # Errors
/// When a quote stays open or an escape is unknown.
pub fn split_words(value: &str) -> Result<Vec<String>, QuoteError> {
    split(value, Backslash::Escapes)
}

/// Splits a value into words at blanks and takes quotes away, a backslash being a character like any other:
/// how systemd reads lists of names (`After=`) and Quadlet reads `Yaml=` or `UIDMap=`.
///
/// # Errors
/// When a quote stays open.
pub fn split_verbatim(value: &str) -> Result<Vec<String>, QuoteError> {
    split(value, Backslash::Literal)
}

#[derive(Clone, Copy, PartialEq)]
enum Backslash {
    Escapes,
    Literal,
}

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

fn split(value: &str, backslash: Backslash) -> Result<Vec<String>, QuoteError> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        let open: &mut Vec<u8> = match quote {
            None if BLANKS.contains(&c) => {
                words.extend(word.take());
                continue;
            }
            _ => word.get_or_insert_default(),
        };
        match (c, quote) {
            ('\\', _) if backslash == Backslash::Escapes => match unescape(rest.as_str()) {
                Some((bytes, length)) => {
                    open.extend(bytes);
                    rest = rest.as_str().get(length..).unwrap_or_default().chars();
                }
                None => {
                    let escape = rest.next().map(String::from).unwrap_or_default();
                    return Err(QuoteError::Escape { escape, value: value.to_owned() });
                }
            },
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(closing)) if c == closing => quote = None,
            (c, _) => open.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    if let Some(quote) = quote {
        return Err(QuoteError::Unbalanced { quote, value: value.to_owned() });
    }
    words.extend(word);
    let text = |bytes| String::from_utf8(bytes).map_err(|_| QuoteError::NotText { value: value.to_owned() });
    words.into_iter().map(text).collect()
}

/// Reads one escape, its backslash already taken: what it stands for and its length.
/// The list is that of systemd.syntax(7); a NUL is refused there as well.
fn unescape(text: &str) -> Option<(Vec<u8>, usize)> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().filter(|number| *number != 0);
    let exact = |start: usize, length: usize| {
        text.get(start..start + length).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let byte = |number| u8::try_from(number).ok().map(|byte| vec![byte]);
    let character = |number| char::from_u32(number).map(|c| c.to_string().into_bytes());
    let first = text.chars().next()?;
    let simple = match first {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        's' => b' ',
        '\\' | '"' | '\'' => u8::try_from(first).ok()?,
        'x' => return Some((byte(number(exact(1, 2)?, 16)?)?, 3)),
        'u' => return Some((character(number(exact(1, 4)?, 16)?)?, 5)),
        'U' => return Some((character(number(exact(1, 8)?, 16)?)?, 9)),
        '0'..='7' => return Some((byte(number(exact(0, 3)?, 8)?)?, 3)),
        _ => return None,
    };
    Some((vec![simple], 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_quoted_only_where_they_must_be() {
        for (word, quoted) in [
            ("plain", "plain"),
            ("--name=größe", "--name=größe"),
            ("%i$HOME", "%i$HOME"),
            ("", r#""""#),
            (";", r#"";""#),
            ("two words", r#""two words""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            ("it's", r#""it's""#),
            (r"C:\x", r#""C:\\x""#),
            ("a\nb\tc\u{1}\u{85}", r#""a\nb\tc\x01\u0085""#),
        ] {
            assert_eq!(quote_word(word), quoted);
        }
        assert_eq!(quote_words(["sh", "-c", "echo hi"]), r#"sh -c "echo hi""#);
    }

    #[test]
    fn percent_and_dollar_are_doubled_only_on_request() {
        assert_eq!(literal("100% $x"), "100%% $x");
        assert_eq!(literal_exec("100% $x"), "100%% $$x");
        assert_eq!(quote_word(&literal_exec("5% $x")), literal_exec(&quote_word("5% $x")));
    }

    #[test]
    fn values_split_as_systemd_splits_them() {
        for (value, words) in [
            ("", vec![]),
            ("  a\t b ", vec!["a", "b"]),
            (r#""a b" 'c d' e"#, vec!["a b", "c d", "e"]),
            (r#"A="x y"z"#, vec!["A=x yz"]),
            (r"a\sb \x41\101\u00e4", vec!["a b", "AAä"]),
            (r"\xc3\xa4", vec!["ä"]),
            (r#""" ''"#, vec!["", ""]),
        ] {
            assert_eq!(split_words(value).unwrap(), words, "{value}");
        }
        assert_eq!(split_verbatim(r#"a\sb "c d""#).unwrap(), [r"a\sb", "c d"]);
    }

    #[test]
    fn values_that_cannot_be_split_are_refused() {
        for (value, message) in [
            (r#""a"#, r#"unbalanced " in "\"a""#),
            (r"a\qb", r#"unknown escape \q in "a\\qb"; a literal backslash is written twice"#),
            (r"\x00", r#"unknown escape \x in "\\x00"; a literal backslash is written twice"#),
            (r"\+41", r#"unknown escape \+ in "\\+41"; a literal backslash is written twice"#),
            (r"\xff", r#"the escapes in "\\xff" do not make UTF-8 text"#),
            ("a\\", r#"unknown escape \ in "a\\"; a literal backslash is written twice"#),
        ] {
            assert_eq!(split_words(value).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn splitting_undoes_quoting(words in prop::collection::vec("[^\0]*", 0..6)) {
            prop_assert_eq!(split_words(&quote_words(&words)).unwrap(), words);
        }

        #[test]
        fn any_text_is_split_or_refused(value in ".*") {
            let _either = (split_words(&value), split_verbatim(&value));
        }
    }
}
