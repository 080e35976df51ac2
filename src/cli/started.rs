//! Logs what the server has started with: a few lines at level info, without secrets.

use std::net::SocketAddr;

use crate::app::App;
use crate::config::{InForce, SetBy};
use crate::http::options::without_userinfo;
use crate::space;

/// Logs the version, the addresses, the data directory, where the secret comes from, the page, and which options are
/// set.
pub(super) fn log(app: &App, listen: &[SocketAddr], metrics: &[SocketAddr], values: &[InForce]) {
    let config = &app.config;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, pid = std::process::id(), "haversack has started");
    tracing::info!(addresses = listed(listen), "listening");
    if !metrics.is_empty() {
        tracing::info!(addresses = listed(metrics), path = "/metrics", "metrics can be read");
    }
    let (dir, free) = (config.data_dir.display(), space::free(&config.data_dir).ok());
    let free = free.map(space::in_words);
    tracing::info!(%dir, free, "records and files are kept in the data directory");
    let is_set = |option: &&InForce| option.set_by != SetBy::Default;
    let secret = values.iter().filter(is_set).find(|option| option.option == "jwt_secret");
    let from = match secret {
        Some(option) => option.set_by.to_string(),
        None => format!("file {}, created by the server", config.secret_path().display()),
    };
    tracing::info!(from, "secret for tokens");
    if config.page {
        let url = config.http.public_url.as_ref().map(|url| without_userinfo(url.as_str()));
        let url = url.unwrap_or_else(|| format!("http://{}", config.http.listen));
        tracing::info!(url, "the page is on: `haversack page-link` prints a link that opens it");
    }
    let options: Vec<_> = values.iter().filter(is_set).map(option).collect();
    if options.is_empty() {
        tracing::info!("all options have their defaults");
    } else {
        tracing::info!(options = options.join(", "), "options that were set");
    }
}

fn listed(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(|address| format!("http://{address}")).collect();
    addresses.join(" and ")
}

/// Formats an option, its value unless that is secret, and where it was set.
fn option(option: &InForce) -> String {
    let value = option.value.as_deref().map_or("…".to_owned(), without_userinfo);
    format!("{}={value} ({})", option.option, option.set_by)
}
