//! Upload protocols, one module each. A dialect turns requests into calls of [`crate::uploads`], and results and
//! refusals into replies.

pub mod form;
pub mod tus;
