//! Owns what podman's unit generator prints when it is asked with `--dryrun` what it would make, and what it complains of.

use std::collections::BTreeMap;

/// The units in what `podman-system-generator --dryrun` printed, by name: each stands behind a line `---NAME---`.
#[must_use]
pub fn generated_units(printed: &str) -> BTreeMap<String, String> {
    let mut units: BTreeMap<String, String> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in printed.lines() {
        let head = line.strip_prefix("---").and_then(|rest| rest.strip_suffix("---"));
        if let Some(name) = head.filter(|name| !name.is_empty() && !name.contains(' ')) {
            // Older ones print a path.
            let name = name.rsplit('/').next().unwrap_or(name).to_owned();
            units.insert(name.clone(), String::new());
            current = Some(name);
        } else if let Some(text) = current.as_ref().and_then(|name| units.get_mut(name)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    for text in units.values_mut() {
        let length = text.trim_end().len();
        text.truncate(length);
        text.push('\n');
    }
    units
}

/// What a generator complained of: its lines without its own name and number in front, without what it only tells of its
/// way, and with the files named as they will be once they are out of the directory in which they were tried.
#[must_use]
pub fn complaints(printed: &str, stage: &str) -> Vec<String> {
    let bare = |line: &str| match line.split_once("]: ") {
        Some((head, rest)) if head.starts_with("quadlet-generator[") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let idle = ["Loading source ", "No files parsed", "No files to parse"];
    let told = |line: &String| !line.trim().is_empty() && !idle.iter().any(|start| line.starts_with(start));
    let lines = printed.lines().map(bare).filter(told);
    lines.map(|line| if stage.is_empty() { line } else { line.replace(stage, "") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart() {
        let printed = "---app.service---\n[Unit]\nSourcePath=/a\n\n[Service]\n\n---/x/data-volume.service---\n[Unit]\n";
        let units = generated_units(printed);
        assert_eq!(units["app.service"], "[Unit]\nSourcePath=/a\n\n[Service]\n");
        assert_eq!(units["data-volume.service"], "[Unit]\n");
        assert_eq!(units.len(), 2);
        assert_eq!(generated_units("nothing"), BTreeMap::new());
    }

    #[test]
    fn complaints_are_what_is_left_without_the_talk() {
        let printed = "quadlet-generator[12]: Loading source unit file /run/s/etc/containers/systemd/a.container\n\
                       quadlet-generator[12]: converting \"a.container\": unsupported key 'X' in group 'Container' in /run/s/etc/containers/systemd/a.container\n\
                       and \"b.container\": more\n\n";
        assert_eq!(
            complaints(printed, "/run/s"),
            [
                "converting \"a.container\": unsupported key 'X' in group 'Container' in /etc/containers/systemd/a.container",
                "and \"b.container\": more",
            ]
        );
    }
}
