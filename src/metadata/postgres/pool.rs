//! Connections to the database: a bounded pool, TLS, and the meaning of their errors.

use std::error::Error as _;
use std::io;
use std::path::Path;

use deadpool_postgres::{
    Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options::PostgresOptions;
use crate::metadata::Error;

/// Creates the pool, which doesn't connect yet.
pub(super) fn make(options: &PostgresOptions) -> Result<Pool, Error> {
    let config = options.connection();
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match (options.is_verified(), &options.ca_file) {
        (true, Some(file)) => {
            Manager::from_config(config, MakeRustlsConnect::new(verified_tls(file)?), recycling)
        }
        (true, None) => {
            return Err(failed("sslmode=verify-full requires a file of CA certificates"));
        }
        (false, Some(_)) => {
            return Err(failed(
                "a file of CA certificates requires sslmode=verify-full in the URL",
            ));
        }
        (false, None) => Manager::from_config(config, NoTls, recycling),
    };
    let bound = Some(options.retry_timeout);
    Pool::builder(manager)
        .max_size(options.connections)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: bound, create: bound, recycle: bound })
        .build()
        .map_err(failed)
}

/// Returns a TLS configuration that accepts only certificates for the server's name signed by one of these CAs.
fn verified_tls(ca_file: &Path) -> Result<ClientConfig, Error> {
    let with_path =
        |error: &dyn std::fmt::Display| failed(format!("{}: {error}", ca_file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| with_path(&error))? {
        roots
            .add(certificate.map_err(|error| with_path(&error))?)
            .map_err(|error| with_path(&error))?;
    }
    if roots.is_empty() {
        return Err(with_path(&"the file contains no certificate"));
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

/// Explains why there is no connection, without the pool's own words around the cause.
pub(super) fn unavailable(error: PoolError) -> Error {
    Error::Unavailable(match error {
        PoolError::Backend(error) => Box::new(error),
        error => Box::new(error),
    })
}

/// Whether the same step may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A concurrent transaction caused the failure. Retrying at once may succeed, on the same connection.
    Contended,
    /// The connection is lost, or there is none.
    Unreachable,
    /// The database's disk is full.
    Full,
    /// Retrying would fail again.
    Permanent,
}

/// Classifies an error (PostgreSQL documentation, appendix A).
pub(super) fn kind(error: &tokio_postgres::Error) -> Kind {
    let Some(state) = error.code() else {
        // A certificate that is not the right one is an error of input and output as well, but will not become right.
        let is_io = |error: &io::Error| error.kind() != io::ErrorKind::InvalidData;
        let is_of_network = error.is_closed()
            || error.source().and_then(|source| source.downcast_ref()).is_some_and(is_io)
            || error.to_string().contains("error connecting")
            || error.to_string().contains("timeout");
        return if is_of_network { Kind::Unreachable } else { Kind::Permanent };
    };
    match *state {
        SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::LOCK_NOT_AVAILABLE => Kind::Contended,
        SqlState::DISK_FULL => Kind::Full,
        // The server stops, starts, is promoted, hangs, or has no connection left.
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

/// Whether a row was refused because it conflicts with an existing one.
pub(super) fn is_constraint_violation(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::UNIQUE_VIOLATION | &SqlState::EXCLUSION_VIOLATION))
}
