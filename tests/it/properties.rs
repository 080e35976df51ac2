//! Properties of the real interface: whatever way an honest client cuts, orders, repeats, describes and
//! sends its file, it is the same file, or a precise refusal that says what helps.
//!
//! `PROPTEST_CASES` sets the number of cases. The server runs in this process, on a port of its own.

#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::similar_names)] // test data is small, and a test has the names of its subject

mod appended;
mod chunks;
mod interleaved;
mod lies;
mod plan;
mod races;
mod server;
mod singles;
mod sweeps;
mod two;

pub(crate) use plan::{Cut, Plan, RangeTotal, explicit, md5_of, plan};
use proptest::test_runner::Config;

const CASES: u32 = 64;

fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok();
    Config {
        cases: cases.and_then(|text| text.parse().ok()).unwrap_or(CASES),
        max_shrink_iters: 300,
        failure_persistence: None, // the failing case is printed; nothing is left in the source tree
        ..Config::default()
    }
}
