use crate::testing::case;

const CACHE: &str = "where = '/srv/my cache'\nwhat = 'tmpfs'\ntype = 'tmpfs'\noptions = ['size=1M']";
const UNIT: &str = r"srv-my\x20cache.mount";
const FILE: &str = r"/etc/systemd/system/srv-my\x20cache.mount";

#[test]
fn a_file_system_is_mounted_now_and_at_each_boot() {
    let case = case("mount", CACHE)
        .creates("content: (absent) -> (8 lines), mode: (absent) -> 0644, enabled: false -> true, state: inactive -> mounted")
        .steps(&format!("make the directory /srv/my cache unless it is there; put the file {FILE} in place; let systemd read its units; enable {UNIT}; start {UNIT}"))
        .in_sync();
    let content =
        case.host().with(|state| state.entries.get(&FILE.parse().unwrap()).map(|(_, content)| content.clone()));
    assert_eq!(
        String::from_utf8(content.unwrap()).unwrap(),
        "[Mount]\nWhat=tmpfs\nWhere=/srv/my cache\nType=tmpfs\nOptions=size=1M\n\n[Install]\nWantedBy=local-fs.target\n"
    );
}

#[test]
fn what_was_unmounted_by_hand_is_mounted() {
    case("mount", CACHE)
        .applied()
        .given_unit(UNIT, "inactive/dead", "enabled")
        .expects(crate::change::Action::Start, "state: inactive -> mounted")
        .steps(&format!("start {UNIT}"))
        .in_sync();
    case("mount", CACHE)
        .applied()
        .given_unit(UNIT, "active/mounted", "disabled")
        .updates("enabled: false -> true")
        .steps(&format!("enable {UNIT}"))
        .in_sync();
}

#[test]
fn only_other_options_are_taken_in_place() {
    let applied = |content: &str| {
        case("mount", CACHE)
            .applied()
            .given_file(FILE, content, "0644")
            .given_unit(UNIT, "active/mounted", "enabled")
            .updates("content: (8 lines) -> (8 lines)")
    };
    let text = |options: &str, what: &str| {
        format!(
            "[Mount]\nWhat={what}\nWhere=/srv/my cache\nType=tmpfs\nOptions={options}\n\n[Install]\nWantedBy=local-fs.target\n"
        )
    };
    applied(&text("size=2M", "tmpfs"))
        .because("it is mounted anew in place")
        .steps(&format!("put the file {FILE} in place; let systemd read its units; reload {UNIT}"));
    applied(&text("size=1M", "other"))
        .because("it is unmounted and mounted anew")
        .steps(&format!("put the file {FILE} in place; let systemd read its units; restart {UNIT}"));
}

#[test]
fn what_is_written_below_comes_after() {
    case("file", "path = '/srv/cache/f'\ncontent = ''")
        .plan("[directory.d]\npath = '/srv/cache'\n[mount.m]\nwhere = '/srv/cache'\nwhat = '/opt'\noptions = ['bind']\n")
        .steps("make the directory /srv/cache; make the directory /srv/cache unless it is there; put the file /etc/systemd/system/srv-cache.mount in place; let systemd read its units; enable srv-cache.mount; start srv-cache.mount; put the file /srv/cache/f in place");
}

#[test]
fn what_cannot_be_mounted_is_refused() {
    let with = |fields: &str| format!("where = '/srv/x'\n{fields}");
    for (fields, finding) in [
        ("where = '/'\nwhat = 'a'".to_owned(), "3:9: nothing can be mounted on \"/\" (choose a directory below /)"),
        (with("what = '-o'"), "4:8: \"-o\" cannot be mounted (write it as in fstab(5), without escapes)"),
        (
            with("what = 'data'\noptions = ['bind']"),
            "4:8: \"data\" is not a directory of the host (a bind mount takes an absolute path)",
        ),
        (
            with("what = 'a'\noptions = ['ro, rw']"),
            "5:11: \"ro, rw\" is not an option of mount(8) (each is one word, such as \"ro\" or \"size=1G\")",
        ),
        (with("what = 'a'\ntype = ''"), "5:8: this is not the type of a file system (one word: \"ext4\", \"nfs\")"),
    ] {
        case("mount", &fields).refused(finding);
    }
}
