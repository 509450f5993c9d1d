//! Small typed values that several places share: mode, account, duration, size.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Permission bits of a file or directory, with set-uid, set-gid and sticky: `0000` to `7777`, octal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u32);

impl Mode {
    /// The bits; anything above `7777` is cut off.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self(bits & 0o7777)
    }

    /// Whether everybody may read what has it: what is not public may be a secret.
    #[must_use]
    pub const fn is_public(self) -> bool {
        self.0 & 0o004 != 0
    }

    /// The bits as a number.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = matches!(text.len(), 3 | 4) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        match u32::from_str_radix(text, 8) {
            Ok(bits) if digits => Ok(Self(bits)),
            _ => Err("a mode is three or four octal digits in quotes, such as \"0644\"".to_owned()),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A user or group, by name or by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// By name, looked up on the host.
    Name(String),
    /// By number.
    Id(u32),
}

impl FromStr for Account {
    type Err = String;

    // The characters that shadow's useradd takes by default, and the dot that most systems allow.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse::<u32>()
            && text.bytes().all(|b| b.is_ascii_digit())
        {
            return Ok(Self::Id(id));
        }
        if text.len() <= LONGEST_NAME && is_name(text.strip_suffix('$').unwrap_or(text)) {
            Ok(Self::Name(text.to_owned()))
        } else {
            Err("a user or group is a name such as \"core\" or a number such as \"1000\"".to_owned())
        }
    }
}

/// `LOGIN_NAME_MAX` of shadow's, without the closing NUL.
const LONGEST_NAME: usize = 32;

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// A user by name. It has no character that means anything to a shell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

impl UserName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() <= LONGEST_NAME && is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a user has a name such as \"core\"".to_owned())
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

/// A span of time as a plan writes it: a whole number and one unit, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    /// From a number of seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// From a number of days of 24 hours.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days.saturating_mul(86_400)))
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// A hundred years: beyond it arithmetic on dates stops being safe and the number is a slip.
const LONGEST_SPAN: u64 = 100 * 366 * 86_400;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a duration is a whole number and a unit: \"30s\", \"5m\", \"2h\" or \"90d\"".to_owned();
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number = text.strip_suffix(unit).unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        match number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds)) {
            Some(total) if total <= LONGEST_SPAN => Ok(Self::seconds(total)),
            _ => Err("a duration is at most a hundred years".to_owned()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 => f.write_str("0s"),
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3_600 == 0 => write!(f, "{}h", s / 3_600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

/// A number of bytes as a plan writes it: a whole number, and `K`, `M` or `G` for powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

impl Size {
    /// From a number of bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a size is a whole number of bytes, or one with K, M or G: \"256M\"".to_owned();
        let (number, shift) = match text.strip_suffix(['K', 'M', 'G']) {
            None => (text, 0),
            Some(number) if text.ends_with('K') => (number, 10),
            Some(number) if text.ends_with('M') => (number, 20),
            Some(number) => (number, 30),
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        bytes.map(Self).ok_or_else(|| "a size is less than 2^64 bytes".to_owned())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            bytes if bytes % (1 << 30) == 0 => write!(f, "{}G", bytes >> 30),
            bytes if bytes % (1 << 20) == 0 => write!(f, "{}M", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{}K", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_text() {
        assert_eq!("0644".parse(), Ok(Mode::new(0o644)));
        assert_eq!("750".parse(), Ok(Mode::new(0o750)));
        assert_eq!("4755".parse::<Mode>().unwrap().to_string(), "4755");
        for wrong in ["", "64", "00644", "0888", "u+x", "+644", "-644"] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn accounts_are_names_or_numbers() {
        assert_eq!("core".parse(), Ok(Account::Name("core".into())));
        assert_eq!("1001".parse(), Ok(Account::Id(1001)));
        assert_eq!("host$".parse(), Ok(Account::Name("host$".into())));
        for wrong in ["", "-x", "a b", "a:b", "$(id)", "4294967296", "+1"] {
            assert!(wrong.parse::<Account>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn spans_keep_their_largest_unit() {
        for text in ["0s", "30s", "5m", "2h", "90d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("60s".parse::<Span>().unwrap().to_string(), "1m");
        for wrong in ["", "5", "m", "1.5h", "-1s", "1w", "99999999999999999999d", "40000d", "1 d"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sizes_keep_their_largest_unit() {
        for text in ["0", "1", "1000", "1K", "256M", "3G"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("1024M".parse(), Ok(Size::from_bytes(1 << 30)));
        for wrong in ["", "M", "1.5G", "-1", "+1K", "1 K", "1k", "1MB", "1T", "99999999999G"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong:?}");
        }
    }
}
