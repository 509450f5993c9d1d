//! `user`: a user of the host's own, with the group and the home that come with it. What is in the home is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use crate::attribute::Account;
use crate::change::{Action, Change, Shown};
use crate::knob::group::GROUP;
use crate::knob::user::USER;
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::group::{LARGEST, Origin, name, origin};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "user",
    summary: "A user, with the group and the home that come with it.",
    fields: &[
        Field {
            name: "name",
            takes: "name",
            required: false,
            doc: "Its name; without it the resource's, `core` of `[user.core]`.",
        },
        Field { name: "uid", takes: "integer", required: false, doc: "Its number; without it the host chooses one." },
        Field {
            name: "group",
            takes: "name",
            required: false,
            doc: "Its group; without it a new user has one of its own, of the same name.",
        },
        Field {
            name: "groups",
            takes: "list of names",
            required: false,
            doc: "The other groups that it is in: exactly these.",
        },
        Field {
            name: "add_groups",
            takes: "list of names",
            required: false,
            doc: "Other groups that it is in, whichever else it is in; not together with `groups`.",
        },
        Field { name: "comment", takes: "text", required: false, doc: "Its full name, or what it is for." },
        Field {
            name: "home",
            takes: "path",
            required: false,
            doc: "Its home; a new user without it gets /home/NAME, and a `system` one without a home /nonexistent.",
        },
        Field {
            name: "create_home",
            takes: "boolean",
            required: false,
            doc: "Whether the home is made, as /etc/skel has it, when it is not there; without it, unless it is a `system` user. The home then belongs to this resource: leave it out when a `directory` makes it. It stays when the user goes, until its data is to be deleted.",
        },
        Field {
            name: "shell",
            takes: "path",
            required: false,
            doc: "Its login shell; a new user without it gets the host's usual one, and a `system` one /usr/sbin/nologin.",
        },
        Field {
            name: "system",
            takes: "boolean",
            required: false,
            doc: "Whether a new one runs services rather than sessions: its number is from the system's range. False without it.",
        },
        Field {
            name: "locked",
            takes: "boolean",
            required: false,
            doc: "True: nobody logs in as it, neither with its password, which is locked, nor with a key, since the account has expired. False: neither is so. Left as it is without it.",
        },
        Field {
            name: "subuid",
            takes: "list of text",
            required: false,
            doc: "Its ranges of subordinate user numbers, subuid(5), each as \"100000:65536\": exactly these.",
        },
        Field { name: "subgid", takes: "list of text", required: false, doc: "The same for groups." },
        Field {
            name: "subids",
            takes: "integer",
            required: false,
            doc: "At least so many subordinate numbers of each sort, as rootless containers need them: behind all ranges that the host has given away. Not together with `subuid` and `subgid`.",
        },
    ],
    example: r#"
[user.deploy]
comment = "Deployments"
shell = "/bin/bash"
add_groups = ["web"]
subids = 65536

[group.web]
system = true

[user.web]
system = true
group = "web"
home = "/var/lib/web"
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct User {
    knob: Knob,
    uid: Option<i64>,
    group: Option<String>,
    groups: Option<BTreeSet<String>>,
    add_groups: BTreeSet<String>,
    comment: Option<String>,
    home: Option<AbsPath>,
    make_home: Option<AbsPath>,
    shell: Option<AbsPath>,
    origin: Origin,
    locked: Option<bool>,
    subuid: Option<Vec<Range>>,
    subgid: Option<Vec<Range>>,
    subids: Option<i64>,
}

/// Subordinate numbers: the first, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range(u32, u32);

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a range is its first number and how many, \"100000:65536\"".to_owned();
        let (first, count) = text.split_once(':').ok_or_else(wrong)?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| digits)
        };
        match number(first).zip(number(count)) {
            Some((first, count)) if count > 0 && first.checked_add(count).is_some() => Ok(Self(first, count)),
            _ => Err(wrong()),
        }
    }
}

impl Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

/// The name of a group, not its number: the host's lists have names.
struct GroupName(String);

