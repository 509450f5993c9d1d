//! `line`: a line in a file that others own.

use regex::Regex;

use crate::edit::line::{Place, exactly, like};
use crate::edit::{Edit, Format};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::resource::edit::{CREATE, GROUP, MODE, OWNER, PATH, Piece, STATE, Wish, is_wanted, make};
use crate::resource::{Field, Kind, Resource, Setup};
use crate::secret::Text;

/// The kind.
pub static KIND: Kind = Kind {
    name: "line",
    summary: "A line in a file that others own; the rest of the file stays as it is.",
    fields: &[
        PATH,
        Field {
            name: "line",
            takes: "text",
            required: false,
            doc: "The line. Wherever it stands already, it stays; otherwise it is put in. With `state = \"absent\"` each such line is taken out.",
        },
        Field {
            name: "match",
            takes: "text",
            required: false,
            doc: "A regular expression (the syntax of Rust's `regex`): the one line that has it becomes `line`, which must have it itself. More than one such line is an error. With `state = \"absent\"`, without `line`, each line that has it is taken out.",
        },
        Field {
            name: "insert_after",
            takes: "text",
            required: false,
            doc: "A regular expression: a new line goes behind the last line that has it; without it to the end. No such line is an error.",
        },
        Field {
            name: "insert_before",
            takes: "text",
            required: false,
            doc: "The same: a new line goes before the first line that has it.",
        },
        STATE,
        CREATE,
        MODE,
        OWNER,
        GROUP,
    ],
    example: r#"
[line.root_login]
path = "/etc/ssh/sshd_config"
match = '^#?PermitRootLogin\s'
line = "PermitRootLogin prohibit-password"
create = true
"#,
    templates: &[],
    assets: &[],
    read,
};

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path: Option<AbsPath> = fields.required("path");
    let text = fields.text("line");
    let pattern = pattern(fields, "match");
    let place = match (self::pattern(fields, "insert_after"), self::pattern(fields, "insert_before")) {
        (Some(_), Some(_)) => {
            fields.problem(
                "insert_before",
                "a line cannot go both behind one and before another",
                "write one of the two",
            );
            return None;
        }
        (Some(after), None) => Place::After(after),
        (None, Some(before)) => Place::Before(before),
        (None, None) => Place::End,
    };
    let wanted = is_wanted(fields);
    let secret = text.as_ref().is_some_and(Text::is_secret);
    let make = make(fields, secret);
    if fields.has("match") && pattern.is_none() {
        return None;
    }
    if let Some(line) = &text
        && line.expose().chars().any(|c| matches!(c, '\n' | '\r' | '\0'))
    {
        fields.problem("line", "a line has no end of a line in it", "make a resource for each line");
        return None;
    }
    if let (Some(line), Some(pattern)) = (&text, &pattern)
        && !pattern.is_match(line.expose())
    {
        let message =
            "the line does not have its own `match`: the next apply would not find it, and put it in once more";
        fields.problem("match", message, "change one of the two so that the pattern finds the line, too");
        return None;
    }
    let (slot, wish) = match (wanted?, text, pattern) {
        (true, Some(line), Some(pattern)) => (like(pattern.as_str()), Wish::Line(line, place)),
        (_, Some(line), None) if line.is_secret() => {
            let help = "write a `match` that finds it without saying it";
            fields.problem("line", "a secret line is only known by itself, and would be noted on the host", help);
            return None;
        }
        (true, Some(line), None) => (exactly(line.expose()), Wish::Line(line, place)),
        (false, Some(line), None) => (exactly(line.expose()), Wish::Absent),
        (false, None, Some(pattern)) => (like(pattern.as_str()), Wish::Absent),
        (true, None, _) => {
            fields.must_have("line");
            return None;
        }
        (false, ..) => {
            let message = format!("{} has not one of `line` and `match`", fields.label());
            fields.problem("", message, "what is absent is either a line as it is or whatever a pattern finds");
            return None;
        }
    };
    let edit = Edit { path: path?, format: Format::Line, slot };
    Some(Box::new(Piece { edit, wish, attribute: "line", secret, make }))
}

