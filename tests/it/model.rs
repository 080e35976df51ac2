//! Random sequences of requests compared with an executable model of the protocol: valid, invalid, repeated, out of
//! order, concurrent, cut off, and with lost replies, across expiry, restarts and crashes.
//!
//! `world` and `placing` are the model: what is on record after each request, and every reply that `docs/protocol.md`
//! and `docs/tus.md` allow. If the protocol leaves a choice, or it is unknown whether a request took effect, there are several worlds:
//! concurrent requests are explained in every order, and a request whose reply was lost both as processed and as not
//! processed. All worlds that explain the replies so far are kept, and later replies rule some out. If no world is
//! left, the server diverges: the test fails with the shortest sequence that shows it.
//!
//! `HAVERSACK_TEST_SEQUENCES` sets the number of sequences, `HAVERSACK_TEST_SEED` repeats a trial.

#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::similar_names)] // test data is small, and a test uses the names of its subject

mod case;
mod placing;
mod request;
mod server;
mod trial;
mod tus;
mod wire;
mod world;

use std::cell::RefCell;
use std::path::Path;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use case::{Case, case};
use server::Server;
use trial::{Figures, Trial};

const SEQUENCES: u64 = 300;

/// Number of sequences on one server. Then its records and bytes are compared, and the next server starts empty.
const PER_SERVER: usize = 100;

/// Number of parallel trials, each with its own server.
const WORKERS: u64 = 2;

/// A deliberate fault, to check that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Model(Mistake),
    /// One bit of every stored file changes while the server is stopped.
    FlipsBytes,
}

/// A rule of the model that differs from the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    TakesOtherBytes,
    ForgetsTombstones,
    RenamesFiles,
    AppendsAnywhere,
}

/// Runs sequences until one can't be explained. Returns that one, after at most `shrinks` attempts to shorten it.
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

/// A server for some sequences, and what has been counted so far.
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

/// Changes a bit in every stored file.
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
    for mistake in [
        Mistake::TakesOtherBytes,
        Mistake::ForgetsTombstones,
        Mistake::RenamesFiles,
        Mistake::AppendsAnywhere,
    ] {
        let ran = run(SEQUENCES, 1, Some(Fault::Model(mistake)), 0);
        assert!(ran.is_err(), "{mistake:?}");
    }
}

#[test]
fn a_store_that_changes_bytes_is_noticed() {
    let ran = run(SEQUENCES, 1, Some(Fault::FlipsBytes), 0);
    assert!(ran.is_err());
}
