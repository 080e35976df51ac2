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
    let _flush = telemetry::start(&config.log, config.log_format).map_err(Failure::Usage)?;
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
    if let Some(crash_at) = &trial.crash_at {
        crate::crash::arm(crash_at).map_err(ConfigError)?;
    }
    let clock = Clock::system();
    clock.skip(trial.clock_ahead);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ConfigError(format!("can't start the async runtime: {error}")))?;
    let jobs_at_once = !trial.clock_ahead.is_zero();
    let result = runtime.block_on(serve(config, &values, clock, jobs_at_once));
    runtime.shutdown_background(); // stopping has a time limit, which running file operations must not exceed
    Ok(result?)
}

/// Serves until a signal asks it to stop. Then it waits until requests in progress have finished, or another signal
/// arrives.
async fn serve(
    config: Config,
    values: &[InForce],
    clock: Clock,
    jobs_at_once: bool,
) -> Result<(), ConfigError> {
    // Signals are caught before anything is opened, so that every later one stops the server in an orderly way.
    let mut signals = Signals::catch().map_err(|error| ConfigError(error.to_string()))?;
    let stop = CancellationToken::new();
    let second_signal = async {
        signals.stop_requested().await;
        tracing::info!("stopping: waiting for requests in progress");
        stop.cancel();
        signals.stop_requested_again().await;
    };
    tokio::select! {
        served = run_server(config, values, clock, jobs_at_once, stop.clone()) => served,
        () = second_signal => {
            tracing::warn!("stopping at once because of a second signal: requests in progress are cut off");
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
    let metrics_listeners = listen_for_metrics(&config).await?;
    let mut config = config;
    config.http.listen = listeners[0].local_addr().map_err(failed)?;
    let app = App::open(config, clock).await?;
    // The socket must exist before the readiness line is printed: programs that wait for the line may use it.
    let ended = CancellationToken::new();
    match control::listen(&app.config.data_dir) {
        Ok(commands) => {
            tokio::spawn(control::run(commands, Arc::clone(&app), ended.clone()));
        }
        // For example, the path may be longer than sockets allow (108 bytes, unix(7)).
        Err(error) => {
            tracing::warn!(%error, "can't listen on control.sock: other haversack commands can't reach this server");
        }
    }
    app.begin_run();
    started::log(&app, &addresses(&listeners), &addresses(&metrics_listeners), values);
    if !metrics_listeners.is_empty() {
        tokio::spawn(crate::serve::metrics::run(
            metrics_listeners,
            Arc::clone(&app),
            ended.clone(),
        ));
    }
    let _stops_commands_and_metrics = ended.drop_guard();
    announce(&app.config)?;
    if jobs_at_once {
        let app = Arc::clone(&app);
        tokio::spawn(async move { app.jobs.run_all().await });
    }
    crate::serve::serve(listeners, Arc::clone(&app), stop.cancelled_owned())
        .await
        .map_err(failed)?;
    app.end_run();
    Ok(())
}

/// Prints the readiness line, which is the only one on standard output. If standard error is a terminal, also prints a
/// link to the page there. The link is not logged, because it contains a token.
///
/// Prints in a separate thread, so that the server starts even if nothing reads its output.
fn announce(config: &Config) -> Result<(), ConfigError> {
    let address = config.http.listen;
    let prints_link = config.page && std::io::stderr().is_terminal();
    let link = prints_link
        .then(|| page_link::link(config, page_link::DEFAULT_USER.into(), None))
        .transpose()?;
    std::thread::spawn(move || {
        let mut out = std::io::stdout().lock();
        let printed = writeln!(out, "listening on http://{address}").and_then(|()| out.flush());
        if let Err(error) = printed {
            tracing::warn!(%error, "can't print the readiness line on standard output");
        }
        if let Some(link) = link {
            let _ = writeln!(std::io::stderr(), "open {link}");
        }
    });
    Ok(())
}
