//! Random sequences of requests against an executable model of the protocol: right, wrong, repeated, out of
//! order, at once, cut off, unheard, over expiry, restarts and crashes.
//!
//! `world` and `placing` are the model: what is on record after each request, and every answer that
//! `docs/protocol.md` allows. Where it leaves freedom, or nobody knows what became of a request, there are
//! several worlds: requests sent at once are explained in every order, one whose answer was lost both as
//! taken and as not taken. All worlds that explain the answers so far are kept; later answers tell them
//! apart. No world left is a divergence: the test fails with the shortest sequence that shows it.
//!
//! `HAVERSACK_TEST_SEQUENCES` sets the number of sequences, `HAVERSACK_TEST_SEED` repeats a trial.

#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::similar_names)] // test data is small, and a test has the names of its subject

mod case;
mod placing;
mod request;
mod server;
mod trial;
mod wire;
mod world;

use std::cell::RefCell;
use std::path::Path;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use case::{Case, case};
use server::Server;
use trial::{Figures, Trial};

const SEQUENCES: u64 = 300;

/// Sequences on one server; then its records and bytes are compared, and the next one starts empty.
const PER_SERVER: usize = 100;

/// Trials side by side, each with a server of its own.
const WORKERS: u64 = 2;

/// What is wrong on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Model(Mistake),
    /// One bit of every stored file changes while the server is stopped.
    FlipsBytes,
}

/// A rule of the model that isn't the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    TakesOtherBytes,
    ForgetsTombstones,
    RenamesFiles,
}

/// Runs sequences until one can't be explained; gives that one, shortened at most so often.
fn run(sequences: u64, seed: u64, fault: Option<Fault>, shrinks: u32) -> Result<Figures, String> {
    let config = Config {
        cases: u32::try_from(sequences).expect("not that many"),
        max_shrink_iters: shrinks,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let bench = RefCell::new(Bench { server: Server::start(), figures: Figures::default() });
    let ran = TestRunner::new_with_rng(config, rng)
        .run(&case(), |case| bench.borrow_mut().run(&case, fault).map_err(TestCaseError::fail));
    match ran {
        Ok(()) => Ok(bench.into_inner().figures),
        Err(TestError::Fail(why, _)) => Err(why.to_string()), // the log says more than the case
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// A server for some sequences, and what was seen so far.
struct Bench {
    server: Server,
    figures: Figures,
}

impl Bench {
    fn run(&mut self, case: &Case, fault: Option<Fault>) -> Result<(), String> {
        if !self.server.is_running() {
            self.server = Server::start();
        }
        let first_user = 1 + 2 * self.figures.sequences as i64;
        Trial::new(&mut self.server, case, first_user, fault, &mut self.figures).run()?;
        if self.figures.sequences.is_multiple_of(PER_SERVER) {
            let findings = self.server.findings();
            assert!(findings.is_empty(), "{findings:?}");
            self.server = Server::start();
        }
        Ok(())
    }
}

/// Changes a bit of every stored file.
fn flip_bytes(blobs: &Path) {
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    for blob in entries(blobs).flat_map(|shard| entries(&shard.path()).collect::<Vec<_>>()) {
        let mut bytes = std::fs::read(blob.path()).expect("read");
        if let Some(byte) = bytes.last_mut() {
            *byte ^= 1;
            std::fs::write(blob.path(), bytes).expect("written");
        }
    }
}

#[test]
fn every_answer_to_any_sequence_of_requests_is_one_that_the_protocol_allows() {
    let sequences = crate::measured::setting("HAVERSACK_TEST_SEQUENCES").unwrap_or(SEQUENCES);
    let seed = crate::faults::seed();
    let run = |worker| run(sequences.div_ceil(WORKERS), seed + worker, None, 400);
    let ran: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || run(worker))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    for figures in ran {
        let figures = figures.unwrap_or_else(|why| panic!("{why}"));
        crate::measured::figures(format_args!("{figures:?}"));
    }
}

#[test]
fn a_model_that_is_wrong_is_noticed() {
    for mistake in [Mistake::TakesOtherBytes, Mistake::ForgetsTombstones, Mistake::RenamesFiles] {
        let ran = run(SEQUENCES, 1, Some(Fault::Model(mistake)), 0);
        assert!(ran.is_err(), "{mistake:?}");
    }
}

#[test]
fn a_store_that_changes_bytes_is_noticed() {
    let ran = run(SEQUENCES, 1, Some(Fault::FlipsBytes), 0);
    assert!(ran.is_err());
}
