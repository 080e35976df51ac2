//! Feeds arbitrary bodies in arbitrary frames to the multipart parser; what is
//! checked is in `multipart/invariants.rs`.
#![no_main]

use haversack::http::multipart::{
    Boundary, Event, Limits, MAX_BOUNDARY_BYTES, ParseError, Parser, PartHead,
};

#[path = "multipart/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::check(input));
