//! Where everything stands in a text, what a format has of its own, and what a value was.

use std::ops::Range;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::edit::EditError;
use crate::edit::lines::NotedLine;
use crate::edit::value::Value;

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    /// All of it.
    pub(crate) span: Range<usize>,
    pub(crate) data: Data,
    /// Why its letters must stay, such as `an anchor`.
    pub(crate) fixed: Option<&'static str>,
}

#[derive(Debug)]
pub(crate) enum Data {
    Scalar(Value),
    List(Vec<Node>),
    Table(Table),
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) members: Vec<Member>,
    pub(crate) body: Body,
}

/// How the members of a table stand in it.
#[derive(Debug)]
pub(crate) enum Body {
    /// Between braces, of which this is the inside.
    Braces(Range<usize>),
    /// Each on lines of its own, behind this place where there are none, and each key after this.
    Lines { start: usize, lead: String },
    /// In a way that is not to be touched, and what that is.
    Closed(&'static str),
    /// Nowhere of its own: TOML's tables that only contain others.
    Nowhere,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) key: String,
    /// From the key to the end of the value.
    pub(crate) span: Range<usize>,
    pub(crate) key_end: usize,
    /// What is replaced to give it another value.
    pub(crate) region: Range<usize>,
    /// Whether it has lines of its own that can be taken out; a table with a header has not.
    pub(crate) own_lines: bool,
    pub(crate) value: Node,
}

/// Where a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Between braces.
    Braces,
    /// Behind its key, on the same line to the end: a comment follows.
    Line,
    /// Behind its key, on that line and others.
    Lines,
}

/// What of a structured format is its own.
pub trait Syntax: Sync {
    /// Reads a text; an empty one is an empty table.
    ///
    /// # Errors
    /// A syntax error, with its place, or what cannot be edited safely.
    #[expect(private_interfaces, reason = "formats are this module's own")]
    fn parse(&self, text: &str) -> Result<Node, EditError>;

    /// A value in place of a member's old one; lines of its own begin with `indent`, and go in by `unit`.
    fn value(&self, value: &Value, shape: Shape, indent: &str, unit: &str) -> String;

    /// A key as it is written.
    fn key(&self, key: &str) -> String;

    /// What parts a key and its value, where nothing tells otherwise.
    fn sign(&self) -> &'static str;

    /// The header of a table that is made, where the format has such.
    fn header(&self, _keys: &[String]) -> Option<String> {
        None
    }

    /// How an empty table on lines is written when its last member goes; nothing where it stays as it is.
    fn emptied(&self) -> Option<&'static str> {
        None
    }

    /// Whether an empty root is written as braces.
    fn braced_root(&self) -> bool {
        false
    }
}

/// What a value was, as it stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Was {
    /// Its letters.
    pub raw: String,
    /// All that goes when it is taken out: lines, or a part of a line.
    pub cut: Cut,
}

/// What went with a value that was taken out, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Cut {
    /// Lines.
    Lines {
        /// They.
        line: NotedLine,
        /// The key before it.
        after: Option<String>,
        /// Whether nothing else was in its table.
        alone: bool,
    },
    /// A part of what is between braces.
    Part {
        /// With its comma.
        text: String,
        /// The key before it.
        after: Option<String>,
        /// Whether nothing else was in its table.
        alone: bool,
    },
    /// It cannot be taken out.
    Nothing {},
}

impl Node {
    /// What it says.
    pub(crate) fn value(&self) -> Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => Value::List(items.iter().map(Self::value).collect()),
            Data::Table(table) => {
                let pairs = table.members.iter().map(|member| (member.key.clone(), member.value.value()));
                Value::Table(pairs.collect::<IndexMap<_, _>>())
            }
        }
    }

    pub(super) fn table(&self) -> Option<&Table> {
        if let Data::Table(table) = &self.data { Some(table) } else { None }
    }

    /// Why nothing can be put into it.
    pub(super) fn closed(&self) -> Option<&'static str> {
        if let Some(Table { body: Body::Closed(what), .. }) = self.table() { Some(what) } else { None }
    }

    /// Why some letters in it must stay.
    pub(super) fn pinned(&self) -> Option<&'static str> {
        self.fixed.or_else(|| match &self.data {
            Data::Scalar(_) => None,
            Data::List(items) => items.iter().find_map(Self::pinned),
            Data::Table(table) => table.members.iter().find_map(|member| member.value.pinned()),
        })
    }
}

impl Table {
    pub(super) fn find(&self, key: &str) -> Option<(usize, &Member)> {
        self.members.iter().enumerate().find(|(_, member)| member.key == key)
    }
}
