//! Pieces of a host's state that have a name and are read and set as one text: a kernel parameter, a user, a package.
//!
//! A sort of knob is one file below `knob/`: the shell functions that read and set it, and how its text is shown. All the
//! rest - asking, noting what was there, putting it back, the made-up host - is the same for every sort, since what was
//! read is what can be set again. A kind that needs one asks [`crate::probe::Ask::Knob`] and does
//! [`crate::step::Step::Turn`]. No text of a knob may ever hold a secret.

use std::cmp::Ordering;
use std::fmt;

pub mod archive;
pub mod authorized_key;
pub mod extent;
pub mod firewall;
pub mod group;
pub mod hostname;
pub mod http;
pub mod kernel_module;
pub mod linger;
pub mod measure;
pub mod package;
pub mod random;
pub mod secret;
pub mod selinux;
pub mod sysctl;
#[cfg(test)]
mod trial;
pub mod trust_anchor;
pub mod user;

/// Every sort, by word.
pub static SORTS: &[&KnobSort] = &[
    &authorized_key::AUTHORIZED_KEY,
    &archive::ARCHIVE,
    &extent::EXTENT,
    &firewall::FIREWALL,
    &firewall::FIREWALL_HOST,
    &linger::LINGER,
    &measure::MEASURE,
    &selinux::SELINUX_BOOLEAN,
    &selinux::SELINUX_CONTEXT,
    &selinux::SELINUX_LABELS,
    &sysctl::SYSCTL,
    &trust_anchor::TRUST_ANCHOR,
    &group::GROUP,
    &user::USER,
    &hostname::HOSTNAME,
    &http::HTTP,
    &kernel_module::KERNEL_MODULE,
    &package::PACKAGE,
    &package::PACKAGE_PLAN,
    &random::RANDOM,
    &secret::SECRET,
    #[cfg(test)]
    &trial::TRIAL,
];

/// The text of a knob that is not there.
pub const ABSENT: &str = "absent";

/// A state to be set begins so where the thing is not there yet: making it cuts nobody off.
pub const NEW: &str = "new yes\n";

/// A state to be set has such a line before it where what keeps it comes with the same apply: how it was is noted only then.
pub const PENDING: &str = "pending yes\n";

/// One sort of knob.
///
/// [`KnobSort::functions`] are POSIX shell functions, which find `limited`, `quote`-free arguments and, when they set, the
/// functions of steps beside them. With the word `w`:
/// - `prepare_w NAME..` comes once before any number of `get_w` of those names, to run a tool once for all of them and keep
///   what it said in variables; `:` where there is nothing to prepare. It reads only.
/// - `get_w NAME` sets `got` to the state as text (one line or many, no newline at the end), `absent` when it is not there,
///   or returns 1 with `got` set to why that cannot be found out. It reads only.
/// - `set_w NAME STATE LIMIT POLICY LENGTH` makes it so within so many seconds. What it prints when it fails is the error.
///   POLICY is `keep` or `delete`, for data that removing the knob would take along. LENGTH is empty unless the step
///   carries bytes; a function that takes them says `left=${left#* }` and reads exactly that many with `receive LENGTH`.
///   One that leaves something in place although `absent` was asked for sets `kept` to why.
pub struct KnobSort {
    /// The word in records and in the names of the functions: letters and `_`.
    pub word: &'static str,
    /// What it is called before its name in a message: `the kernel parameter`.
    pub noun: &'static str,
    /// The shell functions.
    pub functions: &'static str,
    /// A state as people read it; none for `absent`.
    pub show: fn(&str) -> String,
    /// What `get_w` says after a state has been set, where that is not the same.
    pub settled: fn(&str) -> String,
    /// Whether it is a thing, which is there or not and may be somebody else's, rather than a setting, which always has
    /// some value.
    pub thing: bool,
    /// Whether setting it may cut the host off from us.
    pub may_cut_off: bool,
    /// What is said when it is removed and its data stays.
    pub stays: Option<&'static str>,
    /// Its state on a made-up host that was told nothing else.
    pub unset: &'static str,
}

impl KnobSort {
    /// The sort of that word.
    #[must_use]
    pub fn find(word: &str) -> Option<&'static Self> {
        SORTS.iter().copied().find(|sort| sort.word == word)
    }

    /// Shows a state as it is.
    #[must_use]
    pub fn as_it_is(state: &str) -> String {
        state.to_owned()
    }
}

impl fmt::Debug for KnobSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnobSort({})", self.word)
    }
}

/// One knob. Its text is the sort's word and its name, parted by one blank: `sysctl net/ipv4/ip_forward`.
#[derive(Debug, Clone)]
pub struct Knob {
    sort: &'static KnobSort,
    name: String,
}

impl Knob {
    /// A knob of a sort. A name is one line: a kind refuses others when it reads them, and here they become one.
    #[must_use]
    pub fn new(sort: &'static KnobSort, name: impl Into<String>) -> Self {
        let mut name: String = name.into();
        if name.contains(['\n', '\0']) {
            name = name.replace(['\n', '\0'], " ");
        }
        Self { sort, name }
    }

    /// Its sort.
    #[must_use]
    pub fn sort(&self) -> &'static KnobSort {
        self.sort
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is called: `the kernel parameter net/ipv4/ip_forward`.
    #[must_use]
    pub fn title(&self) -> String {
        if self.name.is_empty() { self.sort.noun.to_owned() } else { format!("{} {}", self.sort.noun, self.name) }
    }
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sort.word, self.name)
    }
}

impl std::str::FromStr for Knob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, name) = text.split_once(' ').ok_or_else(|| format!("{text:?} is not a knob"))?;
        let sort = KnobSort::find(word).ok_or_else(|| format!("{word:?} is not a sort of knob"))?;
        Ok(Self::new(sort, name))
    }
}

impl PartialEq for Knob {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Knob {}

impl PartialOrd for Knob {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Knob {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.sort.word, &self.name).cmp(&(other.sort.word, &other.name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_sort_has_its_functions_and_a_word_of_its_own() {
        let words: BTreeSet<&str> = SORTS.iter().map(|sort| sort.word).collect();
        assert_eq!(words.len(), SORTS.len());
        for sort in SORTS {
            assert!(sort.word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", sort.word);
            for function in ["prepare", "get", "set"] {
                let definition = format!("\n{function}_{}() {{", sort.word);
                assert!(sort.functions.contains(&definition), "{}: {definition}", sort.word);
            }
        }
    }

    #[test]
    fn a_knob_is_read_as_it_is_written() {
        let text = "sysctl net/ipv4/ip_forward";
        assert_eq!(text.parse::<Knob>().map(|knob| knob.to_string()), Ok(text.to_owned()));
        assert!("sysctl".parse::<Knob>().is_err());
        assert!("other a".parse::<Knob>().is_err());
    }
}
