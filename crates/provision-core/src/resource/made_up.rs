//! A value that is made up where nobody gives one: what a plan says of it, and random characters.

use zeroize::Zeroizing;

use crate::plan::fields::Fields;
use crate::probe::Undecided;

const DEFAULT_LENGTH: usize = 32;
/// Shorter ones can be guessed; as long as any key.
const LENGTHS: std::ops::RangeInclusive<i64> = 8..=4096;
const LETTERS_AND_DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// How long such a value is, and of what.
#[derive(Debug)]
pub(crate) struct MadeUp {
    pub(crate) length: usize,
    pub(crate) alphabet: String,
}

impl MadeUp {
    /// Reads the fields `length` and `alphabet`.
    pub(crate) fn read(fields: &Fields<'_>) -> Option<Self> {
        let length = fields.integer("length", LENGTHS);
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(DEFAULT_LENGTH);
        let alphabet: String = fields.optional("alphabet").unwrap_or_else(|| LETTERS_AND_DIGITS.to_owned());
        let mut known: Vec<char> = alphabet.chars().collect();
        known.sort_unstable();
        known.dedup();
        let printable = known.iter().all(|c| c.is_ascii_graphic() || *c == ' ');
        if !printable || known.len() < 10 || known.len() != alphabet.chars().count() {
            let help = "at least ten printable characters of ASCII, each once";
            fields.problem("alphabet", "a value cannot be made up of these characters", help);
            return None;
        }
        Some(Self { length, alphabet })
    }

    /// Random characters, each as likely as any other; others each time.
    pub(crate) fn value(&self) -> Result<Vec<u8>, Undecided> {
        let (length, letters) = (self.length, self.alphabet.as_bytes());
        // What is left over above the last whole multiple would make the first letters likelier.
        let fair = 256 - 256 % letters.len();
        let mut made = Vec::with_capacity(length);
        let mut bytes = Zeroizing::new([0_u8; 256]);
        while made.len() < length {
            getrandom::fill(bytes.as_mut_slice())
                .map_err(|error| Undecided::new(format!("this machine has no source of randomness: {error}")))?;
            let fit = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
            made.extend(fit.filter_map(|byte| letters.get(byte % letters.len())).take(length - made.len()));
        }
        Ok(made)
    }
}
