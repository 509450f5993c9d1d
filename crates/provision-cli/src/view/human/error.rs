//! Errors: what, why, and what to do, once.

use super::super::page::{ALARM, CHANGE, PLACE, Page};
use super::finding::findings;
use crate::error::Error;

/// All errors, one after the other.
pub fn errors(errors: &[Error], width: Option<usize>) -> Page {
    let mut page = Page::new(width);
    for (at, error) in errors.iter().enumerate() {
        if at > 0 {
            page.gap();
        }
        if let Error::Plan(problems) = error {
            page.page(&findings(problems, width));
        }
        page.labelled(ALARM, "error", &error.to_string());
        if let Some(warning) = error.warning() {
            page.labelled(ALARM, "warning", warning);
        }
        for cause in error.causes() {
            page.labelled(CHANGE, "cause", &cause);
        }
        if let Some(help) = error.help() {
            page.labelled(PLACE, "help", &help);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use provision_core::connection::ConnectionError;
    use provision_core::engine::EngineError;
    use provision_core::transport::TransportError;

    use super::*;
    use crate::exit::Exit;

    fn shown(error: impl Into<ConnectionError>) -> String {
        let error = Error::host("mirror", Some("core"), EngineError::Connection(error.into()));
        assert_eq!(error.exit(), Exit::Unreachable);
        anstream::adapter::strip_str(errors(&[error], Some(80)).as_str()).to_string()
    }

    fn not_started(status: u32, stderr: &str) -> ConnectionError {
        ConnectionError::NotStarted { host: "core@h:22".into(), status: Some(status), stderr: stderr.into() }
    }

    #[test]
    fn an_unknown_key_is_shown_with_the_way_to_accept_it() {
        let error = TransportError::UnknownHostKey {
            host: "[h]:2222".into(),
            algorithm: "ssh-ed25519".into(),
            fingerprint: "SHA256:abc".into(),
            known_hosts_line: "[h]:2222 ssh-ed25519 AAAA".into(),
            known_hosts: "/home/me/.ssh/known_hosts".into(),
        };
        let expected = "\
error: host mirror: the ssh-ed25519 host key of [h]:2222 is not known:
       SHA256:abc
help: compare the fingerprint with what the host says on its own console

          ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub

      and, only if it is the same, add this line to /home/me/.ssh/known_hosts

          [h]:2222 ssh-ed25519 AAAA
";
        assert_eq!(shown(error), expected);
    }

    #[test]
    fn a_changed_key_is_a_warning_and_never_a_way_round_it() {
        let error = TransportError::ChangedHostKey {
            host: "h".into(),
            algorithm: "ecdsa-sha2-nistp256".into(),
            fingerprint: "SHA256:abc".into(),
            known_hosts: "/k".into(),
            line: 3,
        };
        let expected = "\
error: host mirror: the ecdsa-sha2-nistp256 host key of h is not the one in /k
       line 3: SHA256:abc
warning: somebody may be standing between you and the host and reading along, or
         the host was installed anew. Nothing was sent to it.
help: find out why the key is another one before you do anything else.
      Was the host installed anew? Then compare with what it says on its own
      console

          ssh-keygen -lf /etc/ssh/ssh_host_ecdsa_key.pub

      and, only if the fingerprint is the same, take line 3 out of /k and apply
      again
";
        assert_eq!(shown(error), expected);
    }

    #[test]
    fn sudo_that_asks_is_told_from_sudo_that_is_not_there() {
        for (error, expected) in [
            (
                not_started(1, "sudo: a password is required"),
                "\
error: host mirror: core@h:22 did not run the program it was sent (exit status
       1): sudo: a password is required
help: `become = true` in [host.mirror] needs sudo without a password. On the
      host, with visudo:

          core ALL=(ALL) NOPASSWD: ALL

      or log in as root
",
            ),
            (
                not_started(127, "bash: line 1: exec: sudo: not found"),
                "\
error: host mirror: core@h:22 did not run the program it was sent (exit status
       127): bash: line 1: exec: sudo: not found
help: there is no sudo on the host: install it, or log in as root without
      `become` in [host.mirror]
",
            ),
            (
                not_started(1, "core is not in the sudoers file."),
                "\
error: host mirror: core@h:22 did not run the program it was sent (exit status
       1): core is not in the sudoers file.
help: core may not use sudo on the host: add a line for it with visudo, or log
      in as root
",
            ),
        ] {
            assert_eq!(shown(error), expected);
        }
    }

    #[test]
    fn every_way_not_to_reach_a_host_has_a_way_out() {
        let connect = |kind: std::io::ErrorKind| TransportError::Connect { host: "h:22".into(), source: kind.into() };
        let limit = std::time::Duration::from_secs(1);
        for error in [
            connect(std::io::ErrorKind::ConnectionRefused),
            connect(std::io::ErrorKind::NetworkUnreachable),
            connect(std::io::ErrorKind::Other),
            TransportError::ConnectTimeout { host: "h".into(), limit },
            TransportError::RevokedHostKey {
                host: "h".into(),
                algorithm: "ssh-rsa".into(),
                fingerprint: String::new(),
                known_hosts: "/k".into(),
                line: 1,
            },
            TransportError::KnownHosts { path: "/k".into(), source: std::io::ErrorKind::PermissionDenied.into() },
            TransportError::Authentication { host: "h".into(), user: "core".into(), tried: "nothing".into() },
            TransportError::KeyFile { path: "/k".into(), reason: "wrong passphrase".into() },
            TransportError::Exec { host: "h".into() },
            TransportError::Silent { host: "h".into(), limit },
            TransportError::Lost { host: "h".into(), source: None },
        ] {
            let shown = shown(error);
            assert!(shown.contains("\nhelp: "), "{shown}");
        }
    }
}
