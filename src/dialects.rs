//! The protocols in which clients upload: one room each. A dialect parses its requests into what
//! [`crate::uploads`] does, and words what comes of it.

pub mod form;
