use super::*;
use crate::testing::case;

const THERE: &str = "uid 1001\ngroup core\ncomment \nhome /home/x\nshell /bin/sh\ngroups adm,core\nsubuid 100000:65536\nsubgid 100000:65536\nexpires \npassword set";

fn knob() -> Knob {
    Knob::new(&USER, "x")
}

fn state(case: &crate::testing::Case) -> String {
    case.host().with(|state| state.knob(&knob()))
}

#[test]
fn a_user_is_made_with_its_group_and_its_home() {
    let case = case("user", "").given_directory("/home", "0755");
    let case = case
        .creates("create_home: (absent) -> true")
        .steps("claim knob group x; claim path /home/x; set the user x; make the directory /home/x unless it is there")
        .in_sync();
    assert_eq!(state(&case), "new yes\nhome /home/x\nmake-home yes");
}

#[test]
fn a_system_user_has_no_home_and_no_shell() {
    let case = case("user", "system = true\ncomment = 'Web'\nuid = 150\nlocked = true");
    let case = case
        .creates("uid: (absent) -> 150, comment: (absent) -> Web, locked: (absent) -> true")
        .steps("claim knob group x; set the user x")
        .in_sync();
    let made = "new yes\ncomment Web\nexpires 1\nhome /nonexistent\npassword none\nshell /usr/sbin/nologin\nsystem yes\nuid 150";
    assert_eq!(state(&case), made);
}

#[test]
fn each_attribute_that_differs_is_set_and_the_rest_stays() {
    for (fields, change) in [
        ("uid = 7", "uid: 1001 -> 7"),
        ("comment = 'C'", "comment:  -> C"),
        ("home = '/srv'", "home: /home/x -> /srv"),
        ("shell = '/bin/bash'", "shell: /bin/sh -> /bin/bash"),
        ("groups = ['b', 'a']", "groups: adm,core -> a,b"),
        ("groups = []", "groups: adm,core -> "),
        ("add_groups = ['a', 'adm']", "add_groups: adm -> a,adm"),
        ("group = 'a'", "group: core -> a"),
        ("subuid = ['200000:5', '1000:5']", "subuid: 100000:65536 -> 1000:5,200000:5"),
        ("subgid = []", "subgid: 100000:65536 -> "),
        ("subids = 70000", "subids: 65536 -> 70000"),
        ("locked = true", "locked: false -> true"),
    ] {
        let case = case("user", &format!("create_home = false\n{fields}"))
            .given(|state| {
                state.turn(&knob(), THERE);
                for name in ["a", "b", "adm"] {
                    state.turn(&Knob::new(&GROUP, name), "gid 5");
                }
            })
            .updates(change)
            .steps("set the user x")
            .in_sync();
        let after = state(&case);
        let left = THERE.lines().filter(|line| after.lines().any(|found| found == *line)).count();
        let moved = if fields.starts_with("locked") { 2 } else { 1 };
        let added = fields.starts_with("add_groups") || fields.starts_with("subids");
        assert_eq!(left, THERE.lines().count() - if added { 0 } else { moved }, "{fields}: {after}");
    }
}

#[test]
fn half_a_lock_is_said_and_made_whole_or_taken_off() {
    let expired = THERE.replace("expires ", "expires 1");
    let locked = THERE.replace("password set", "password locked");
    for (found, fields, change) in [
        (&expired, "locked = true", "locked: the account has expired -> true"),
        (&expired, "locked = false", "locked: the account has expired -> false"),
        (&locked, "locked = true", "locked: the password is locked -> true"),
        (&locked, "locked = false", "locked: the password is locked -> false"),
    ] {
        let case = case("user", &format!("create_home = false\n{fields}"));
        case.given(|state| state.turn(&knob(), found)).updates(change).mended();
    }
}

#[test]
fn the_home_of_an_account_that_has_another_is_left_alone() {
    let elsewhere = THERE.replace("/home/x", "/srv/x");
    case("user", "").given(|state| state.turn(&knob(), &elsewhere)).in_sync();
    case("user", "")
        .given(|state| {
            state.turn(&knob(), THERE);
            state.put_directory("/home", "0755");
        })
        .updates("create_home: false -> true")
        .steps("claim path /home/x; set the user x; make the directory /home/x unless it is there")
        .in_sync();
}

#[test]
fn a_group_that_is_nowhere_is_found_out_before() {
    case("user", "group = 'web'\ncreate_home = false")
        .undecided("there is no group web on the host, and the plan does not make it");
    case("user", "group = 'web'\ncreate_home = false")
        .plan("[group.web]\n")
        .creates("group: (absent) -> web")
        .steps("set the group web; set the user x");
}

#[test]
fn what_is_owned_comes_after_its_owner() {
    let plan = "[user.web]\ncreate_home = false\n";
    case("file", "path = '/srv/f'\ncontent = ''\nowner = 'web'\ngroup = 'web'")
        .plan(plan)
        .creates(
            "content: (absent) -> (0 lines), mode: (absent) -> 0644, owner: (absent) -> web, group: (absent) -> web",
        )
        .steps("claim knob group web; set the user web; put the file /srv/f in place");
    case("directory", "path = '/srv/d'\ngroup = 'web'")
        .plan(plan)
        .steps("claim knob group web; set the user web; make the directory /srv/d");
    case("unit", "unit = 'a.service'\ncontent = \"[Service]\\nUser=web\\nExecStart=/bin/a\\n\"")
        .plan(plan)
        .steps("claim knob group web; set the user web; put the file /etc/systemd/system/a.service in place; let systemd read its units");
}

#[test]
fn what_is_in_a_home_comes_after_the_user() {
    case("file", "path = '/home/web/f'\ncontent = ''")
        .given_directory("/home", "0755")
        .plan("[user.web]\n")
        .steps("claim knob group web; claim path /home/web; set the user web; make the directory /home/web unless it is there; put the file /home/web/f in place");
}

#[test]
fn what_cannot_be_is_refused() {
    for (fields, finding) in [
        ("groups = ['1000']", "3:11: \"1000\" does not fit `groups` of user.x (write the group's name)"),
        (
            "groups = []\nadd_groups = ['a']",
            "4:14: `add_groups` and `groups` exclude each other (leave one of them out)",
        ),
        (
            "subuid = ['1:0']",
            "3:11: \"1:0\" does not fit `subuid` of user.x (a range is its first number and how many, \"100000:65536\")",
        ),
        ("home = '/a:b'", "3:8: /a:b cannot stand in passwd(5) (choose a path without `:`)"),
        (
            "comment = 'a:b'",
            "3:11: an account cannot say this (it is one line without `:`, and without blanks around it)",
        ),
        (
            "name = '$(id)'",
            "3:8: \"$(id)\" does not fit `name` of user.x (a user or group is a name such as \"core\" or a number such as \"1000\")",
        ),
    ] {
        case("user", fields).refused(finding);
    }
}
