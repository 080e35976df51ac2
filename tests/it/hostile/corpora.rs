//! Replays what the fuzzers found, in every run of the tests.

use crate::measured::setting;
use std::path::Path;

#[path = "../../../fuzz/fuzz_targets/fields/invariants.rs"]
mod fields;
#[path = "../../../fuzz/fuzz_targets/names/invariants.rs"]
pub(crate) mod names;
#[path = "../../../fuzz/fuzz_targets/privacy/invariants.rs"]
mod privacy;
#[path = "../../../fuzz/fuzz_targets/probing/invariants.rs"]
mod probing;
#[path = "../../../fuzz/fuzz_targets/ranges/invariants.rs"]
mod ranges;
#[path = "../../../fuzz/fuzz_targets/sniffing/invariants.rs"]
mod sniffing;
#[path = "../../../fuzz/fuzz_targets/thumbnails/invariants.rs"]
mod thumbnails;

/// Checks every input as it is, and with random changes: eight times each, or as often as `HAVERSACK_TEST_MUTATIONS`
/// says.
fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs = std::fs::read_dir(corpus).expect("a corpus").map(|entry| entry.unwrap().path());
    let inputs: Vec<Vec<u8>> = inputs.map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!inputs.is_empty(), "the corpus is missing");
    let mutations = setting("HAVERSACK_TEST_MUTATIONS").unwrap_or(8);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for input in &inputs {
        assert_holds(check, input);
        for _ in 0..mutations {
            let other = &inputs[random.below(inputs.len())];
            assert_holds(check, &random.changed(input, other));
        }
    }
}

fn assert_holds(check: fn(&[u8]), input: &[u8]) {
    let checked = std::panic::catch_unwind(|| check(input));
    assert!(checked.is_ok(), "of {}", input.escape_ascii());
}

/// Pseudo-random numbers, the same in every run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// The input with a few bytes changed, removed, duplicated, or taken from another input.
    fn changed(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = at + self.below((bytes.len() - at).min(16) + 1);
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
                3 => bytes[at..end].fill([0, 1, 0x7F, 0x80, 0xFF][self.below(5)]),
                4 => {
                    let from = self.below(other.len() + 1);
                    let to = from + self.below((other.len() - from).min(64) + 1);
                    bytes.splice(at..end, other[from..to].to_vec()).for_each(drop);
                }
                5 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << self.below(8)),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = self.below(256) as u8),
            }
        }
        bytes
    }
}

#[test]
fn fields_hold() {
    replay("fields", fields::check);
}

#[test]
fn names_hold() {
    replay("names", names::check);
}

#[test]
fn privacy_holds() {
    replay("privacy", privacy::check);
}

#[test]
fn probing_holds() {
    replay("probing", probing::check);
}

#[test]
fn ranges_hold() {
    replay("ranges", ranges::check);
}

#[test]
fn sniffing_holds() {
    replay("sniffing", sniffing::check);
}

#[test]
fn thumbnails_hold() {
    replay("thumbnails", thumbnails::check);
}
