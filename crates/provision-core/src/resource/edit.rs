//! What the kinds share that change a piece of a file which others own.

use super::directory::{compare_ownership, ownership, wanted_ownership, with_parent};
use super::{Context, Field, Materials, Resource, Target, Thing, Want};
use crate::attribute::Mode;
use crate::change::{Action, Change, Shown, Signal};
use crate::edit::draft::{Draft, Drafts};
use crate::edit::line::Place;
use crate::edit::{Edit, EditError, Format, Slot, Value, hosts, ini, line, tree};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::plan::node::{Node, Value as NodeValue};
use crate::probe::{Answers, Ask, Undecided, Wanted};
use crate::secret::Text;
use crate::step::{Ownership, Step};

/// A piece of a file, and what it is to be.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) edit: Edit,
    pub(crate) wish: Wish,
    /// The name of the attribute that shows it.
    pub(crate) attribute: &'static str,
    /// Whether nobody may see what it is to be.
    pub(crate) secret: bool,
    /// What a file is like that is made for it; without it there must be one.
    pub(crate) make: Option<(Mode, Ownership)>,
}

/// What a piece is to be.
pub(crate) enum Wish {
    /// Not there.
    Absent,
    /// A line.
    Line(Text, Place),
    /// The values of a key, one of them or a list.
    Values(Vec<Text>, Count),
    /// The names of an address.
    Names(Vec<String>),
    /// A value below some keys.
    Value(Value),
}

/// How many values a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    One,
    Many,
}

/// It may be a secret.
impl std::fmt::Debug for Wish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wish")
    }
}

pub(crate) const PATH: Field = Field {
    name: "path",
    takes: "path",
    required: true,
    doc: "The file. It is a regular one in UTF-8 of at most 256 KiB; a link is refused with what it leads to.",
};
pub(crate) const KEY: Field = Field {
    name: "key",
    takes: "text or list of text",
    required: true,
    doc: "The keys that lead to the value, parted by dots: `server.port`. A key with anything but letters, digits, `_` and `-` in it stands in quotes (`'auths.\"registry.example.com\"'`), or all are written as a list. Tables on the way are made where they are missing, and go again when nothing else is in them.",
};
pub(crate) const VALUE: Field = Field {
    name: "value",
    takes: "any value",
    required: false,
    doc: "What it is to be: text, a number, a boolean, a list or a table, which is set as a whole. Left out where `state = \"absent\"`.",
};
pub(crate) const STATE: Field = Field {
    name: "state",
    takes: "\"present\" | \"absent\"",
    required: false,
    doc: "Whether it is to be there; without it `present`.",
};
pub(crate) const CREATE: Field = Field {
    name: "create",
    takes: "boolean",
    required: false,
    doc: "Whether the file is made where there is none; without it that is an error. A file that was made goes with the last that is in it.",
};
pub(crate) const MODE: Field = Field {
    name: "mode",
    takes: "mode",
    required: false,
    doc: "Permission bits of a file that is made; without it \"0644\", or \"0600\" when a secret goes into it. One that is there keeps its own.",
};
pub(crate) const OWNER: Field = Field {
    name: "owner",
    takes: "user",
    required: false,
    doc: "Owner of a file that is made; without it whoever applies.",
};
pub(crate) const GROUP: Field = Field {
    name: "group",
    takes: "group",
    required: false,
    doc: "Group of a file that is made; without it that of whoever applies.",
};

/// Reads `state`: whether the piece is to be there.
pub(crate) fn is_wanted(fields: &Fields<'_>) -> Option<bool> {
    match fields.optional::<String>("state").as_deref() {
        None if fields.has("state") => None,
        None | Some("present") => Some(true),
        Some("absent") => Some(false),
        Some(other) => {
            fields.problem("state", format!("{other:?} is not a state"), "it is \"present\" or \"absent\"");
            None
        }
    }
}

/// Reads `create`, `mode`, `owner` and `group`.
pub(crate) fn make(fields: &Fields<'_>, secret: bool) -> Option<(Mode, Ownership)> {
    let create = fields.boolean("create").unwrap_or(false);
    let mode: Option<Mode> = fields.optional("mode");
    let ownership = ownership(fields);
    for name in ["mode", "owner", "group"] {
        if fields.has(name) && !create {
            let help = "write `create = true` beside it, or leave it out";
            fields.problem(name, format!("`{name}` is that of a file that is made, and none is"), help);
        }
    }
    create.then(|| (mode.unwrap_or(Mode::new(if secret { 0o600 } else { 0o644 })), ownership))
}

