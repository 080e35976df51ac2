//! The one integration binary: the server over real sockets.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod harness;

/// The wire contract, one file a section.
mod protocol {
    mod chunks;
    mod done;
    mod endpoints;
    mod fields;
    mod files;
    mod forms;
    mod placement;
    mod placement_errors;
}
