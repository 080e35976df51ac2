//! `haversack serve`.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::page_link;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Source, Trial, unknown_variables};
use crate::{control, server, sweep, telemetry};

pub(super) fn run(source: Source) -> Result<(), ConfigError> {
    let mut config = source.load()?;
    telemetry::start(&config.log).map_err(ConfigError)?;
    config.max_connections = affordable(config.max_connections);
    for name in unknown_variables(&super::Cli::variables()) {
        tracing::warn!("{name} is set, but no option of haversack has that name");
    }
    for name in &config.dropped {
        tracing::warn!(
            "--{name} has no effect any more: requests are limited by how many go on at once"
        );
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
    let sweeps_at_once = !trial.clock_ahead.is_zero();
    let result = runtime.block_on(serve(config, clock, sweeps_at_once));
    runtime.shutdown_background(); // the stop has a limit, which file work still under way must not pass
    result
}

/// As many connections as the system's limit on open files allows, after raising it as far as it goes: one
/// descriptor for each connection, one for the file it reads or writes.
fn affordable(wanted: usize) -> usize {
    const RESERVE: u64 = 128 + server::MAX_PARKED as u64; // databases, logs, listening socket, readers
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let Some(files) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let affordable = usize::try_from(files.saturating_sub(RESERVE) / 2).unwrap_or(wanted).max(1);
    if affordable < wanted {
        tracing::warn!(
            "the limit of {files} open files allows {affordable} connections, not {wanted}"
        );
    }
    wanted.min(affordable)
}

async fn serve(config: Config, clock: Clock, sweeps_at_once: bool) -> Result<(), ConfigError> {
    let failed = |error: std::io::Error| ConfigError(error.to_string());
    // Before anything is opened: a signal from here on stops the server in order.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| ConfigError(format!("can't listen on {}: {error}", config.listen)))?;
    let address = listener.local_addr().map_err(failed)?;
    let mut config = config;
    config.listen = address;
    let app = App::open(config, clock).await?;
    // Before anybody is told that the server is there: what looks for it finds the socket.
    let stop = CancellationToken::new();
    match control::listen(&app.config.data_dir) {
        Ok(commands) => {
            tokio::spawn(control::run(commands, Arc::clone(&app), stop.clone()));
        }
        // As where the folder's path is longer than a socket's may be (108 bytes).
        Err(error) => {
            tracing::warn!(%error, "control.sock: commands beside the server can't reach it");
        }
    }
    let _stops_commands = stop.drop_guard();
    announce(&format!("listening on http://{address}")).map_err(failed)?;
    if app.config.page && std::io::stderr().is_terminal() {
        show_link(&app.config)?;
    }
    if sweeps_at_once {
        let app = Arc::clone(&app);
        tokio::spawn(async move { sweep::once(&app).await });
    }
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests in flight may finish");
    };
    server::serve(listener, app, shutdown).await.map_err(failed)
}

/// The only line on standard output: whoever started the server waits for it.
fn announce(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A link to the page for the person at the terminal. It is no log: it holds a token, and never goes into a
/// file.
fn show_link(config: &Config) -> Result<(), ConfigError> {
    let link = page_link::link(config, page_link::DEFAULT_USER)?;
    writeln!(std::io::stderr(), "open {link}").map_err(|error| ConfigError(error.to_string()))
}
