//! Text from plans and hosts made harmless: nothing in it can move the cursor, change a colour or turn the order of
//! letters round. What is taken out is shown as `\u{1b}`, so that it is seen.

use std::borrow::Cow;
use std::fmt::Write;

/// One line: line ends and tabs are shown too.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// A line of a file, whose tabs stay tabs.
pub fn content(text: &str) -> Cow<'_, str> {
    escape(text, |c| c == '\t')
}

/// Text whose places must not move: one character for each, line ends and tabs as they are.
pub fn source(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| matches!(c, '\n' | '\t') || !is_hostile(c);
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    // A carriage return before a line end belongs to it.
    let text = text.replace("\r\n", " \n");
    Cow::Owned(text.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect())
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hostile(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !is_hostile(c) || keep(c) => safe.push(c),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c => {
                let _infallible = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(safe)
}

/// Characters that a terminal acts upon, and those that Unicode gives no shape: general categories Cc and Cf, and the
/// line and paragraph separators. The two joiners stay: words in several scripts need them.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_upon_is_spelled_out() {
        for (text, safe) in [
            ("plain ä € 日本", "plain ä € 日本"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("two\nlines\r\n", "two\\nlines\\r\\n"),
            ("bell\u{7}\u{8}", "bell\\u{7}\\u{8}"),
        ] {
            assert_eq!(line(text), safe);
        }
        assert_eq!(content("a\tb\r"), "a\tb\\r");
    }

    #[test]
    fn a_source_keeps_its_columns() {
        let text = "a = \"\u{9b}31m\u{202e}\"\r\nb\tc\n";
        let safe = source(text);
        assert_eq!(safe.chars().count(), text.chars().count());
        assert_eq!(safe, "a = \"\u{fffd}31m\u{fffd}\" \nb\tc\n");
    }
}
