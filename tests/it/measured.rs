//! Time limits that don't depend on what else runs on the machine. They are measured in rounds, each with a control.
//! Other load only ever slows things down, so a limit is broken only if every round breaks it. The control, which does
//! the same without what is being tested, shows how much slower the machine is.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// A limit is broken if none of this many rounds keeps it.
const ROUNDS: usize = 5;

/// A number from the environment, with which `ci/trials` changes the size of a trial.
pub(crate) fn setting<N: FromStr>(name: &str) -> Option<N> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// Prints measurements where `ci/trials` finds them.
pub(crate) fn figures(what: impl Display) {
    eprintln!("figures: {what}");
}

/// A limit that is measured in rounds.
pub(crate) struct Limit {
    what: &'static str,
    rounds: Vec<String>,
}

impl Limit {
    pub(crate) fn of(what: &'static str) -> Self {
        Self { what, rounds: Vec::new() }
    }

    /// Takes how long a round took, and how long it was allowed to take according to its control. Returns whether the
    /// limit was kept. Fails in the last round if it never was.
    pub(crate) fn is_kept(&mut self, took: Duration, limit: Duration) -> bool {
        let round = format!("{took:.0?} of {limit:.0?}");
        figures(format_args!("{}: {round}", self.what));
        self.rounds.push(round);
        let kept = took <= limit;
        assert!(kept || self.rounds.len() < ROUNDS, "{}: {}", self.what, self.rounds.join("; "));
        kept
    }
}

#[test]
fn a_limit_that_one_round_keeps_is_kept() {
    let mut limit = Limit::of("a second");
    let second = Duration::from_secs(1);
    assert!((1..ROUNDS).all(|_| !limit.is_kept(2 * second, second)));
    assert!(limit.is_kept(second, second));
}

#[test]
#[should_panic = "a second: 2s of 1s; 2s of 1s"]
fn a_limit_that_no_round_keeps_is_broken() {
    let mut limit = Limit::of("a second");
    for _ in 0..ROUNDS {
        limit.is_kept(Duration::from_secs(2), Duration::from_secs(1));
    }
}
