//! Results as people read them: pure functions from values to pages.

mod attribute;
pub mod changes;
pub mod error;
mod finding;
pub mod graph;
pub mod kinds;
pub mod report;
pub mod status;

use super::page::{CHANGE, PLAIN, Page};

/// One sentence.
pub fn sentence(text: &str, mut page: Page) -> Page {
    page.line(PLAIN, text);
    page
}

/// Something to know beside the result.
pub fn note(text: &str, mut page: Page) -> Page {
    page.labelled(CHANGE, "note", text);
    page
}

/// Text of several lines.
pub fn lines(text: &str, mut page: Page) -> Page {
    for line in text.lines() {
        page.content(PLAIN, line).end();
    }
    page
}
