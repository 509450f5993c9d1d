use super::*;
use crate::testing::{Case, case};

const SITE: &str = "pattern = '/srv/www(/.*)?'\ntype = 'httpd_sys_content_t'\nrestore = true";

fn knobs() -> (Knob, Knob) {
    (Knob::new(&SELINUX_CONTEXT, "/srv/www(/.*)?"), Knob::new(&SELINUX_LABELS, "/srv/www/**"))
}

fn on(context: &'static str, labels: &'static str) -> Case {
    let (of_pattern, of_files) = knobs();
    case("selinux_context", SITE).given(move |host| {
        host.turn(&of_pattern, context);
        host.turn(&of_files, labels);
    })
}

#[test]
fn a_pattern_gets_its_context_and_what_is_there_is_labelled_after() {
    case("selinux_context", SITE)
        .holds("knob selinux_labels /srv/www/**; knob selinux_context /srv/www(/.*)?")
        .creates("type: (absent) -> httpd_sys_content_t")
        .because("what is there already is labelled anew: /srv/www")
        .steps(
            "claim knob selinux_labels /srv/www/**; set the SELinux context of /srv/www(/.*)?; \
             set the SELinux labels of /srv/www/**",
        )
        .in_sync();
    case("selinux_context", "pattern = '/srv/www'\ntype = '<<none>>'\nfiles = 'directory'")
        .holds("knob selinux_context /srv/www directory")
        .creates("type: (absent) -> <<none>>")
        .steps("set the SELinux context of /srv/www directory")
        .in_sync();
}

#[test]
fn what_others_said_of_the_pattern_or_labelled_is_mended() {
    on("var_t", RIGHT).updates("type: var_t -> httpd_sys_content_t").mended();
    on("staff_u:object_r:httpd_sys_content_t:s0", RIGHT)
        .updates("type: staff_u:object_r:httpd_sys_content_t:s0 -> httpd_sys_content_t")
        .mended();
    on("httpd_sys_content_t", "wrong 2 /srv/www/a from a:b:user_home_t:s0 to a:b:httpd_sys_content_t:s0")
        .updates("labels: 2 wrong, such as /srv/www/a from a:b:user_home_t:s0 to a:b:httpd_sys_content_t:s0 -> right")
        .steps("set the SELinux labels of /srv/www/**")
        .in_sync();
    // Nothing is there yet.
    on("httpd_sys_content_t", ABSENT).in_sync();
}

#[test]
fn labels_come_after_what_the_plan_puts_there() {
    let plan = "[directory.www]\npath = '/srv/www'\n[file.a]\npath = '/srv/www/a'\ncontent = ''\n";
    case("selinux_context", SITE).plan(plan).steps(
        "make the directory /srv/www; put the file /srv/www/a in place; claim knob selinux_labels /srv/www/**; \
         set the SELinux context of /srv/www(/.*)?; set the SELinux labels of /srv/www/**",
    );
}

#[test]
fn a_host_that_cannot_do_it_is_said() {
    on("nowhere", "nowhere").undecided("there is no SELinux on the host, or it is disabled");
    on("toolless semanage", RIGHT).undecided("the host has SELinux, but no semanage");
    on(ABSENT, "toolless restorecon").undecided("the host has SELinux, but no restorecon");
    on("toolless semanage", RIGHT)
        .plan("[package.tools]\nnames = ['policycoreutils-python-utils']\n")
        .updates("type: not known yet -> httpd_sys_content_t");
    let run = Knob::new(&SELINUX_CONTEXT, "/run/app(/.*)?");
    case("selinux_context", "pattern = '/run/app(/.*)?'\ntype = 'var_run_t'")
        .given(move |host| host.turn(&run, "conflict /run /var/run"))
        .undecided(
            "the host's SELinux policy takes all below /run for what is below /var/run, so /run/app(/.*)? never fits",
        );
}

#[test]
fn where_a_pattern_is_is_told_from_it_or_written() {
    let found = |pattern: &str| place(pattern).map(|(path, below)| format!("{path}{below}"));
    for (pattern, expected) in [
        ("/srv/www", "/srv/www"),
        ("/srv/www(/.*)?", "/srv/www/**"),
        ("/srv/www/.*", "/srv/www/**"),
        (r"/srv/a\.b\+c(/.*)?", "/srv/a.b+c/**"),
        ("/srv/site.example.com(/.*)?", "/srv/site.example.com/**"),
        ("/.*", "//**"),
    ] {
        assert_eq!(found(pattern).as_deref(), Some(expected), "{pattern}");
    }
    for pattern in ["/srv/[^/]*/www(/.*)?", "/srv/(a|b)", "/srv/.*\\.log", r"/srv/\d"] {
        assert_eq!(found(pattern), None, "{pattern}");
    }
    case("selinux_context", "pattern = '/srv/[^/]*/www(/.*)?'\ntype = 'a_t'\nrestore = ['/srv/a', '/srv/b']").holds(
        "knob selinux_labels /srv/a/**; knob selinux_labels /srv/b/**; knob selinux_context /srv/[^/]*/www(/.*)?",
    );
}

#[test]
fn what_is_no_context_is_refused() {
    let refused = |pattern: &str, rest: &str, message: &str| {
        case("selinux_context", &format!("pattern = '{pattern}'\ntype = 'a_t'\n{rest}")).refused(message);
    };
    let unfit = |pattern: &str, why: &str| {
        refused(pattern, "", &format!("3:11: {pattern:?} does not fit `pattern` of selinux_context.x ({why})"));
    };
    unfit("srv", "a pattern is one of whole paths, and starts with `/`");
    unfit("/srv/a b", "SELinux takes no pattern with a blank; `.` fits any character");
    unfit("/srv/", "no path ends in `/`: write \"/srv(/.*)?\" for the directory and what is below it");
    unfit("/srv(/.*", "it is no regular expression: unclosed group");
    refused(
        "/srv/[ab]",
        "restore = true",
        "5:11: /srv/[ab] does not tell which paths those are (write the paths, each of which is labelled with all below it: restore = [\"/srv/www\"])",
    );
    let whole =
        "5:11: that is the whole host (name what is to be labelled; for all of a host touch /.autorelabel, and reboot)";
    refused("/.*", "restore = true", whole);
    refused("/srv", "restore = ['/']", whole);
    case("selinux_context", "pattern = '/srv'\ntype = 'system_u:object_r:a_t:s0'").refused("4:8: \"system_u:object_r:a_t:s0\" does not fit `type` of selinux_context.x (write the type alone, the third part of a context: \"httpd_sys_content_t\")");
    refused(
        "/srv",
        "files = 'folder'",
        "5:9: \"folder\" does not fit `files` of selinux_context.x (it is one of all, file, directory, link, socket, pipe, block-device, character-device)",
    );
}
