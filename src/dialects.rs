//! Upload protocols, one module each. A dialect parses its requests into calls of [`crate::uploads`], and turns results
//! and refusals into its replies.

pub mod form;