impl FromStr for GroupName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Account::Name(name) => Ok(Self(name)),
            Account::Id(_) => Err("write the group's name".to_owned()),
        }
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let name = name(fields, setup);
    let uid = fields.integer("uid", 0..=LARGEST);
    let group = fields.optional::<GroupName>("group").map(|GroupName(name)| name);
    let named = |field: &'static str| fields.list::<GroupName>(field).into_iter().map(|GroupName(name)| name).collect();
    let (groups, add_groups): (BTreeSet<String>, BTreeSet<String>) = (named("groups"), named("add_groups"));
    let comment: Option<String> = fields.optional("comment");
    let (home, shell) = (account_path(fields, "home"), account_path(fields, "shell"));
    let origin = origin(fields);
    let create_home = fields.boolean("create_home").unwrap_or(origin == Origin::People);
    let locked = fields.boolean("locked");
    let ranges = |field: &'static str| {
        let mut ranges: Vec<Range> = fields.list(field);
        ranges.sort_unstable();
        fields.has(field).then_some(ranges)
    };
    let (subuid, subgid) = (ranges("subuid"), ranges("subgid"));
    let subids = fields.integer("subids", 1..=LARGEST);
    if comment
        .as_ref()
        .is_some_and(|text| text.contains(':') || text.chars().any(char::is_control) || text.trim() != text)
    {
        fields.problem(
            "comment",
            "an account cannot say this",
            "it is one line without `:`, and without blanks around it",
        );
        return None;
    }
    for (one, others) in [("add_groups", &["groups"][..]), ("subids", &["subuid", "subgid"])] {
        if let Some(other) = others.iter().find(|other| fields.has(one) && fields.has(other)) {
            fields.problem(one, format!("`{one}` and `{other}` exclude each other"), "leave one of them out");
        }
    }
    let name = name?;
    let usual = if name == "root" { "/root".to_owned() } else { format!("/home/{name}") };
    let make_home = if create_home { home.clone().or_else(|| usual.parse().ok()) } else { None };
    Some(Box::new(User {
        knob: Knob::new(&USER, name),
        uid,
        group,
        groups: fields.has("groups").then_some(groups),
        add_groups,
        comment,
        home,
        make_home,
        shell,
        origin,
        locked,
        subuid,
        subgid,
        subids,
    }))
}

/// A path that stands in passwd(5), where `:` parts fields.
fn account_path(fields: &Fields<'_>, name: &'static str) -> Option<AbsPath> {
    let path: AbsPath = fields.optional(name)?;
    if path.as_str().contains(':') {
        fields.problem(name, format!("{path} cannot stand in passwd(5)"), "choose a path without `:`");
        return None;
    }
    Some(path)
}

impl Resource for User {
    fn provides(&self) -> Vec<Thing> {
        let own = self.own_group().map(Thing::Knob);
        let home = self.make_home.clone().map(Thing::Directory);
        own.into_iter().chain(home).chain([Thing::Knob(self.knob.clone())]).collect()
    }

    fn objects(&self) -> Vec<Object> {
        let own = self.own_group().map(Object::Knob);
        let home = self.make_home.clone().map(Object::Path);
        own.into_iter().chain(home).chain([Object::Knob(self.knob.clone())]).collect()
    }