/// Reads a resource of a format of keys.
pub(crate) fn read_value(fields: &Fields<'_>, format: Format) -> Option<Box<dyn Resource>> {
    let path: Option<AbsPath> = fields.required("path");
    let slot = read_key(fields);
    let wanted = is_wanted(fields);
    let node = fields.raw("value");
    let secret = node.is_some_and(Node::is_secret);
    let make = make(fields, secret);
    let wish = match (wanted?, node) {
        (true, Some(node)) => Wish::Value(value(fields, format, node)?),
        (false, None) => Wish::Absent,
        (true, None) => {
            fields.must_have("value");
            return None;
        }
        (false, Some(_)) => {
            fields.problem("value", "what is to be absent has no value", "leave `value` out");
            return None;
        }
    };
    let edit = Edit { path: path?, format, slot: slot? };
    Some(Box::new(Piece { edit, wish, attribute: "value", secret, make }))
}

fn read_key(fields: &Fields<'_>) -> Option<Slot> {
    fields.must_have("key");
    let node = fields.raw("key")?;
    let keys: Vec<String> = match &node.value {
        NodeValue::Array(_) => fields.list("key"),
        _ => return fields.optional("key"),
    };
    if keys.is_empty() || keys.iter().any(|key| key.contains('\0')) {
        fields.problem("key", "these are no keys", "write at least one");
        return None;
    }
    Some(Slot::new(keys))
}

fn value(fields: &Fields<'_>, format: Format, node: &Node) -> Option<Value> {
    let all = |nodes: &mut dyn Iterator<Item = &Node>| {
        nodes.map(|node| value(fields, format, node)).collect::<Option<Vec<_>>>()
    };
    Some(match &node.value {
        NodeValue::Text(text) => Value::Text(text.expose().to_owned()),
        NodeValue::Integer(number) => Value::Integer(*number),
        NodeValue::Float(number) if number.is_nan() || (format == Format::Json && number.is_infinite()) => {
            let word = format.word();
            fields.problem("value", format!("{number} is no value that can be set in {word}"), "write another number");
            return None;
        }
        NodeValue::Float(number) => Value::Float(*number),
        NodeValue::Boolean(value) => Value::Boolean(*value),
        NodeValue::Array(items) => Value::List(all(&mut items.iter())?),
        NodeValue::Table(table) => {
            let values = all(&mut table.entries.values().map(|entry| &entry.node))?;
            Value::Table(table.entries.keys().cloned().zip(values).collect())
        }
        NodeValue::Unknown => return None,
    })
}

impl Wish {
    /// The text with the piece as it is to be.
    fn set(&self, edit: &Edit, text: &str) -> Result<String, EditError> {
        let slot = &edit.slot;
        let syntax = || edit.syntax();
        match (self, edit.format) {
            (Self::Line(line, place), _) => line::set(text, slot, Some(line.expose()), place),
            (Self::Values(values, count), _) => {
                let values: Vec<String> = values.iter().map(|value| value.expose().to_owned()).collect();
                ini::set(text, slot, &values, *count == Count::One)
            }
            (Self::Names(names), _) => hosts::set(text, slot, names),
            (Self::Value(value), _) => tree::set(syntax()?, text, slot, Some(value)),
            (Self::Absent, Format::Line) => line::set(text, slot, None, &Place::End),
            (Self::Absent, Format::Ini) => ini::set(text, slot, &[], false),
            (Self::Absent, Format::Hosts) => hosts::set(text, slot, &[]),
            (Self::Absent, Format::Json | Format::Toml | Format::Yaml) => tree::set(syntax()?, text, slot, None),
        }
    }

    fn shown(&self) -> Shown {
        match self {
            Self::Absent => Shown::Absent,
            Self::Line(line, _) => line.shown().into(),
            Self::Values(values, _) => values.iter().map(Text::shown).collect::<Vec<_>>().join("\n").into(),
            Self::Names(names) => names.join(" ").into(),
            Self::Value(value) => value.to_string().into(),
        }
    }
}

impl Piece {
    /// The piece as the file has it, in the words of [`Wish::shown`].
    fn found(&self, text: &str) -> Result<Option<String>, EditError> {
        Ok(match self.edit.format {
            Format::Ini => {
                let values = ini::get(text, &self.edit.slot)?;
                (!values.is_empty()).then(|| values.join("\n"))
            }
            Format::Hosts => hosts::get(text, &self.edit.slot).map(|names| names.join(" ")),
            _ => self.edit.shown(text)?,
        })
    }

    fn wished(&self) -> Shown {
        match self.wish.shown() {
            Shown::Text(_) if self.secret => Shown::Secret,
            shown => shown,
        }
    }

    fn wrong(&self, error: &EditError) -> Undecided {
        Undecided::with_help(
            format!("{} cannot be edited: {error}", self.edit.path),
            "nothing in it was touched: put that right, on the host or in the plan",
        )
    }

