//! `haversack serve`.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::descriptors;
use super::failure::Failure;
use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Loaded, Source, Trial};
use crate::http::server::Listen;
use crate::{control, page_link, telemetry};

pub(super) fn run(source: &Source) -> Result<(), Failure> {
    let Loaded { mut config, warnings, notes, .. } = source.load()?;
    let _written_to_the_end = telemetry::start(&config.log).map_err(Failure::Usage)?;
    descriptors::raise(config.max_connections);
    let affordable = descriptors::affordable(config.max_connections).map_err(Failure::Failed)?;
    config.max_connections = affordable.connections;
    for warning in affordable.warning.iter().chain(&warnings) {
        tracing::warn!("{warning}");
    }
    for note in notes {
        tracing::info!("{note}");
    }
    let trial = Trial::load()?;
    #[cfg(debug_assertions)]
    if let Some(order) = &trial.crash_at {
        crate::crash::arm(order).map_err(ConfigError)?;
    }
    let clock = Clock::system();
    clock.skip(trial.clock_ahead);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ConfigError(format!("can't start: {error}")))?;
    let jobs_at_once = !trial.clock_ahead.is_zero();
    let result = runtime.block_on(serve(config, clock, jobs_at_once));
    runtime.shutdown_background(); // the stop has a limit, which file work still under way must not pass
    Ok(result?)
}

/// Signals that stop the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// Catches them: from now on, none of them kills the process.
    fn catch() -> std::io::Result<Self> {
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup.transpose()?,
        })
    }

    /// Completes when somebody asks the server to stop, or its terminal is gone.
    async fn stop(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hung_up => {}
        }
    }

    /// Completes when somebody asks again. A terminal that goes away sends SIGHUP more than once, which means nothing
    /// more.
    async fn stop_at_once(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
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

/// Serves until a signal asks to stop, and then until requests in progress have finished or another signal comes.
async fn serve(config: Config, clock: Clock, jobs_at_once: bool) -> Result<(), ConfigError> {
    // Before anything is opened: from here on, a signal stops the server in an orderly way.
    let mut signals = Signals::catch().map_err(|error| ConfigError(error.to_string()))?;
    let stop = CancellationToken::new();
    let asked_twice = async {
        signals.stop().await;
        tracing::info!("stopping: waiting for requests in progress");
        stop.cancel();
        signals.stop_at_once().await;
    };
    tokio::select! {
        served = run_server(config, clock, jobs_at_once, stop.clone()) => served,
        () = asked_twice => {
            tracing::warn!("stopping at once: a second signal came; requests in progress are cut off");
            Ok(())
        }
    }
}

/// Serves until `stop`.
async fn run_server(
    config: Config,
    clock: Clock,
    jobs_at_once: bool,
    stop: CancellationToken,
) -> Result<(), ConfigError> {
    let failed = |error: std::io::Error| ConfigError(error.to_string());
    let listeners = listen(&config).await?;
    let mut config = config;
    config.http.listen = listeners[0].local_addr().map_err(failed)?;
    let app = App::open(config, clock).await?;
    // Before the readiness line: whoever waits for it finds the socket.
    let ended = CancellationToken::new();
    match control::listen(&app.config.data_dir) {
        Ok(commands) => {
            tokio::spawn(control::run(commands, Arc::clone(&app), ended.clone()));
        }
        // As where the folder's path is longer than a socket's may be (108 bytes).
        Err(error) => {
            tracing::warn!(%error, "can't listen on control.sock: other haversack commands can't reach this server");
        }
    }
    let _stops_commands = ended.drop_guard();
    announce(&app.config)?;
    if jobs_at_once {
        let app = Arc::clone(&app);
        tokio::spawn(async move { app.jobs.run_all().await });
    }
    crate::serve::serve(listeners, app, stop.cancelled_owned()).await.map_err(failed)
}

/// Listens on every address of the setting. Returns at least one listener.
async fn listen(config: &Config) -> Result<Vec<TcpListener>, ConfigError> {
    let (at, setting) = (&config.listen, config.listen.clone());
    let bound = tokio::task::spawn_blocking(move || setting.bind()) // names may take their time
        .await
        .map_err(|error| ConfigError(error.to_string()))?;
    let bound = match bound {
        Ok(bound) => bound,
        Err(error) => {
            // Say so if it is another haversack with the same data that has the port.
            app::refuse_if_in_use(&config.data_dir)?;
            return Err(ConfigError(error.to_string()));
        }
    };
    let listeners = bound.into_iter().map(TcpListener::from_std).collect::<Result<Vec<_>, _>>();
    let listeners = listeners.map_err(|error| ConfigError(error.to_string()))?;
    if !matches!(at, Listen::At(_)) {
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
        let addresses: Vec<_> = addresses.map(|address| address.to_string()).collect();
        tracing::info!("listening on {}", addresses.join(" and "));
    }
    if let Listen::Loopback(port) = at {
        tracing::info!(
            "only this machine can connect, because a port alone means the loopback addresses; \
             use --listen 0.0.0.0:{port} or [::]:{port} to listen on all addresses"
        );
    }
    Ok(listeners)
}

/// Prints the readiness line, the only one on standard output, and for a person at a terminal a link to the page. The
/// link is not logged, because it contains a token.
///
/// In a thread of its own, so that the server goes on if nobody reads its output.
fn announce(config: &Config) -> Result<(), ConfigError> {
    let address = config.http.listen;
    let to_person = config.page && std::io::stderr().is_terminal();
    let link = to_person
        .then(|| page_link::link(config, page_link::DEFAULT_USER.into(), None))
        .transpose()?;
    std::thread::spawn(move || {
        let mut out = std::io::stdout().lock();
        let announced = writeln!(out, "listening on http://{address}").and_then(|()| out.flush());
        if let Err(error) = announced {
            tracing::warn!(%error, "can't print the readiness line on standard output");
        }
        if let Some(link) = link {
            let _ = writeln!(std::io::stderr(), "open {link}");
        }
    });
    Ok(())
}
