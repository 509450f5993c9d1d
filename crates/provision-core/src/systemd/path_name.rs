//! How systemd makes the name of a unit of a path: systemd.unit(5), "String Escaping for Inclusion in Unit Names".

use std::fmt::Write;

use crate::path::AbsPath;

/// The path as the part of a unit's name before its type: `/srv/my data` is `srv-my\x20data`.
#[must_use]
pub fn path_name(path: &AbsPath) -> String {
    let path = path.as_str().trim_matches('/');
    if path.is_empty() {
        return "-".to_owned();
    }
    let mut name = String::with_capacity(path.len());
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at == 0 => name.push_str("\\x2e"),
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b':' | b'_' | b'.' => name.push(char::from(byte)),
            other => {
                let _infallible = write!(name, "\\x{other:02x}");
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_as_systemd_escape_does() {
        for (path, name) in [
            ("/", "-"),
            ("/srv", "srv"),
            ("/srv/my data", r"srv-my\x20data"),
            ("/srv/a-b", r"srv-a\x2db"),
            ("/.hidden/.x", r"\x2ehidden-.x"),
            ("/\u{fc}", r"\xc3\xbc"),
        ] {
            assert_eq!(path_name(&path.parse().unwrap()), name);
        }
    }
}
