//! `link`: a symbolic link.

use crate::change::{Action, Change, Shown, Signal};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, PathState, Sort, Undecided};
use crate::resource::directory::{in_the_way, with_parent};
use crate::resource::file::refuse_root;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "link",
    summary: "A symbolic link.",
    fields: &[
        Field { name: "path", takes: "path", required: true, doc: "Where it is." },
        Field {
            name: "target",
            takes: "text",
            required: true,
            doc: "What it says: an absolute path, or one relative to its directory. It need not exist.",
        },
    ],
    example: r#"
[link.current]
path = "/opt/current"
target = "releases/2.0"
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct Link {
    path: AbsPath,
    target: String,
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path = fields.required("path");
    refuse_root(fields, path.as_ref());
    let target: Option<String> = fields.required("target");
    if target.as_ref().is_some_and(|target| target.is_empty() || target.chars().any(char::is_control)) {
        fields.problem("target", "a link cannot say this", "a target is not empty and has no control characters");
        return None;
    }
    Some(Box::new(Link { path: path?, target: target? }))
}

impl Resource for Link {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Path(self.path.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants = vec![Want::after(Target::Parent(self.path.clone()))];
        // Not before what it leads to, where that is managed too.
        if let Ok(target) = self.target.parse::<AbsPath>() {
            wants.push(Want::uses(Target::Tree(target)));
        }
        wants
    }

    fn asks(&self) -> Vec<Ask> {
        with_parent(&self.path)
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { path, target } = self;
        let before = match answers.path(path)? {
            PathState::Absent => {
                context.require_parent(path, answers)?;
                None
            }
            PathState::Present(entry) => match &entry.sort {
                Sort::Link(found) if found == target => return Ok(Change::none()),
                Sort::Link(found) => Some(found.clone()),
                other => return Err(in_the_way(path, other, "link")),
            },
        };
        let mut change = Change::new(if before.is_some() { Action::Update } else { Action::Create });
        change.compare("target", before.map(Shown::Text), target.as_str());
        Ok(change.signals(Signal::Content))
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        vec![("target", self.target.as_str().into())]
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { path, target } = self;
        Ok(vec![Step::PutLink { path: path.clone(), target: target.clone() }])
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    #[test]
    fn an_absent_link_is_made() {
        case("link", "path = '/srv/l'\ntarget = 'a b'").creates("target: (absent) -> a b").mended();
    }

    #[test]
    fn another_target_is_updated() {
        case("link", "path = '/srv/l'\ntarget = '/x'").given_link("/srv/l", "/y").updates("target: /y -> /x").mended();
    }

    #[test]
    fn a_directory_in_the_way_is_not_removed() {
        case("link", "path = '/srv/l'\ntarget = '/x'")
            .given_directory("/srv/l", "0755")
            .undecided("/srv/l is a directory on the host, and the plan wants a link there");
    }
}