fn pattern(fields: &Fields<'_>, name: &'static str) -> Option<Regex> {
    let text: String = fields.optional(name)?;
    match Regex::new(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            fields.problem(
                name,
                format!("`{name}` is no regular expression: {why}"),
                "the syntax is that of docs.rs/regex; write it in single quotes",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    const PORT: &str = "path = '/etc/f'\nmatch = '^#?Port '\nline = 'Port 22'";

    #[test]
    fn a_line_is_put_in_where_it_belongs() {
        case("line", "path = '/etc/f'\nline = 'b'\ninsert_after = '^a'")
            .given_file("/etc/f", "a\nc\n", "0640")
            .creates("line: (absent) -> b")
            .steps("edit the line \"b\" in /etc/f")
            .in_sync()
            .mended();
    }

    #[test]
    fn what_a_pattern_finds_is_replaced() {
        case("line", PORT)
            .given_file("/etc/f", "#Port 2222\nx\n", "0644")
            .updates("line: #Port 2222 -> Port 22")
            .mended();
    }

    #[test]
    fn a_file_is_made_only_where_that_is_said() {
        case("line", PORT).undecided("/etc/f does not exist on the host, and only a piece of it is in the plan");
        // What a package brings is known once it is there.
        case("line", &format!("{PORT}\nafter = ['package.f']")).plan("[package.f]\n").undecided(
            "/etc/f is not on the host yet: what comes before it may bring it, and what is in it then nobody knows",
        );
        case("line", &format!("{PORT}\nafter = ['package.f']"))
            .plan("[package.f]\n")
            .given_file("/etc/f", "Port 22\n", "0644")
            .mended();
    }

    #[test]
    fn a_file_that_is_made_has_its_mode_and_owner() {
        case("line", &format!("{PORT}\ncreate = true\nmode = '0600'\nowner = 'core'"))
            .creates("line: (absent) -> Port 22, mode: (absent) -> 0600, owner: (absent) -> core")
            .mended();
    }

    #[test]
    fn lines_are_taken_out() {
        case("line", "path = '/etc/f'\nmatch = '^a'\nstate = 'absent'")
            .given_file("/etc/f", "a\nb\nab\n", "0644")
            .updates("line: a\nab -> (absent)")
            .mended();
        case("line", "path = '/etc/f'\nline = 'a'\nstate = 'absent'").in_sync();
    }

    #[test]
    fn a_pattern_that_finds_several_lines_is_no_answer() {
        case("line", PORT)
            .given_file("/etc/f", "Port 1\nPort 2\n", "0644")
            .undecided("/etc/f cannot be edited: the pattern finds 2 lines (1, 2) and may find one");
    }

    #[test]
    fn what_stands_there_must_be_a_file_of_text() {
        case("line", PORT)
            .given_link("/etc/f", "../run/f")
            .undecided("/etc/f is a link to ../run/f on the host, and a link is not edited");
        case("line", PORT)
            .given(|state| state.put_file("/etc/f", b"\xff", "0644"))
            .undecided("/etc/f is no text in UTF-8, and cannot be edited");
        case("line", PORT)
            .given_file("/etc/f", &"x\n".repeat(200_000), "0644")
            .undecided("/etc/f has 400000 bytes, and only files of up to 262144 bytes are edited");
    }

    #[test]
    fn a_secret_is_shown_to_nobody_and_goes_into_no_public_file() {
        let line = "path = '/etc/f'\nmatch = '^pw='\nline = 'pw={{ input.password }}'";
        case("line", line)
            .secret_input("password", "hunter22")
            .given_file("/etc/f", "pw=old\n", "0600")
            .updates("line: (secret) -> (secret)")
            .mended();
        case("line", line)
            .secret_input("password", "hunter22")
            .given_file("/etc/f", "pw=old\n", "0644")
            .undecided("a secret is to go into /etc/f, which everybody may read");
    }

    #[test]
    fn what_was_in_a_file_that_is_not_public_is_not_shown() {
        case("line", PORT).given_file("/etc/f", "Port 1\n", "0600").updates("line: (secret) -> Port 22").mended();
    }

    #[test]
    fn fields_that_do_not_go_together_are_refused() {
        case("line", "path = '/f'\nmatch = '^b'\nline = 'a'").refused(
            "4:9: the line does not have its own `match`: the next apply would not find it, and put it in once more \
             (change one of the two so that the pattern finds the line, too)",
        );
        case("line", "path = '/f'\nline = \"a\\nb\"")
            .refused("4:8: a line has no end of a line in it (make a resource for each line)");
        case("line", "path = '/f'\nstate = 'absent'").refused(
            "2:7: line.x has not one of `line` and `match` (what is absent is either a line as it is or whatever a pattern finds)",
        );
        case("line", "path = '/f'\nline = 'a'\nmode = '0600'").refused(
            "5:8: `mode` is that of a file that is made, and none is (write `create = true` beside it, or leave it out)",
        );
        case("line", "path = '/f'\nline = 'a'\nmatch = '('").refused(
            "5:9: `match` is no regular expression: unclosed group (the syntax is that of docs.rs/regex; write it in single quotes)",
        );
    }
}
