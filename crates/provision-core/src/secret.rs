//! Text that may be a secret. It cannot be printed: only what asks for it by name gets it.

use std::cmp::Ordering;
use std::fmt;

use zeroize::Zeroizing;

use crate::path::AbsPath;

/// What is shown in place of a secret, everywhere.
pub const MASK: &str = "(secret)";

/// Text from a plan, and whether a secret went into it.
///
/// `Debug` and [`Text::shown`] mask a secret; [`Text::expose`] is the only way to its letters.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    content: Zeroizing<String>,
    secret: bool,
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.content.as_str(), self.secret).cmp(&(other.content.as_str(), other.secret))
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Text {
    /// Text that anyone may see.
    #[must_use]
    pub fn plain(content: impl Into<String>) -> Self {
        Self { content: Zeroizing::new(content.into()), secret: false }
    }

    /// Text that nobody may see.
    #[must_use]
    pub fn secret(content: impl Into<String>) -> Self {
        Self { content: Zeroizing::new(content.into()), secret: true }
    }

    /// Whether a secret went into it.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// The text itself: for a step's content or standard input, never for a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.content
    }

    /// The text, or [`MASK`] in its place.
    #[must_use]
    pub fn shown(&self) -> &str {
        if self.secret { MASK } else { &self.content }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

/// A secret that was made up in an apply and is shown to people once, at its end: the one way out for a secret (invariant 5 of
/// ARCHITECTURE). It is made only for a resource whose plan asks for that, only when the host has been told to keep it, and
/// only a [`crate::report::Report`] has it: no change, no event, no seal.
///
/// `Debug` masks it; [`Revealed::expose`] is for a view to call, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revealed {
    value: Text,
    kept: AbsPath,
}

impl Revealed {
    pub(crate) const fn new(value: Text, kept: AbsPath) -> Self {
        Self { value, kept }
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose()
    }

    /// The file on the host in which it is kept.
    #[must_use]
    pub fn kept(&self) -> &AbsPath {
        &self.kept
    }
}

/// The secrets of a run, for taking them out of what a host says.
///
/// Defence in depth: nothing of ours prints a secret, but a host's tool may echo its input.
#[derive(Clone, Default)]
pub struct Secrets(Vec<Zeroizing<String>>);

/// Secrets shorter than this are left alone: masking every `a` would hide the message and show the secret.
const SHORTEST_MASKED: usize = 4;

impl Secrets {
    /// Remembers a secret, its lines when it has several, and what it is within a text of JSON.
    pub fn add(&mut self, secret: &str) {
        let quoted = Zeroizing::new(serde_json::to_string(secret).unwrap_or_default());
        let inside = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
        for piece in std::iter::once(secret).chain(secret.lines()).chain([inside]) {
            if piece.len() >= SHORTEST_MASKED && !self.0.iter().any(|known| **known == piece) {
                self.0.push(Zeroizing::new(piece.to_owned()));
            }
        }
        // The longest first, so that a secret that contains another is masked whole.
        self.0.sort_by_key(|known| std::cmp::Reverse(known.len()));
    }

    /// Remembers those that another knows.
    pub fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|secret| self.add(secret));
    }

    /// The beginning of a longer text, with every known secret masked, and without what may be a piece of one at its end.
    #[must_use]
    pub fn mask_beginning(&self, text: &str) -> String {
        let mut masked = self.mask(text);
        // The longest is the first.
        let piece = self.0.first().map_or(0, |longest| longest.len().saturating_sub(1));
        let mut end = masked.len().saturating_sub(piece);
        while !masked.is_char_boundary(end) {
            end -= 1;
        }
        masked.truncate(end);
        masked
    }

    /// The text with every known secret masked.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_however_it_is_printed() {
        let text = Text::secret("hunter22");
        assert_eq!(format!("{text:?} {}", text.shown()), "\"(secret)\" (secret)");
        assert_eq!(Text::plain("open").shown(), "open");
    }

    #[test]
    fn what_a_host_echoes_is_masked() {
        let mut secrets = Secrets::default();
        secrets.add("hunter22");
        secrets.add("hunter22-longer\nsecond line");
        secrets.add("ab");
        assert_eq!(
            secrets.mask("no hunter22-longer, hunter22 or second line; ab"),
            "no (secret), (secret) or (secret); ab"
        );
        secrets.add("a\"b\\c");
        assert_eq!(secrets.mask("{\"echo\": \"a\\\"b\\\\c\"}"), "{\"echo\": \"(secret)\"}");
    }

    #[test]
    fn of_a_text_that_is_cut_no_piece_of_a_secret_is_left() {
        let mut secrets = Secrets::default();
        assert_eq!(secrets.mask_beginning("nothing is known"), "nothing is known");
        secrets.add("hunter22");
        secrets.add("hunter22-longer");
        let whole = "as it begins: hunter22-longer";
        for length in 0..whole.len() {
            let shown = secrets.mask_beginning(&whole[..length]);
            assert!("as it begins: (secret)".starts_with(&shown), "{shown}");
        }
        assert_eq!(secrets.mask_beginning("that is hunter22, and so on for long"), "that is (secret), and ");
        assert_eq!(secrets.mask_beginning("äääääääääääääääää€"), "äääääääääää");
    }
}
