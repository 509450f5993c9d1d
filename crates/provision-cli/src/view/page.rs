//! Styled text on its way to a terminal. Whatever is put on a page is made safe on the way, so no view can forget it.

use anstyle::{AnsiColor, Effects, Style};

use super::safe;

/// Comes, or is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Changes.
pub const CHANGE: Style = AnsiColor::Yellow.on_default();
/// Is somebody else's, and is taken over.
pub const ADOPT: Style = AnsiColor::Magenta.on_default();
/// Goes, or is wrong.
pub const BAD: Style = AnsiColor::Red.on_default();
/// The word that says that something is wrong.
pub const ALARM: Style = BAD.effects(Effects::BOLD);
/// Where something is in a file.
pub const PLACE: Style = AnsiColor::Cyan.on_default();
/// What to look at first.
pub const STRONG: Style = Style::new().effects(Effects::BOLD);
/// What may be passed over.
pub const FAINT: Style = Style::new().effects(Effects::DIMMED);
/// Text.
pub const PLAIN: Style = Style::new();

/// Text that is ready for a terminal, with its colours.
#[derive(Debug, Default, Clone)]
pub struct Page {
    text: String,
    /// Where prose is broken; nowhere without it.
    width: Option<usize>,
}

impl Page {
    /// An empty page whose prose is broken at a width.
    pub fn new(width: Option<usize>) -> Self {
        Self { text: String::new(), width }
    }

    /// Goes on with the current line.
    pub fn put(&mut self, style: Style, text: &str) -> &mut Self {
        self.push(style, &safe::line(text))
    }

    /// Goes on with a line of a file.
    pub fn content(&mut self, style: Style, text: &str) -> &mut Self {
        self.push(style, &safe::content(text))
    }

    /// Ends the line.
    pub fn end(&mut self) -> &mut Self {
        self.text.push('\n');
        self
    }

    /// A whole line.
    pub fn line(&mut self, style: Style, text: &str) -> &mut Self {
        self.put(style, text).end()
    }

    /// An empty line.
    pub fn gap(&mut self) -> &mut Self {
        self.end()
    }

    /// `label: text`, its further lines below its first. Lines that begin with a space are left as they are: they are
    /// to be copied.
    pub fn labelled(&mut self, style: Style, label: &str, text: &str) -> &mut Self {
        self.put(style, label).put(STRONG, ":").put(PLAIN, " ");
        self.prose(text, label.chars().count() + 2)
    }

    /// Text, broken at the width of the page; `indent` spaces before every line but the first.
    pub fn prose(&mut self, text: &str, indent: usize) -> &mut Self {
        let mut first = true;
        for line in text.trim_end().lines() {
            for piece in wrap(line, self.width.map(|width| width.saturating_sub(indent).max(20))) {
                if !first && !piece.is_empty() {
                    self.text.push_str(&" ".repeat(indent));
                }
                first = false;
                self.put(PLAIN, &piece).end();
            }
        }
        if first {
            self.end();
        }
        self
    }

    /// What another renderer has made ready, from text that was made safe before.
    pub fn rendered(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Another page below.
    pub fn page(&mut self, other: &Self) -> &mut Self {
        self.text.push_str(&other.text);
        self
    }

    /// The text with its colours.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn push(&mut self, style: Style, safe: &str) -> &mut Self {
        if style == PLAIN || safe.is_empty() {
            self.text.push_str(safe);
        } else {
            self.text.push_str(&format!("{style}{safe}{style:#}"));
        }
        self
    }
}

/// Breaks prose between words.
pub fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width.filter(|width| text.chars().count() > *width && !text.starts_with(' ')) else {
        return vec![text.to_owned()];
    };
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_broken_between_words_and_commands_are_not() {
        let mut page = Page::new(Some(30));
        page.labelled(PLAIN, "help", "one two three four five six seven\n\n    ssh-keygen -lf /etc/ssh/a/long/name");
        let expected =
            "help: one two three four five\n      six seven\n\n          ssh-keygen -lf /etc/ssh/a/long/name\n";
        assert_eq!(anstream::adapter::strip_str(page.as_str()).to_string(), expected);
    }
}
