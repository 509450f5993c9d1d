//! Owns systemd's own words: its managers, unit names, the text of unit files, and the quoting inside a setting's value.
//!
//! It knows no unit's meaning: which keys a section may have is the business of who writes it (see [`crate::quadlet`]).
//! Specifiers (`%i`) are the user's and are never touched; [`literal`] is how a percent sign is meant literally.

mod manager;
mod path_name;
mod quote;
mod unit_file;
mod unit_name;

pub use manager::{Managed, Manager};
pub use path_name::path_name;
pub use quote::{QuoteError, literal, literal_exec, quote_word, quote_words, split_verbatim, split_words};
pub use unit_file::{Entry, LONGEST_LINE, ParseError, Section, SettingError, UnitFile};
pub use unit_name::{UnitName, UnitNameError, UnitType};
