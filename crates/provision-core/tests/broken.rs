//! Broken plans as data: each with every finding that it must have, at its place, to the letter.
//!
//! The cases are in `broken/*.txt`. A case begins with its title, `### what is wrong`, and is the text of a plan in
//! which marks stand below the lines that findings are about:
//!
//! ```text
//! ### a mode has octal digits
//! [directory.d]
//! path = "/d"
//! mode = "0999"
//!        ^ "0999" does not fit `mode` of directory.d
//!          help: a mode is three or four octal digits in quotes, such as "0644"
//! ```
//!
//! `name = "p"` is put before it where nothing above its first header begins with `name`; see [`Case`] for what else may stand below the
//! title. `BROKEN=overwrite cargo test -p provision-core --test broken` writes the marks anew: write a case without any,
//! run that, and read what came of it as somebody would who made the mistake. Each finding says what to do; one mistake
//! has one finding.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at its first surprise")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use camino::Utf8PathBuf;
use provision_core::plan::Plan;
use provision_core::plan::asset::Assets;
use provision_core::plan::input::{Inputs, Origin};
use provision_core::plan::problem::{Source, position};

/// What a plan that is put before a case consists of.
const HEAD: &str = "name = \"p\"\n";

/// Stands for the end of a text, for a finding behind its last line.
const END: &str = "(end)";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Line and column in the case, both from 1; none for what is not about the text.
    place: Option<(usize, usize)>,
    message: String,
    help: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place, message, help } = self;
        match place {
            Some((line, column)) => write!(f, "{line}:{column}")?,
            None => f.write_str("nowhere")?,
        }
        write!(f, ": {message} (help: {help})")
    }
}

/// One plan and what is to be found. Lines below the title that begin with `@` are about the text as a whole:
///
/// - `@whole`: nothing is put before it
/// - `@var NAME = VALUE`, `@environment NAME = VALUE`: a value for an input
/// - `@file NAME = "TEXT"`: a file beside the plan, as a TOML string; `@bytes NAME = fffe`: the same in hex
/// - `@crlf`: lines end as on Windows; `@bom`: it begins with a byte order mark
/// - `@nul`: each `␀` in it stands for the character NUL, which no file here may have
#[derive(Debug, Default)]
struct Case {
    title: String,
    directives: Vec<String>,
    lines: Vec<String>,
    findings: Vec<Finding>,
}

#[derive(Debug, Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Assets for Files {
    fn locate(&self, name: &str) -> Result<Utf8PathBuf, String> {
        Err(format!("cannot read {name}: no such file"))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        self.0.get(name).cloned().ok_or_else(|| format!("cannot read {name}: no such file"))
    }

    fn blob(&self, name: &str) -> Result<provision_core::blob::Blob, String> {
        self.read(name).map(provision_core::blob::Blob::from_bytes)
    }

    fn image_archive(
        &self,
        name: &str,
        _member: Option<&str>,
    ) -> Result<(provision_core::image_archive::ImageArchive, provision_core::blob::Blob), String> {
        let bytes = self.read(name)?;
        let archive = provision_core::image_archive::ImageArchive::read(bytes.as_slice())
            .map_err(|error| format!("cannot read {name}: {error}"))?;
        Ok((archive, provision_core::blob::Blob::from_bytes(bytes)))
    }
}

/// The text of a mark: what stands behind `^`, and the column of that.
fn mark(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start_matches(' ').strip_prefix("^ ")?;
    Some((line.chars().take_while(|c| *c == ' ').count() + 1, text))
}