    fn wants(&self) -> Vec<Want> {
        let groups = self.named_groups().map(|group| Target::Thing(Thing::Knob(group)));
        let homes = [&self.home, &self.make_home].into_iter().flatten().map(|home| Target::Parent(home.clone()));
        groups.chain(homes).map(Want::after).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        let knobs = std::iter::once(self.knob.clone()).chain(self.named_groups()).map(Ask::Knob);
        knobs.chain(self.make_home.clone().map(Ask::Path)).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self {
            knob,
            uid,
            group,
            groups,
            add_groups,
            comment,
            home,
            make_home: _,
            shell,
            origin: _,
            locked,
            subuid,
            subgid,
            subids,
        } = self;
        let now = Known::new(answers.knob(knob)?);
        for group in self.named_groups() {
            let comes = context.pending(&Thing::Knob(group.clone())).is_some() || context.command_pending();
            if !comes && answers.knob(&group)? == ABSENT {
                return Err(Undecided::with_help(
                    format!("there is no group {} on the host, and the plan does not make it", group.name()),
                    format!("add [group.NAME] with name = \"{}\", or take it out", group.name()),
                ));
            }
        }
        let mut change = Change::new(if now.is_some() { Action::Update } else { Action::Create });
        let before = |key: &str| now.as_ref().and_then(|now| now.get(key)).map(Shown::from);
        let wishes = [
            ("uid", uid.map(|uid| uid.to_string())),
            ("group", group.clone()),
            ("comment", comment.clone()),
            ("home", home.as_ref().map(ToString::to_string)),
            ("shell", shell.as_ref().map(ToString::to_string)),
            ("groups", groups.as_ref().map(list)),
            ("subuid", subuid.as_ref().map(list)),
            ("subgid", subgid.as_ref().map(list)),
        ];
        for (key, wish) in wishes {
            if let Some(wish) = wish {
                change.compare(key, before(key), wish);
            }
        }
        let is_in: BTreeSet<&str> = now.iter().flat_map(Known::groups).collect();
        if !add_groups.iter().all(|group| is_in.contains(group.as_str())) {
            let those = add_groups.iter().filter(|group| is_in.contains(group.as_str())).collect::<Vec<_>>();
            change.compare("add_groups", (!those.is_empty()).then(|| list(&those)), list(add_groups));
        }
        if let Some(subids) = subids {
            let found = now.as_ref().map_or(0, Known::subordinate);
            if found < *subids {
                change.compare("subids", now.as_ref().map(|_| found.to_string()), subids.to_string());
            }
        }
        if let Some(locked) = locked {
            let found = now.as_ref().map(|now| now.lock(context));
            if found != Some(if *locked { LOCKED } else { OPEN }) {
                change.compare("locked", found, locked.to_string());
            }
        }
        if self.makes_home(now.as_ref(), answers)? {
            change.compare("create_home", now.as_ref().map(|_| "false"), "true");
        }
        Ok(if now.is_some() && change.attributes.is_empty() { Change::none() } else { change })
    }

    fn steps(&self, _change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let now = Known::new(answers.knob(&self.knob)?);
        let makes_home = self.makes_home(now.as_ref(), answers)?;
        let mut steps = Vec::new();
        if now.is_none() {
            steps.extend(self.own_group().map(|group| Step::Claim(Object::Knob(group))));
        }
        let home = self.make_home.clone().filter(|_| makes_home);
        steps.extend(home.clone().map(|home| Step::Claim(Object::Path(home))));
        let state = self.state(now.as_ref(), makes_home);
        steps.push(Step::Turn { knob: self.knob.clone(), state, input: None });
        // It is there by then; this says so to whoever follows what steps make.
        steps.extend(home.map(|path| Step::EnsureDirectory { path }));
        Ok(steps)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let mut wanted: Vec<(&'static str, Shown)> = Vec::new();
        let mut want =
            |name: &'static str, value: Option<String>| wanted.extend(value.map(|value| (name, value.into())));
        want("uid", self.uid.map(|uid| uid.to_string()));
        want("group", self.group.clone());
        want("comment", self.comment.clone());
        want("home", self.home.as_ref().map(ToString::to_string));
        want("shell", self.shell.as_ref().map(ToString::to_string));
        want("groups", self.groups.as_ref().map(list));
        want("subuid", self.subuid.as_ref().map(list));
        want("subgid", self.subgid.as_ref().map(list));
        want("add_groups", (!self.add_groups.is_empty()).then(|| list(&self.add_groups)));
        want("subids", self.subids.map(|subids| subids.to_string()));
        want("locked", self.locked.map(|locked| locked.to_string()));
        want("create_home", self.make_home.as_ref().map(|_| "true".to_owned()));
        wanted
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        let home = self.home.as_ref().or(self.make_home.as_ref());
        std::iter::once(("name", self.knob.name().to_owned()))
            .chain(home.map(|home| ("home", home.to_string())))
            .collect()
    }
}

/// The words for whether somebody can log in; anything else is half of it.
const LOCKED: &str = "true";
const OPEN: &str = "false";

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

impl User {
    /// The group that comes and goes with the user, where the plan names none.
    fn own_group(&self) -> Option<Knob> {
        self.group.is_none().then(|| Knob::new(&GROUP, self.knob.name()))
    }

