//! What a host runs by itself when it has not heard from us again after a change that may have cut it off.

/// The script, which stands in the directory of the apply that it takes back.
pub(crate) fn script() -> String {
    String::new()
}
