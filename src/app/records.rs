//! Opens the records in the data directory, or in a PostgreSQL database.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::directory::{FULL, NODE, data_dir_error, is_full, refuse_if_unused};
use crate::config::{Config, ConfigError};
use crate::ids::BlobId;
use crate::metadata::MetadataStore;
use crate::metadata::postgres::{PostgresOptions, PostgresStore};
use crate::metadata::sqlite::SqliteStore;
use crate::metrics::DatabaseMetrics;
use crate::storage::disk::make_private_file;

/// Opens the records, which are created on first use. Also returns the metrics of their database. The caller holds the
/// data directory's lock.
pub(super) async fn open(
    config: &Config,
) -> Result<(Arc<dyn MetadataStore>, DatabaseMetrics), ConfigError> {
    let dir = &config.data_dir;
    let Some(options) = &config.database else {
        let opened = SqliteStore::open_with(dir, config.disk.durability);
        let full = if is_full(dir) { FULL } else { "" };
        let store = opened.map_err(|error| data_dir_error(dir, &format_args!("{error}{full}")))?;
        let metrics = store.metrics().clone();
        return Ok((Arc::new(store), metrics));
    };
    refuse_if_directory_has_records(dir)?;
    let node = node(dir).map_err(|error| data_dir_error(dir, &error))?;
    let options = PostgresOptions { node, ..options.clone() };
    let store = PostgresStore::open(options, config.disk.durability)
        .await
        .map_err(|error| database_error(&error))?;
    let metrics = store.metrics().clone();
    Ok((Arc::new(store), metrics))
}

/// Opens the records for reading, also while a server is running. Steps that change something return an error. Returns
/// an error if no server has used the records yet.
pub async fn open_read_only(config: &Config) -> Result<Arc<dyn MetadataStore>, ConfigError> {
    let dir = &config.data_dir;
    if let Some(options) = &config.database {
        let opened = PostgresStore::open_read_only(options.clone()).await;
        return Ok(Arc::new(opened.map_err(|error| database_error(&error))?));
    }
    refuse_if_unused(dir)?;
    let opened = SqliteStore::open_read_only(dir);
    Ok(Arc::new(opened.map_err(|error| data_dir_error(dir, &error))?))
}

/// Returns an error if the data directory contains records, which an empty database would hide.
fn refuse_if_directory_has_records(dir: &Path) -> Result<(), ConfigError> {
    match dir.join("haversack.db").try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(data_dir_error(
            dir,
            &"it contains records (haversack.db), which --database-url would ignore: move them with `haversack \
              migrate`, leave that option out, or use an empty directory",
        )),
        Err(error) => Err(data_dir_error(dir, &error)),
    }
}

/// Returns the name under which this data directory's server holds leases. Creates it on first use.
fn node(dir: &Path) -> std::io::Result<String> {
    let path = dir.join(NODE);
    match std::fs::read_to_string(&path) {
        Ok(known) if !known.trim().is_empty() => return Ok(known.trim().to_owned()),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let fresh = BlobId::random().to_string();
    make_private_file(&path, &fresh)?;
    Ok(fresh)
}

fn database_error(error: &crate::metadata::Error) -> ConfigError {
    ConfigError(format!("--database-url: {}", crate::telemetry::chain(error)))
}
