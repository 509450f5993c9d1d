//! For how long: lifetimes and windows as plans write them, in whole days.

use std::fmt;
use std::str::FromStr;

use time::Duration;

use crate::attribute::Span;
use crate::plan::fields::Fields;
use crate::x509::Lifetime;

/// Days in a [`Span`].
const DAY: u64 = 86_400;

/// A whole number of days, written as a [`Span`].
struct Days(u32);

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.parse::<Span>()?.duration().as_secs();
        let days = u32::try_from(seconds / DAY).ok().filter(|_| seconds % DAY == 0);
        days.map(Self).ok_or_else(|| "certificates are counted in whole days, such as \"397d\"".to_owned())
    }
}

/// Reads `lifetime` and `renew_before`; `window` is when to renew unless told otherwise.
pub(crate) fn lifetime(
    fields: &Fields<'_>,
    usual: Lifetime,
    window: fn(Lifetime) -> Duration,
) -> Option<(Lifetime, Duration)> {
    let asked: Option<Days> = fields.optional("lifetime");
    let before: Option<Days> = fields.optional("renew_before");
    let refuse = |name: &str, error: &dyn fmt::Display| {
        fields.problem(name, format!("`{name}` of {} does not fit", fields.label()), error.to_string());
    };
    let lifetime = match asked.map(|Days(days)| Lifetime::from_days(days)) {
        None => usual,
        Some(Ok(lifetime)) => lifetime,
        Some(Err(error)) => {
            refuse("lifetime", &error);
            return None;
        }
    };
    match before.map(|Days(days)| lifetime.window_of_days(days)) {
        None => Some((lifetime, window(lifetime))),
        Some(Ok(window)) => Some((lifetime, window)),
        Some(Err(error)) => {
            refuse("renew_before", &error);
            None
        }
    }
}

/// Reads `renew_before` by itself, where the lifetime is not for the plan to say; none inside without it, none outside when
/// there is a finding.
pub(crate) fn window(fields: &Fields<'_>) -> Option<Option<Duration>> {
    let before: Option<Days> = fields.optional("renew_before");
    if !fields.has("renew_before") {
        return Some(None);
    }
    before.map(|Days(days)| Some(Duration::days(i64::from(days))))
}
