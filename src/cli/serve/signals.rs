//! Signals that stop the server, and the one that changes the log level.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::telemetry;

/// Signals that stop the server, and the one that changes the log level.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
    log_level: Signal,
}

impl Signals {
    /// Starts to catch the signals. From now on, none of them kills the process.
    pub(super) fn catch() -> std::io::Result<Self> {
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup.transpose()?,
            log_level: signal(SignalKind::user_defined1())?,
        })
    }

    /// Completes when a signal asks the server to stop, or its terminal is closed. Until then, SIGUSR1 toggles the log
    /// level.
    pub(super) async fn stop_requested(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let mut hung_up = std::pin::pin!(hung_up);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = &mut hung_up => return,
                _ = self.log_level.recv() => toggle_level(),
            }
        }
    }

    /// Completes when another signal asks the server to stop. SIGHUP doesn't count, because a terminal that is closed
    /// sends it more than once. SIGUSR1 still toggles the log level.
    pub(super) async fn stop_requested_again(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.log_level.recv() => toggle_level(),
            }
        }
    }
}

/// Whether this process was started to survive the end of its terminal, as nohup(1) does: SIGHUP is in the mask of
/// ignored signals (`SigIgn` of `proc_pid_status(5)`).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0) // signal 1
}

/// Switches between `debug` and the log level that the server started with.
fn toggle_level() {
    if let Err(error) = telemetry::toggle_level() {
        tracing::warn!(error, "SIGUSR1: can't change the log level");
    }
}
