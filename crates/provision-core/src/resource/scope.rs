//! Whose systemd and podman something is for, as the kinds that have a `scope` share it. Not a kind.
//!
//! What belongs to a user stands below that one's home, which only the host knows: a plan that leaves the directory out
//! asks for it beforehand. What runs for a user needs the user's manager, which runs while the user is logged in or lingers.

use crate::attribute::Account;
use crate::change::Shown;
use crate::facts::HomeFound;
use crate::knob::Knob;
use crate::knob::linger::{LINGER, LINGERS};
use crate::knob::sysctl::SYSCTL;
use crate::knob::user::USER;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::{Context, Field, Setup, Target, Thing, Want};
use crate::step::Ownership;
use crate::systemd::{Managed, Manager};

pub(crate) const SCOPE: Field = Field {
    name: "scope",
    takes: "\"system\" | \"user\" | \"user:NAME\"",
    required: false,
    doc: "Whose systemd and podman: the system's; those of the user as whom the steps run; or, for steps that run as root, those of a user. \"system\" without it.",
};

/// Reads the field; nothing when it is wrong.
pub(crate) fn manager(fields: &Fields<'_>) -> Option<Manager> {
    let manager = fields.optional(SCOPE.name);
    if fields.has(SCOPE.name) { manager } else { Some(Manager::System) }
}

/// A directory below the home of whose a manager is, from the outermost below the home to itself.
pub(crate) fn below_home(
    parts: &[&str],
    manager: &Manager,
    fields: &Fields<'_>,
    setup: &Setup<'_>,
) -> Option<Vec<AbsPath>> {
    let home = match setup.homes.of(manager) {
        HomeFound::Known(home) => home,
        HomeFound::NoUser => {
            let help =
                "make the user beforehand; or write `directory`, where one that this plan makes will have its home";
            fields.problem(SCOPE.name, "the host has no such user, whose home directory it would need", help);
            return None;
        }
        HomeFound::Unasked => {
            let help = "write the user's name, or take it from an input; or write `directory`";
            fields.problem(SCOPE.name, "which user that is was not known before the host was asked for homes", help);
            return None;
        }
    };
    let mut directories = Vec::new();
    let mut at = home;
    for part in parts {
        at = at.join(part).ok()?;
        directories.push(at.clone());
    }
    Some(directories)
}

/// Whether a directory that a plan names is one that the managers of users read: below a home or at one of these places.
pub(crate) fn is_read(directory: &AbsPath, below: &str, places: &[&str]) -> bool {
    let within = |known: &&str| known.parse().is_ok_and(|known| directory.is_within(&known));
    format!("{directory}/").contains(&format!("/{below}/")) || places.iter().any(within)
}

/// The owner of what is put below the home of whose a manager is.
pub(crate) fn ownership(manager: &Manager) -> Ownership {
    let user = match manager {
        Manager::User(name) => Some(Account::Name(name.to_string())),
        Manager::System | Manager::Own => None,
    };
    Ownership { user, group: None }
}

/// Whether a user lingers, as a knob. The system's manager runs in any case.
pub(crate) fn linger(manager: &Manager) -> Option<Knob> {
    (*manager != Manager::System).then(|| Knob::new(&LINGER, manager.word()))
}

/// What a manager needs of the plan before it can do anything.
pub(crate) fn wants(manager: &Manager) -> Vec<Want> {
    let user = match manager {
        Manager::User(name) => Some(Knob::new(&USER, name.as_str())),
        Manager::System | Manager::Own => None,
    };
    linger(manager).into_iter().chain(user).map(|knob| Want::after(Target::Thing(Thing::Knob(knob)))).collect()
}

/// What tells whether a manager can do anything.
pub(crate) fn asks(manager: &Manager) -> Vec<Ask> {
    linger(manager).into_iter().flat_map(|knob| [Ask::Knob(knob), Ask::Unit(always(manager))]).collect()
}

/// A unit that every manager has.
fn always(manager: &Manager) -> Managed {
    Managed::new(manager, "default.target")
}

