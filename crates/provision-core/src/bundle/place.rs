//! Paths of members: where in a bundle a file of this side is found again.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

/// Below it is the plan, and what is named relative to it.
pub(super) const PLAN: &str = "plan";
/// Below it is what is named by an absolute path, with that path.
pub(super) const ELSEWHERE: &str = "elsewhere";
/// Below it is what this side downloads.
pub(super) const DOWNLOADS: &str = "downloads";

/// Takes `.` and `..` out of a path without looking at the file system. A relative one may still begin with `..`.
pub(super) fn normal(path: &Utf8Path) -> Utf8PathBuf {
    let mut parts: Vec<Utf8Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Utf8Component::CurDir, _) | (Utf8Component::ParentDir, Some(Utf8Component::RootDir)) => {}
            (Utf8Component::ParentDir, Some(Utf8Component::Normal(_))) => _ = parts.pop(),
            _ => parts.push(part),
        }
    }
    parts.into_iter().collect()
}

/// The member for a file: below the plan's tree, or elsewhere.
pub(super) fn member(path: &Utf8Path, tree: Option<&Utf8Path>) -> String {
    match tree.and_then(|tree| path.strip_prefix(tree).ok()) {
        Some(rest) => format!("{PLAN}/{}", joined(rest)),
        None => format!("{ELSEWHERE}/{}", joined(path)),
    }
}

/// With `/` between its parts, whatever this system writes there, and without a root.
pub(super) fn joined(path: &Utf8Path) -> String {
    let part = |part: Utf8Component<'_>| match part {
        Utf8Component::Normal(name) => Some(name.to_owned()),
        // `C:` cannot be part of a name on the system that has it.
        Utf8Component::Prefix(prefix) => Some(prefix.as_str().replace([':', '\\', '/', '?'], "")),
        Utf8Component::RootDir | Utf8Component::CurDir | Utf8Component::ParentDir => None,
    };
    path.components().filter_map(part).collect::<Vec<_>>().join("/")
}

/// What several paths have in common from their beginning.
pub(super) fn common<'a>(paths: impl IntoIterator<Item = &'a Utf8Path>) -> Option<Utf8PathBuf> {
    paths.into_iter().map(Utf8Path::to_owned).reduce(|one, other| {
        one.components().zip(other.components()).take_while(|(one, other)| one == other).map(|(part, _)| part).collect()
    })
}

/// Whether a member has a name that stays where it is unpacked, and that people can read.
pub(super) fn is_safe(member: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    member.split('/').all(part) && !member.chars().any(|c| c.is_control() || c == '\\')
}
