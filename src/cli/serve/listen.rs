//! Opens the listeners for clients and for metrics.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::app;
use crate::config::{Config, ConfigError};
use crate::http::server::Listen;

/// Listens on every address of `--listen`. Returns at least one listener.
pub(super) async fn listen(config: &Config) -> Result<Vec<TcpListener>, ConfigError> {
    let (at, setting) = (&config.listen, config.listen.clone());
    let bound = tokio::task::spawn_blocking(move || setting.bind()) // resolving names can take a while
        .await
        .map_err(|error| ConfigError(error.to_string()))?;
    let bound = match bound {
        Ok(bound) => bound,
        Err(error) => {
            // If another haversack process with the same data has the port, that explains more.
            app::refuse_if_in_use(&config.data_dir)?;
            return Err(ConfigError(error.to_string()));
        }
    };
    let listeners = bound.into_iter().map(TcpListener::from_std).collect::<Result<Vec<_>, _>>();
    let listeners = listeners.map_err(|error| ConfigError(error.to_string()))?;
    if let Listen::Loopback(port) = at {
        tracing::info!(
            "only this machine can connect, because a port alone means the loopback addresses; \
             use --listen 0.0.0.0:{port} or [::]:{port} to listen on all addresses"
        );
    }
    Ok(listeners)
}

/// Listens on every address of `--metrics-listen`, if it is set.
pub(super) async fn listen_for_metrics(config: &Config) -> Result<Vec<TcpListener>, ConfigError> {
    let Some(setting) = config.metrics_listen.clone() else { return Ok(Vec::new()) };
    let named = |error: &dyn std::fmt::Display| ConfigError(format!("--metrics-listen: {error}"));
    let bound = tokio::task::spawn_blocking(move || setting.bind()).await;
    let bound = bound.map_err(|error| named(&error))?.map_err(|error| named(&error))?;
    let listeners = bound.into_iter().map(TcpListener::from_std).collect::<Result<Vec<_>, _>>();
    listeners.map_err(|error| named(&error))
}

/// Returns the addresses of these listeners.
pub(super) fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}