/// Makes sure that a manager runs, or will by the time it is needed: without it the change would fail half-way.
///
/// # Errors
/// When it does not run and nothing will start it.
pub(crate) fn require(manager: &Manager, answers: &Answers, context: &Context<'_>) -> Result<(), Undecided> {
    let Some(knob) = linger(manager) else { return Ok(()) };
    if !answers.unit(&always(manager))?.is_asleep() || context.command_pending() {
        return Ok(());
    }
    let comes = context.provided(&Thing::Knob(knob.clone()));
    if comes || answers.knob(&knob)? == LINGERS {
        return Ok(());
    }
    let (who, advice) = match manager {
        Manager::User(user) => (user.to_string(), format!("user = \"{user}\"")),
        Manager::System | Manager::Own => ("the login user".to_owned(), "without a user".to_owned()),
    };
    Err(Undecided::with_help(
        format!("the systemd of {who} does not run on the host: {who} neither lingers nor is logged in"),
        format!("add a linger resource {advice}, so that it runs from boot on; or log in there"),
    ))
}

/// The first port that users may have.
const FIRST: &str = "net/ipv4/ip_unprivileged_port_start";
/// What the kernel has where nobody says otherwise.
const USUAL_FIRST: u16 = 1024;

fn first_port() -> Knob {
    Knob::new(&SYSCTL, FIRST)
}

/// What tells whether a user may have these ports, where that is a question.
pub(crate) fn port_asks(manager: &Manager, ports: &[u16]) -> Option<Ask> {
    is_question(manager, ports).then(first_port_ask)
}

/// Whatever changes which ports a user may have comes before.
pub(crate) fn port_wants(manager: &Manager, ports: &[u16]) -> Option<Want> {
    is_question(manager, ports).then(first_port_want)
}

fn is_question(manager: &Manager, ports: &[u16]) -> bool {
    *manager != Manager::System && ports.iter().any(|port| *port < USUAL_FIRST)
}

/// Makes sure that a user may have these ports.
///
/// # Errors
/// When the kernel would refuse one.
pub(crate) fn require_ports(
    manager: &Manager,
    ports: &[u16],
    answers: &Answers,
    context: &Context<'_>,
) -> Result<(), Undecided> {
    if !is_question(manager, ports) {
        return Ok(());
    }
    let Some(first) = first_port_for_users(answers, context)? else { return Ok(()) };
    let Some(port) = ports.iter().find(|port| **port < first) else { return Ok(()) };
    Err(Undecided::with_help(
        format!(
            "port {port} is not for users: the host's kernel keeps the ports below {first} for root, and rootless podman has none of root's rights"
        ),
        format!(
            "publish a port from {first} on, and lead {port} there (a haproxy, a redirect of the firewall); or let users have it: \
             [sysctl.ports] key = \"net.ipv4.ip_unprivileged_port_start\", value = {port}"
        ),
    ))
}

/// What tells from where on users may have ports.
pub(crate) fn first_port_ask() -> Ask {
    Ask::Knob(first_port())
}

/// What changes from where on users may have ports comes before.
pub(crate) fn first_port_want() -> Want {
    Want::after(Target::Thing(Thing::Knob(first_port())))
}

