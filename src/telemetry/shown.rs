//! Values of fields as text.

use std::fmt;

/// A value that only has a form for debugging, as `tracing` hands over those that have another one, too.
pub(super) struct Shown<'a>(pub(super) &'a dyn fmt::Debug);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