    fn draft(&self, answers: &Answers, drafts: &Drafts) -> Result<Draft, Undecided> {
        Ok(Draft::of(&self.edit.path, answers, drafts)?.hiding(self.secret))
    }
}

impl Resource for Piece {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Edit(self.edit.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        vec![Want::after(Target::Parent(self.edit.path.clone()))]
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = with_parent(&self.edit.path);
        asks.push(Ask::File { path: self.edit.path.clone(), content: Wanted::Always });
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { edit, wish, attribute, secret, make } = self;
        let path = &edit.path;
        let draft = self.draft(answers, context.drafts)?;
        if !draft.exists() {
            let (mode, ownership) = match (wish, make) {
                (Wish::Absent, _) => return Ok(Change::none()),
                (_, Some(make)) => make,
                // A dry run shows what an apply does, and of that file nobody has seen a letter.
                (_, None) if context.command_pending() => {
                    return Err(Undecided::with_help(
                        format!(
                            "{path} is not on the host yet: what comes before it may bring it, and what is in it then nobody knows"
                        ),
                        "apply what brings it first, in a plan of its own; or manage the whole file (kind `file`), or one beside it \
                         that is read as well, such as in a `conf.d`",
                    ));
                }
                (_, None) => {
                    return Err(Undecided::with_help(
                        format!("{path} does not exist on the host, and only a piece of it is in the plan"),
                        "write `create = true` if it is to be made; what else in the plan brings it must be applied before",
                    ));
                }
            };
            context.require_parent(path, answers)?;
            wish.set(edit, "").map_err(|error| self.wrong(&error))?;
            let mut change = Change::new(Action::Create);
            change.differs(attribute, Shown::Absent, self.wished());
            change.compare("mode", Shown::Absent, mode.to_string());
            compare_ownership(&mut change, None, ownership);
            return Ok(change.signals(Signal::Content));
        }
        let new = wish.set(edit, draft.text()).map_err(|error| self.wrong(&error))?;
        if new == draft.text() {
            return Ok(Change::none());
        }
        if *secret && draft.is_public() {
            return Err(Undecided::with_help(
                format!("a secret is to go into {path}, which everybody may read"),
                "take that right away on the host (chmod o-r), or leave the secret out",
            ));
        }
        let found = self.found(draft.text()).map_err(|error| self.wrong(&error))?;
        let mut change = Change::new(if found.is_some() { Action::Update } else { Action::Create });
        // What was there may be as secret as what comes, and what not everybody may read is shown to nobody.
        let hidden = *secret || !draft.is_public();
        let before = found.map_or(Shown::Absent, |text| if hidden { Shown::Secret } else { text.into() });
        change.differs(attribute, before, self.wished());
        Ok(change.signals(Signal::Content))
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let mut wanted = match self.wished() {
            Shown::Absent => return Vec::new(),
            shown => vec![(self.attribute, shown)],
        };
        if let Some((mode, ownership)) = &self.make {
            wanted.push(("mode", mode.to_string().into()));
            wanted.extend(wanted_ownership(["owner", "group"], ownership));
        }
        wanted
    }

    fn steps(&self, _change: &Change, answers: &Answers, materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { edit, wish, make, .. } = self;
        let mut draft = self.draft(answers, &materials.drafts)?;
        let new = wish.set(edit, draft.text()).map_err(|error| self.wrong(&error))?;
        let rewrite = draft.rewrite(edit, Some(new)).map_err(|error| self.wrong(&error))?;
        let (mode, ownership) = make.clone().unwrap_or((Mode::new(0o644), Ownership::default()));
        Ok(vec![Step::Rewrite { edit: edit.clone(), rewrite, mode, ownership }])
    }

    fn leaves(&self, answers: &Answers, drafts: &Drafts) -> Option<(AbsPath, Draft)> {
        let mut draft = self.draft(answers, drafts).ok()?;
        let new = self.wish.set(&self.edit, draft.text()).ok()?;
        draft.rewrite(&self.edit, Some(new)).ok()?;
        let draft = match &self.make {
            Some((mode, _)) => draft.made(*mode),
            None => draft,
        };
        Some((self.edit.path.clone(), draft))
    }

    fn hidden(&self) -> Vec<Text> {
        let mut hidden = Vec::new();
        if let Wish::Value(value) = &self.wish
            && self.secret
        {
            texts(value, &mut hidden);
        }
        hidden
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.edit.path.to_string())]
    }
}

/// The texts within a value.
fn texts(value: &Value, found: &mut Vec<Text>) {
    match value {
        Value::Text(text) => found.push(Text::secret(text.clone())),
        Value::List(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Table(entries) => entries.values().for_each(|item| texts(item, found)),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Other(_) => {}
    }
}
