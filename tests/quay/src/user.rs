//! What Quay takes for a name and for a password.

/// VALID_USERNAME_REGEX of Quay's `util/validation.py`, as its message has it.
const EXPRESSION: &str = "^([a-z0-9]+(?:[._-][a-z0-9]+)*)$";

/// Both lines: 2 to 255 of a-z and 0-9, with single `.`, `_` or `-` between. The error is Quay's sentence.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !name.split(['.', '_', '-']).all(plain) {
        return Err(format!("Invalid namespace {name}: Namespace must match expression {EXPRESSION}"));
    }
    if !(2..=255).contains(&name.len()) {
        return Err(format!("Invalid namespace {name}: Namespace must be between 2 and 255 characters in length"));
    }
    Ok(())
}

/// Of the 2.x line.
pub fn check_password(password: &str) -> Result<(), String> {
    if password.chars().any(char::is_whitespace) || password.chars().count() < 8 {
        return Err("Invalid password, password must be at least 8 characters and contain no whitespace.".to_owned());
    }
    Ok(())
}

/// Of the 3.x line; 72 bytes are what bcrypt looks at.
pub fn check_init_password(password: &str) -> Result<(), String> {
    if password.is_empty() {
        return Err("the initial password must not be empty".to_owned());
    }
    if password.len() > 72 {
        return Err("the initial password must not exceed 72 bytes".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_quay_takes() {
        for name in ["init", "a1", "a.b", "a_b-c", "0x", &"a".repeat(255)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "a", "Init", "a..b", ".a", "a-", "a b", "ä1", "a/b", &"a".repeat(256)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn passwords_are_those_that_each_line_takes() {
        for (password, two, three) in [
            ("12345678", true, true),
            ("1234567", false, true),
            ("1234 5678", false, true),
            ("", false, false),
            ("'\"$(a)`\\", true, true),
            (&*"x".repeat(72), true, true),
            (&*"x".repeat(73), true, false),
        ] {
            assert_eq!(check_password(password).is_ok(), two, "{password}");
            assert_eq!(check_init_password(password).is_ok(), three, "{password}");
        }
    }
}
