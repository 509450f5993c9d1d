//! The findings of a plan, each with its place underlined.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use provision_core::plan::problem::{PlanError, Problem};

use super::super::page::{ALARM, PLACE, Page};
use super::super::safe;

/// All findings, one after the other.
pub fn findings(error: &PlanError, width: Option<usize>) -> Page {
    let mut page = Page::new(width);
    let renderer = Renderer::styled().term_width(width.unwrap_or(140));
    for problem in &error.problems {
        let Problem { span, message, help } = problem;
        let source = error.source_of(problem).filter(|source| !source.text.is_empty());
        let (Some(place), Some(source)) = (*span, source) else {
            page.labelled(ALARM, "error", message);
            if let Some(help) = help {
                page.labelled(PLACE, "help", help);
            }
            page.gap();
            continue;
        };
        let (name, message) = (safe::line(&source.name), safe::line(message));
        // Before the places are looked up: what is hostile in it must keep its column.
        let (shown, range) = placed(&source.text, place.start, place.end);
        let mut group = Group::with_title(Level::ERROR.primary_title(message.as_ref()));
        let annotation = AnnotationKind::Primary.span(range);
        group = group.element(Snippet::source(shown.as_str()).path(name.as_ref()).annotation(annotation));
        if let Some(help) = help {
            group = group.element(Level::HELP.message(safe::line(help).into_owned()));
        }
        page.rendered(&renderer.render(&[group])).end().gap();
    }
    page
}

/// The text made safe, and where the place is in it now. A place over several lines, such as a table, is its first.
fn placed(text: &str, start: usize, end: usize) -> (String, std::ops::Range<usize>) {
    let start = floor(text, start.min(text.len()));
    let end = floor(text, end.clamp(start, text.len()));
    let (before, rest) = text.split_at(start);
    let (place, after) = rest.split_at(end - start);
    let first_line = place.lines().next().unwrap_or_default().len();
    let (place, below) = place.split_at(first_line);
    let parts = [before, place, below, after].map(safe::source);
    let [before, place, _, _] = &parts;
    let range = before.len()..before.len() + place.len();
    (parts.concat(), range)
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_stays_where_it_was_when_what_is_before_it_is_made_safe() {
        let text = "a = \"\u{202e}\"\nb = \"\u{9b}x\"\n";
        let at = text.rfind('"').unwrap() - "\u{9b}x".len() - 1;
        let (safe, range) = placed(text, at, at + 5);
        assert_eq!(&safe[range], "\"\u{fffd}x\"");
    }

    #[test]
    fn a_place_over_several_lines_is_its_first() {
        let (safe, range) = placed("a = [\n1,\n2]\n", 4, 11);
        assert_eq!(&safe[range], "[");
    }
}
