//! Connections to the database: a bounded pool, TLS, and what their errors mean.

use std::error::Error as _;
use std::io;
use std::path::Path;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options::PostgresOptions;
use crate::metadata::Error;

/// Makes the pool; connects nowhere yet. On its connections nothing can be changed if it is to be so.
pub(super) fn make(options: &PostgresOptions, read_only: bool) -> Result<Pool, Error> {
    let config = options.connection(read_only);
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match (options.is_verified(), &options.ca_file) {
        (true, Some(file)) => {
            Manager::from_config(config, MakeRustlsConnect::new(verifying(file)?), recycling)
        }
        (true, None) => {
            return Err(failed("sslmode=verify-full needs a file of certificates to verify with"));
        }
        (false, Some(_)) => {
            return Err(failed("a file of certificates needs sslmode=verify-full in the URL"));
        }
        (false, None) => Manager::from_config(config, NoTls, recycling),
    };
    let bound = Some(options.patience);
    Pool::builder(manager)
        .max_size(options.connections)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: bound, create: bound, recycle: bound })
        .build()
        .map_err(failed)
}

/// TLS that takes only a certificate for the server's name which one of these has signed.
fn verifying(ca_file: &Path) -> Result<ClientConfig, Error> {
    let of_file = |error: &dyn std::fmt::Display| failed(format!("{}: {error}", ca_file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| of_file(&error))? {
        roots
            .add(certificate.map_err(|error| of_file(&error))?)
            .map_err(|error| of_file(&error))?;
    }
    if roots.is_empty() {
        return Err(of_file(&"there is no certificate in it"));
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

pub(super) fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Failed(error.into())
}

/// What an error says of the chance that the same works a moment later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Another transaction was in the way: at once, on the same connection.
    Contended,
    /// The connection is of no use any more, or there is none to be had.
    Unreachable,
    /// The database's disk is full.
    Full,
    /// It will fail again.
    Permanent,
}

/// Tells errors apart (PostgreSQL documentation, appendix A).
pub(super) fn kind(error: &tokio_postgres::Error) -> Kind {
    let Some(state) = error.code() else {
        let is_of_network = error.is_closed()
            || error.source().is_some_and(|source| source.downcast_ref::<io::Error>().is_some())
            || error.to_string().contains("error connecting")
            || error.to_string().contains("timeout");
        return if is_of_network { Kind::Unreachable } else { Kind::Permanent };
    };
    match *state {
        SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::LOCK_NOT_AVAILABLE => Kind::Contended,
        SqlState::DISK_FULL => Kind::Full,
        // Of a server that stops, starts, is promoted or hangs, and of one that has no connection left.
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::QUERY_CANCELED
        | SqlState::READ_ONLY_SQL_TRANSACTION
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        | SqlState::TOO_MANY_CONNECTIONS
        | SqlState::OUT_OF_MEMORY => Kind::Unreachable,
        _ if state.code().starts_with("08") => Kind::Unreachable,
        _ => Kind::Permanent,
    }
}

/// Whether a row was refused because another one is in its place.
pub(super) fn is_taken(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::UNIQUE_VIOLATION | &SqlState::EXCLUSION_VIOLATION))
}
