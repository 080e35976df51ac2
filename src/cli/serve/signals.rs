//! Signals: which stop the server, and which changes the log level.

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
    /// Catches them: from now on, none of them kills the process.
    pub(super) fn catch() -> std::io::Result<Self> {
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup.transpose()?,
            log_level: signal(SignalKind::user_defined1())?,
        })
    }

    /// Completes when somebody asks the server to stop, or its terminal is gone. Meanwhile SIGUSR1 switches the log
    /// level.
    pub(super) async fn stop(&mut self) {
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
                _ = self.log_level.recv() => switch_level(),
            }
        }
    }

    /// Completes when somebody asks again. A terminal that goes away sends SIGHUP more than once, which means nothing
    /// more.
    pub(super) async fn stop_at_once(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.log_level.recv() => switch_level(),
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

/// Switches between the log level of the start and `debug`.
fn switch_level() {
    if let Err(error) = telemetry::toggle_level() {
        tracing::warn!(error, "SIGUSR1: can't change the log level");
    }
}