    fn named_groups(&self) -> impl Iterator<Item = Knob> {
        let listed = self.groups.iter().flatten().chain(&self.add_groups);
        self.group.iter().chain(listed).map(|name| Knob::new(&GROUP, name.as_str()))
    }

    /// Whether the home is made: that of an account which has another one, and may keep it, is not.
    fn makes_home(&self, now: Option<&Known<'_>>, answers: &Answers) -> Result<bool, Undecided> {
        let Some(home) = &self.make_home else { return Ok(false) };
        let stays = now.and_then(|now| now.get("home")).is_some_and(|now| now != home.as_str());
        Ok(answers.path(home)?.entry().is_none() && (self.home.is_some() || !stays))
    }

    /// What is set: all of it, as it is now where the plan does not say.
    fn state(&self, now: Option<&Known<'_>>, makes_home: bool) -> String {
        let mut lines: BTreeMap<&str, String> = BTreeMap::new();
        let mut head = String::new();
        match now {
            Some(now) => lines.extend(now.0.iter().map(|(key, value)| (*key, (*value).to_owned()))),
            None => {
                head.push_str(crate::knob::NEW);
                let system = self.origin == Origin::System;
                let home = self.make_home.as_ref().map_or("/nonexistent", AbsPath::as_str);
                lines.insert("home", home.to_owned());
                if system {
                    lines.extend([("system", "yes".to_owned()), ("shell", "/usr/sbin/nologin".to_owned())]);
                }
            }
        }
        for (key, value) in self.wanted() {
            let value = value.line();
            match key {
                "locked" if value == LOCKED => {
                    lines.extend([("expires", "1".to_owned()), ("password", "locked".to_owned())]);
                    // There is none to lock, and none can be lost.
                    if now.is_none_or(|now| now.get("password") == Some("none")) {
                        lines.insert("password", "none".to_owned());
                    }
                }
                "locked" => {
                    lines.insert("expires", String::new());
                    if lines.get("password").is_some_and(|now| now == "locked") {
                        lines.insert("password", "set".to_owned());
                    }
                }
                "create_home" => {}
                "add_groups" => _ = lines.insert("add-groups", value),
                key => _ = lines.insert(key, value),
            }
        }
        if makes_home {
            lines.insert("make-home", "yes".to_owned());
        }
        let lines = lines.into_iter().map(|(key, value)| format!("{key} {value}"));
        head + &lines.collect::<Vec<_>>().join("\n")
    }
}

/// What a host says of an account.
struct Known<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Known<'a> {
    fn new(state: &'a str) -> Option<Self> {
        (state != ABSENT).then(|| Self(state.lines().filter_map(|line| line.split_once(' ')).collect()))
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).copied()
    }

    fn groups(&self) -> impl Iterator<Item = &'a str> {
        let lists = ["groups", "add-groups", "group"].into_iter().filter_map(|key| self.get(key));
        lists.flat_map(|names| names.split(',')).filter(|name| !name.is_empty())
    }

    /// How many subordinate numbers it has, of the sort of which it has fewer.
    fn subordinate(&self) -> i64 {
        let sum = |key: &str| -> i64 {
            let ranges = self.get(key).unwrap_or_default().split(',').filter_map(|range| range.parse::<Range>().ok());
            ranges.map(|Range(_, count)| i64::from(count)).sum()
        };
        let asked = self.get("subids").and_then(|asked| asked.parse().ok()).unwrap_or_default();
        sum("subuid").min(sum("subgid")).max(asked)
    }

    fn lock(&self, context: &Context<'_>) -> &'static str {
        let today = context.now.unix_timestamp() / 86_400;
        let expired = self.get("expires").and_then(|day| day.parse::<i64>().ok()).is_some_and(|day| day <= today);
        match (self.get("password"), expired) {
            (Some("set"), true) => "the account has expired",
            (Some("locked"), false) => "the password is locked",
            (_, true) => LOCKED,
            (_, false) => OPEN,
        }
    }
}

#[cfg(test)]
mod tests;
