//! `haversack serve`.

mod listen;
mod signals;

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::listen::{addresses, listen, listen_for_metrics};
use self::signals::Signals;
use super::descriptors;
use super::failure::Failure;
use super::started;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, InForce, Loaded, Source, Trial};
use crate::{control, page_link, telemetry};

pub(super) fn run(source: &Source) -> Result<(), Failure> {
    let Loaded { mut config, values, warnings, notes } = source.load()?;
    let _written_to_the_end =
        telemetry::start(&config.log, config.log_format).map_err(Failure::Usage)?;
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
    let result = runtime.block_on(serve(config, &values, clock, jobs_at_once));
    runtime.shutdown_background(); // the stop has a limit, which file work still under way must not pass
    Ok(result?)
}

/// Serves until a signal asks to stop, and then until requests in progress have finished or another signal comes.
async fn serve(
    config: Config,
    values: &[InForce],
    clock: Clock,
    jobs_at_once: bool,
) -> Result<(), ConfigError> {
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
        served = run_server(config, values, clock, jobs_at_once, stop.clone()) => served,
        () = asked_twice => {
            tracing::warn!("stopping at once: a second signal came; requests in progress are cut off");
            Ok(())
        }
    }
}

/// Serves until `stop`.
async fn run_server(
    config: Config,
    values: &[InForce],
    clock: Clock,
    jobs_at_once: bool,
    stop: CancellationToken,
) -> Result<(), ConfigError> {
    let failed = |error: std::io::Error| ConfigError(error.to_string());
    let listeners = listen(&config).await?;
    let for_metrics = listen_for_metrics(&config).await?;
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
    started::tell(&app, &addresses(&listeners), &addresses(&for_metrics), values);
    if !for_metrics.is_empty() {
        tokio::spawn(crate::serve::metrics::run(for_metrics, Arc::clone(&app), ended.clone()));
    }
    let _stops_commands_and_metrics = ended.drop_guard();
    announce(&app.config)?;
    if jobs_at_once {
        let app = Arc::clone(&app);
        tokio::spawn(async move { app.jobs.run_all().await });
    }
    crate::serve::serve(listeners, app, stop.cancelled_owned()).await.map_err(failed)
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
