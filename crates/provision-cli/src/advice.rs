//! What to do when a host cannot be reached or trusted.

use std::io::ErrorKind;

use provision_core::connection::ConnectionError;
use provision_core::transport::TransportError;

/// What must not be overlooked.
pub fn warning(error: &TransportError) -> Option<&'static str> {
    match error {
        TransportError::ChangedHostKey { .. } => Some(
            "somebody may be standing between you and the host and reading along, or the host was installed anew. \
             Nothing was sent to it.",
        ),
        TransportError::RevokedHostKey { .. } => {
            Some("this key was revoked: whoever has it may be pretending to be the host. Nothing was sent to it.")
        }
        _ => None,
    }
}

/// What to do. `host` is the name in the plan.
pub fn connection(error: &ConnectionError, host: &str, user: Option<&str>) -> Option<String> {
    match error {
        ConnectionError::Transport(error) => transport(error, host, user),
        ConnectionError::NotStarted { status, stderr, .. } => Some(not_started(*status, stderr, host, user)),
        ConnectionError::Cut { .. } => Some("try again; when it happens again, look at the host's memory".to_owned()),
        _ => None,
    }
}

fn transport(error: &TransportError, plan_name: &str, user: Option<&str>) -> Option<String> {
    let help = match error {
        TransportError::Connect { host, source } => connect(host, source, plan_name),
        TransportError::ConnectTimeout { .. } => format!(
            "is the host up, and does every firewall on the way let the port through? `connect_timeout` in \
             [host.{plan_name}] sets how long is waited"
        ),
        TransportError::UnknownHostKey { algorithm, known_hosts_line, known_hosts, .. } => {
            unknown_key(algorithm, known_hosts_line, known_hosts)
        }
        TransportError::ChangedHostKey { algorithm, known_hosts, line, .. } => format!(
            "find out why the key is another one before you do anything else.\n\
             Was the host installed anew? Then compare with what it says on its own console\n\
             \n    {}\n\n\
             and, only if the fingerprint is the same, take line {line} out of {known_hosts} and apply again",
            fingerprint_command(algorithm)
        ),
        TransportError::RevokedHostKey { known_hosts, line, .. } => {
            format!("the host needs a new key; who revoked this one in line {line} of {known_hosts} can say why")
        }
        TransportError::KnownHosts { path, .. } => format!("make {path} readable, or name another with --known-hosts"),
        TransportError::Authentication { tried, .. } => authentication(tried, plan_name, user),
        TransportError::KeyFile { path, reason } => {
            if reason.contains("passphrase") {
                format!("run it on a terminal, or give the key to an agent first: ssh-add {path}")
            } else {
                format!("look at it with: ssh-keygen -y -f {path}")
            }
        }
        TransportError::Exec { .. } => {
            "the login works, but the host runs no commands for it: look at the user's shell, and at ForceCommand and \
             MaxSessions in sshd_config"
                .to_owned()
        }
        TransportError::Silent { .. } => {
            format!("`silence_timeout` in [host.{plan_name}] sets how long a host may say nothing")
        }
        TransportError::Lost { .. } => "is the host still up? apply again: it goes on from where it was".to_owned(),
        _ => return None,
    };
    Some(help)
}

fn connect(host: &str, source: &std::io::Error, plan_name: &str) -> String {
    if host == "local" {
        return "address = \"local\" needs a POSIX shell as /bin/sh on this machine".to_owned();
    }
    match source.kind() {
        ErrorKind::ConnectionRefused => {
            format!("nothing listens there: does sshd run, and is `port` in [host.{plan_name}] right?")
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "there is no way to it from here: is a VPN down, or the address wrong?".to_owned()
        }
        // A name that cannot be looked up has no kind of its own.
        _ if source.to_string().contains("lookup") => {
            format!("the name is not known: is `address` in [host.{plan_name}] right?")
        }
        _ => format!("is `address` in [host.{plan_name}] right, and is it an SSH server that answers there?"),
    }
}

fn unknown_key(algorithm: &str, line: &str, known_hosts: &str) -> String {
    let place = if known_hosts.is_empty() { "a file and name it with --known-hosts" } else { known_hosts };
    format!(
        "compare the fingerprint with what the host says on its own console\n\
         \n    {}\n\n\
         and, only if it is the same, add this line to {place}\n\
         \n    {line}\n",
        fingerprint_command(algorithm)
    )
}

/// How a host shows the fingerprint of one of its keys; the names are those that sshd(8) uses.
fn fingerprint_command(algorithm: &str) -> String {
    let file = match algorithm {
        "ssh-ed25519" => "ed25519",
        name if name.starts_with("ecdsa") => "ecdsa",
        _ => "rsa",
    };
    format!("ssh-keygen -lf /etc/ssh/ssh_host_{file}_key.pub")
}

fn authentication(tried: &str, plan_name: &str, user: Option<&str>) -> String {
    let first = if tried == "nothing" {
        "there was no key to try: name one with --identity FILE, or give one to an agent with ssh-add"
    } else {
        "name the right key with --identity FILE, or give it to an agent with ssh-add"
    };
    let user = user.unwrap_or("the user");
    format!(
        "{first}.\n\
         The host must list its public half in ~/.ssh/authorized_keys of {user}; `user` in [host.{plan_name}] says who \
         logs in"
    )
}

fn not_started(status: Option<u32>, stderr: &str, plan_name: &str, user: Option<&str>) -> String {
    let user = user.unwrap_or("USER");
    let said = stderr.to_lowercase();
    if said.contains("password is required") || said.contains("a terminal is required") {
        return format!(
            "`become = true` in [host.{plan_name}] needs sudo without a password. On the host, with visudo:\n\
             \n    {user} ALL=(ALL) NOPASSWD: ALL\n\n\
             or log in as root"
        );
    }
    if said.contains("sudoers") || said.contains("not allowed to") {
        return format!("{user} may not use sudo on the host: add a line for it with visudo, or log in as root");
    }
    if said.contains("sudo") && (status == Some(127) || said.contains("not found")) {
        return format!(
            "there is no sudo on the host: install it, or log in as root without `become` in [host.{plan_name}]"
        );
    }
    "can the user run commands there? Try: ssh HOST /bin/sh -c true".to_owned()
}
