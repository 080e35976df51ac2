//! What clients see, once more over a store that doesn't write in place, and with records in PostgreSQL: the same tests,
//! in a process of their own.

use std::process::Command;

use crate::stores::{DATABASE, STORE};

/// The tests.
const TESTS: &[&str] = &["protocol::", "model::every_answer_to_any_sequence"];

/// Tests of two servers that use the same stores.
const OF_TWO_SERVERS: &[&str] =
    &["properties::two", "properties::interleaved", "properties::appended"];

/// Of these, what a disk alone can be: too full.
const OF_THE_DISK: &str = "a_disk_that_is_to_stay_as_free_as_it_is_takes_nothing_more";

#[test]
fn clients_see_no_difference_where_parts_are_blobs_of_their_own() {
    run(&[(STORE, "memory")], &["--skip", OF_THE_DISK]);
}

#[test]
fn clients_see_no_difference_where_records_are_in_postgresql() {
    run(&[(DATABASE, "postgres")], OF_TWO_SERVERS);
}

/// Runs the tests with these variables.
fn run(variables: &[(&str, &str)], arguments: &[&str]) {
    let mut tests = Command::new(std::env::current_exe().expect("this program"));
    tests.envs(variables.iter().copied()).args(TESTS).args(arguments);
    let ran = tests.output().expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    let passed = said.split_once("test result: ok. ").and_then(|(_, rest)| rest.split_once(' '));
    let passed: usize = passed.and_then(|(count, _)| count.parse().ok()).expect("a count");
    assert!(passed > 200, "only {passed} tests ran");
}