impl Case {
    fn parse(text: &str) -> Vec<Self> {
        let mut cases: Vec<Self> = Vec::new();
        let mut at_end = false;
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("### ") {
                cases.push(Self { title: title.to_owned(), ..Self::default() });
                at_end = false;
                continue;
            }
            let Some(case) = cases.last_mut() else { continue };
            if line.starts_with('@') && case.lines.is_empty() {
                case.directives.push(line.to_owned());
            } else if line == END {
                at_end = true;
            } else if let Some((column, message)) = mark(line) {
                let place = Some((case.lines.len() + usize::from(at_end), column));
                case.findings.push(Finding { place, message: message.to_owned(), help: String::new() });
            } else if let Some(message) = line.strip_prefix("! ") {
                case.findings.push(Finding { place: None, message: message.to_owned(), help: String::new() });
            } else if let (Some(finding), Some(help)) =
                (case.findings.last_mut(), line.trim_start().strip_prefix("help: "))
            {
                help.clone_into(&mut finding.help);
            } else {
                case.lines.push(line.to_owned());
            }
        }
        for case in &mut cases {
            while case.lines.last().is_some_and(String::is_empty) {
                case.lines.pop();
            }
        }
        cases
    }

    /// As it stands in its file, with the given findings.
    fn text(&self, findings: &[Finding]) -> String {
        let mut text = format!("### {}\n", self.title);
        for directive in &self.directives {
            writeln!(text, "{directive}").unwrap();
        }
        for finding in findings.iter().filter(|finding| finding.place.is_none()) {
            writeln!(text, "! {}\n  help: {}", finding.message, finding.help).unwrap();
        }
        let lines = self.lines.iter().map(String::as_str).chain([END]);
        for (number, line) in lines.enumerate().map(|(index, line)| (index + 1, line)) {
            let here = |finding: &&Finding| match finding.place {
                Some((at, _)) if number > self.lines.len() => at >= number,
                Some((at, _)) => at == number,
                None => false,
            };
            let here: Vec<&Finding> = findings.iter().filter(here).collect();
            if number > self.lines.len() && here.is_empty() {
                continue;
            }
            writeln!(text, "{line}").unwrap();
            for Finding { place, message, help } in here {
                let indent = " ".repeat(place.unwrap_or_default().1 - 1);
                writeln!(text, "{indent}^ {message}\n{indent}  help: {help}").unwrap();
            }
        }
        text
    }

    fn is(&self, directive: &str) -> bool {
        self.directives.iter().any(|line| line == directive)
    }

    /// What is found, and what is wrong with that.
    fn run(&self) -> Result<Vec<Finding>, String> {
        let top = self.lines.iter().take_while(|line| !line.starts_with('['));
        let whole = self.is("@whole") || top.into_iter().any(|line| line.starts_with("name"));
        let mut text = if whole { String::new() } else { HEAD.to_owned() };
        for line in &self.lines {
            writeln!(text, "{line}").unwrap();
        }
        if self.is("@crlf") {
            text = text.replace('\n', "\r\n");
        }
        if self.is("@bom") {
            text.insert(0, '\u{feff}');
        }
        if self.is("@nul") {
            text = text.replace('␀', "\0");
        }
        let (mut inputs, mut files) = (Inputs::new("/work".into()), Files::default());
        for directive in &self.directives {
            let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
            let pair = || rest.split_once(" = ").ok_or_else(|| format!("{directive:?} is not `{word} NAME = VALUE`"));
            match word {
                "@whole" | "@crlf" | "@bom" | "@nul" => {}
                "@var" => inputs.set(pair()?.0, pair()?.1, Origin::Argument),
                "@environment" => inputs.set(pair()?.0, pair()?.1, Origin::Environment),
                "@file" => {
                    let table: toml::Table =
                        toml::from_str(&format!("text = {}", pair()?.1)).map_err(|e| e.to_string())?;
                    let text = table["text"].as_str().ok_or("a string")?;
                    files.0.insert(pair()?.0.to_owned(), text.as_bytes().to_vec());
                }
                "@bytes" => {
                    let digits = pair()?.1;
                    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|e| e.to_string());
                    let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Result<_, _>>()?;
                    files.0.insert(pair()?.0.to_owned(), bytes);
                }
                _ => return Err(format!("there is no directive {word}")),
            }
        }
        let source = Source { name: "p".to_owned(), text: text.clone() };
        let Err(error) = Plan::parse(source, Arc::new(files), &inputs) else {
            return Err("nothing is found".to_owned());
        };
        let above = if whole { 0 } else { 1 };
        let mut findings = Vec::new();
        for problem in error.problems {
            let place = match problem.span.map(|span| position(&text, span.start)) {
                Some((line, _)) if line <= above => {
                    return Err(format!("{:?} is about the line put before it: write `@whole`", problem.message));
                }
                place => place.map(|(line, column)| (line - above, column)),
            };
            let help = problem.help.ok_or_else(|| format!("{:?} does not say what to do", problem.message))?;
            if problem.message.contains('\n') || help.contains('\n') {
                return Err(format!("{:?} or its help has several lines", problem.message));
            }
            findings.push(Finding { place, message: problem.message, help });
        }
        Ok(findings)
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What differs, as lines.
fn mismatch(file: &str, case: &Case) -> Option<(String, Vec<Finding>)> {
    let mut report = format!("{file}: {}\n", case.title);
    let found = match case.run() {
        Ok(found) if found == case.findings => return None,
        Ok(found) => found,
        Err(reason) => {
            writeln!(report, "  {reason}").unwrap();
            return Some((report, case.findings.clone()));
        }
    };
    for expected in case.findings.iter().filter(|finding| !found.contains(finding)) {
        writeln!(report, "  expected {expected}").unwrap();
    }
    for surplus in found.iter().filter(|finding| !case.findings.contains(finding)) {
        writeln!(report, "  found    {surplus}").unwrap();
    }
    Some((report, found))
}

#[test]
fn every_broken_plan_has_its_findings_and_no_others() {
    #[expect(clippy::disallowed_methods, reason = "how the marks are written anew")]
    let overwrite = std::env::var_os("BROKEN").is_some_and(|value| value == "overwrite");
    let mut reports = String::new();
    let (mut count, mut wrong) = (0, 0);
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let cases = Case::parse(&text);
        let mut anew = text.split("### ").next().unwrap_or_default().to_owned();
        for case in &cases {
            count += 1;
            let findings = match mismatch(&name, case) {
                None => case.findings.clone(),
                Some((report, found)) => {
                    wrong += 1;
                    reports.push_str(&report);
                    found
                }
            };
            anew.push_str(&case.text(&findings));
            anew.push('\n');
        }
        if overwrite {
            std::fs::write(&path, anew.trim_end().to_owned() + "\n").unwrap();
        }
    }
    assert!(wrong == 0, "{wrong} of {count} broken plans:\n{reports}");
    assert!(count >= 200, "only {count} broken plans are left");
}