/// The first port that users may have once what comes before is done; none where a command may change that.
///
/// # Errors
/// When the host does not say.
pub(crate) fn first_port_for_users(answers: &Answers, context: &Context<'_>) -> Result<Option<u16>, Undecided> {
    if context.command_pending() {
        return Ok(None);
    }
    let coming = context.upstream(&Thing::Knob(first_port())).and_then(|change| {
        change.attributes.iter().find(|attribute| attribute.name == "value").map(|attribute| match &attribute.after {
            Shown::Text(text) => text.clone(),
            _ => String::new(),
        })
    });
    let first = match coming {
        Some(value) => value,
        None => answers.knob(&first_port())?.clone(),
    };
    Ok(Some(first.parse().unwrap_or(USUAL_FIRST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Action;
    use crate::knob::linger::NOT;
    use crate::testing::{Case, case};

    const CONTAINER: &str = "image = 'quay.io/a/b:1'\nscope = 'user:core'";

    fn asleep(case: Case) -> Case {
        case.given(|state| _ = state.asleep.insert("user:core".parse().unwrap()))
    }

    #[test]
    fn what_is_a_user_s_stands_in_the_home_and_is_put_there_as_the_user() {
        let container = case("container", CONTAINER)
            .holds("path /home/core/.config/containers/systemd/x.container")
            .expects(Action::Create, "content: (absent) -> (9 lines), mode: (absent) -> 0644, owner: (absent) -> core")
            .steps(
                "make the directory /home/core/.config unless it is there; \
                 make the directory /home/core/.config/containers unless it is there; \
                 make the directory /home/core/.config/containers/systemd unless it is there; \
                 put the file /home/core/.config/containers/systemd/x.container in place; let systemd read the units of core",
            )
            .in_sync();
        let content = container.host().with(|state| {
            let (entry, content) =
                state.entries.iter().find(|(path, _)| path.name() == "x.container").unwrap().1.clone();
            assert_eq!((entry.user.name.as_deref(), entry.mode.to_string().as_str()), (Some("core"), "0644"));
            String::from_utf8(content).unwrap()
        });
        // A user's manager has no such unit.
        assert!(!content.contains("network-online"), "{content}");
        case("unit", "unit = 'a.service'\nscope = 'user'\ndropin = 'x'\nsections.Service.Nice = 1")
            .holds("path /root/.config/systemd/user/a.service.d/x.conf")
            .mended();
    }

    #[test]
    fn a_drop_in_and_instances_are_put_there_as_the_user_too() {
        let dropin = "quadlet = 'app.container'\ndropin = 'a'\nsections.Container.PidsLimit = 5\nscope = 'user:core'";
        case("quadlet_dropin", dropin)
            .holds("path /home/core/.config/containers/systemd/app.container.d/a.conf")
            .expects(Action::Create, "content: (absent) -> (2 lines), mode: (absent) -> 0644, owner: (absent) -> core")
            .steps(
                "make the directory /home/core/.config unless it is there; \
                 make the directory /home/core/.config/containers unless it is there; \
                 make the directory /home/core/.config/containers/systemd unless it is there; \
                 make the directory /home/core/.config/containers/systemd/app.container.d unless it is there; \
                 put the file /home/core/.config/containers/systemd/app.container.d/a.conf in place; \
                 let systemd read the units of core",
            )
            .in_sync();
        let workers = "file_name = 'w@'\nimage = 'quay.io/a/b:1'\ninstances = ['a']\n";
        let of_core = case("container", &format!("{workers}scope = 'user:core'"))
            .holds(
                "path /home/core/.config/containers/systemd/w@.container; \
                 path /home/core/.config/containers/systemd/w@a.container",
            )
            .mended();
        of_core.host().with(|state| {
            let (link, _) = state.entries.iter().find(|(path, _)| path.name() == "w@a.container").unwrap().1;
            assert_eq!(link.user.name.as_deref(), Some("core"));
        });
        // A directory that the plan names is not for root to look into as anybody else.
        let elsewhere = format!("{workers}scope = 'user:core'\ndirectory = '/etc/containers/systemd/users/1000'");
        case("container", &elsewhere)
            .given_directory("/etc/containers/systemd/users/1000", "0755")
            .steps(
                "put the file /etc/containers/systemd/users/1000/w@.container in place; \
                 put the link /etc/containers/systemd/users/1000/w@a.container in place; let systemd read the units of core",
            )
            .in_sync();
    }

    #[test]
    fn a_drop_in_is_for_the_files_of_its_own_manager_alone() {
        let plan = "[quadlet_dropin.core]\nquadlet = 'container'\ndropin = 'a'\nsections.Container.PidsLimit = 5\nscope = 'user:core'\n\
                    [container.y]\nfile_name = 'x'\nimage = 'quay.io/a/b:1'\n[service.y]\nunit = 'x.service'\n\
                    [service.x]\nunit = 'x.service'\nscope = 'user:core'\n";
        case("container", CONTAINER)
            .plan(plan)
            .applied()
            .given_file("/home/core/.config/containers/systemd/container.d/a.conf", "[Container]\n", "0644")
            .steps(
                "put the file /home/core/.config/containers/systemd/container.d/a.conf in place; \
                 let systemd read the units of core; restart core/x.service",
            )
            .in_sync();
    }

    #[test]
    fn each_manager_has_units_of_its_own() {
        let plan = "[container.y]\nfile_name = 'x'\nimage = 'quay.io/a/b:1'\n[service.y]\nunit = 'x.service'\n\
                    [service.x]\nunit = 'x.service'\nscope = 'user:core'\n";
        let both = case("container", CONTAINER).plan(plan).mended();
        let units: Vec<String> = both.host().with(|state| state.units.keys().cloned().collect());
        assert_eq!(units, ["core/x.service", "x.service"]);
        both.given_file("/home/core/.config/containers/systemd/x.container", "[Container]\n", "0644")
            .plan("[image.x]\nname = 'quay.io/a/b:1'\npull = true\nscope = 'user:core'\n")
            .steps(
                "pull the image quay.io/a/b:1 of core; \
                 put the file /home/core/.config/containers/systemd/x.container in place; \
                 let systemd read the units of core; restart core/x.service",
            )
            .in_sync();
    }

    #[test]
    fn a_manager_that_does_not_run_is_an_error_unless_the_user_lingers_or_will() {
        let service = "unit = 'x.service'\nscope = 'user:core'";
        let container = "[container.x]\nimage = 'quay.io/a/b:1'\nscope = 'user:core'\n";
        let refused = "the systemd of core does not run on the host: core neither lingers nor is logged in";
        asleep(case("service", service).plan(container)).undecided(refused);
        asleep(case("volume", "scope = 'user:core'")).undecided(refused);
        asleep(case("image", "name = 'quay.io/a/b:1'\npull = true\nscope = 'user:core'")).undecided(refused);
        asleep(case("service", service).plan(container).plan("[linger.core]\nuser = 'core'\n"))
            .expects(Action::Start, "state: inactive -> running")
            .mended();
        let lingers = linger(&"user:core".parse().unwrap()).unwrap();
        let linger = |state: &'static str| {
            let knob = lingers.clone();
            asleep(case("image", "name = 'quay.io/a/b:1'\npull = true\nscope = 'user:core'"))
                .given(move |host| _ = host.knobs.insert(knob.to_string(), state.to_owned()))
        };
        linger(LINGERS).mended();
        linger(NOT).undecided(refused);
    }

    #[test]
    fn a_port_that_a_user_may_not_have_is_refused_with_both_ways_out() {
        let web = "image = 'quay.io/a/b:1'\npublish = ['0.0.0.0:443:8443']\nscope = 'user:core'";
        let usual = |case: Case| case.given(|state| state.turn(&first_port(), "1024"));
        let refused = "port 443 is not for users: the host's kernel keeps the ports below 1024 for root, and rootless podman has none of root's rights";
        usual(case("container", web)).undecided(refused);
        case("container", web).given(|state| state.turn(&first_port(), "80")).mended();
        let sysctl = "[sysctl.ports]\nkey = 'net.ipv4.ip_unprivileged_port_start'\nvalue = ";
        usual(case("container", web).plan(&format!("{sysctl}443\n"))).mended();
        usual(case("container", web).plan(&format!("{sysctl}444\n"))).undecided(&refused.replace("1024", "444"));
        usual(case("container", &web.replace("443:", "8443:"))).mended();
        usual(case("container", &web.replace("'user:core'", "'system'"))).mended();
    }

    #[test]
    fn a_scope_that_is_none_is_named() {
        case("volume", "scope = 'core'").refused(
            "3:9: \"core\" does not fit `scope` of volume.x (a scope is \"system\", \"user\" or, for steps that run as root, \"user:NAME\")",
        );
    }
}
