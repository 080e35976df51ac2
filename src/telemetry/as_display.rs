//! Field values as text.

use std::fmt;

/// Displays a value with its `Debug` implementation. For values recorded with `Display`, `tracing` passes a wrapper
/// whose `Debug` output is the displayed text; that of a `str` is the text in quotes, with control characters escaped.
pub(super) struct AsDisplay<'a>(pub(super) &'a dyn fmt::Debug);

impl fmt::Display for AsDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
