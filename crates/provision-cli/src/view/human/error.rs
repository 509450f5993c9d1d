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
