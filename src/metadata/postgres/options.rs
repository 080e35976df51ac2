//! The address of the database and its timeouts: the settings of a [`PostgresStore`](super::PostgresStore).

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::config::{SslMode, TargetSessionAttrs};

/// Default of [`PostgresOptions::retry_timeout`].
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Default of [`PostgresOptions::statement_timeout`].
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a host may take to accept a connection, unless the URL says it: short enough to try the next host in time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Default of [`PostgresOptions::connections`].
const CONNECTIONS: usize = 16;

/// The URL of a database, without its parameters on TLS.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: tokio_postgres::Config,
    verified: bool,
    ca_file: Option<PathBuf>,
}

/// Why a URL is not valid. No message repeats the URL, which may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It isn't a URL of a PostgreSQL database, or has an unknown parameter.
    #[error(
        "this is not the URL of a PostgreSQL database, such as postgres://haversack@db.example.org/haversack"
    )]
    Malformed,
    /// It has no host or no database.
    #[error(
        "the URL must name a host and a database, as in postgres://haversack@db.example.org/haversack"
    )]
    Incomplete,
    /// TLS without verified certificates protects against nobody on the network path.
    #[error("sslmode must be verify-full, with a file of CA certificates, or disable")]
    SslMode,
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(UrlError::Malformed);
        }
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut kept, mut verified, mut ca_file) = (Vec::new(), false, None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                // URLs of managed databases often say `require`, which verifies nothing in other clients. Here it
                // verifies.
                Some(("sslmode", "verify-full" | "require")) => verified = true,
                Some(("sslmode", "disable")) => verified = false,
                Some(("sslmode", _)) => return Err(UrlError::SslMode),
                Some(("sslrootcert", file)) => ca_file = Some(PathBuf::from(decoded(file))),
                _ => kept.push(parameter),
            }
        }
        let url = if kept.is_empty() {
            address.to_owned()
        } else {
            format!("{address}?{}", kept.join("&"))
        };
        let mut config = tokio_postgres::Config::from_str(&url).map_err(|_| UrlError::Malformed)?;
        if config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return Err(UrlError::Incomplete);
        }
        // Of several hosts, all but one are standbys, and which one isn't changes with each fail-over.
        if config.get_hosts().len() > 1 && !query.contains("target_session_attrs=") {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config.ssl_mode(if verified { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, verified, ca_file })
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl DatabaseUrl {
    /// Returns the file of CA certificates that the URL names.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.ca_file.clone()
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(…)") // it may contain a password
    }
}

/// The settings of a store.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The address of the database.
    pub url: DatabaseUrl,
    /// The user's password, unless the URL contains it.
    pub password: Option<String>,
    /// File with the CA certificates (PEM) for `sslmode=verify-full`.
    pub ca_file: Option<PathBuf>,
    /// Maximum number of connections.
    pub connections: usize,
    /// How long a step is retried while the database can't be reached, and how long it waits for a free connection.
    pub retry_timeout: Duration,
    /// The longest time for one statement.
    pub statement_timeout: Duration,
    /// The name under which this store holds leases. Opening the store ends earlier leases of this name.
    pub node: String,
}

impl PostgresOptions {
    /// Returns the default settings.
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            password: None,
            ca_file: None,
            connections: CONNECTIONS,
            retry_timeout: RETRY_TIMEOUT,
            statement_timeout: STATEMENT_TIMEOUT,
            node: String::new(),
        }
    }

    /// Whether the database server must prove its identity with a certificate.
    pub(super) fn is_verified(&self) -> bool {
        self.url.verified
    }

    /// Returns the configuration of a connection.
    pub(super) fn connection(&self) -> tokio_postgres::Config {
        let mut config = self.url.config.clone();
        if let Some(password) = &self.password {
            config.password(password);
        }
        let timeout = self.statement_timeout.as_millis();
        let settings = format!(
            "-c statement_timeout={timeout} -c lock_timeout={timeout} -c idle_in_transaction_session_timeout={timeout} \
             -c default_transaction_isolation=read\\ committed"
        );
        let settings = match config.get_options() {
            Some(given) => format!("{settings} {given}"),
            None => settings,
        };
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(self.retry_timeout.min(CONNECT_TIMEOUT));
        }
        config
            .options(settings)
            .application_name("haversack")
            .tcp_user_timeout(self.statement_timeout);
        config
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions").field("url", &self.url).finish_non_exhaustive() // the password is secret, too
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_sslmode_the_connection_is_unencrypted() {
        let url: DatabaseUrl =
            "postgres://anna:secret@db.example.org:6432/haversack".parse().unwrap();
        assert!(!url.verified);
        assert_eq!(url.config.get_ports(), [6432]);
        assert_eq!(format!("{url:?}"), "DatabaseUrl(…)");
    }

    #[test]
    fn of_several_hosts_the_one_that_accepts_changes_is_used() {
        let attributes =
            |url: &str| DatabaseUrl::from_str(url).unwrap().config.get_target_session_attrs();
        assert_eq!(attributes("postgres://a:1,b:2/haversack"), TargetSessionAttrs::ReadWrite);
        let any = "postgres://a:1,b:2/haversack?target_session_attrs=any";
        assert_eq!(attributes(any), TargetSessionAttrs::Any);
        assert_eq!(attributes("postgres://a/haversack"), TargetSessionAttrs::Any);
    }

    #[test]
    fn the_url_can_set_the_connect_timeout() {
        let timeout = |query: &str| {
            let url = DatabaseUrl::from_str(&format!("postgres://a/haversack{query}")).unwrap();
            PostgresOptions::new(url).connection().get_connect_timeout().copied()
        };
        assert_eq!(timeout(""), Some(CONNECT_TIMEOUT));
        assert_eq!(timeout("?connect_timeout=1"), Some(Duration::from_secs(1)));
    }

    #[test]
    fn sslmode_is_verified_or_disabled() {
        let parse = |mode| {
            DatabaseUrl::from_str(&format!(
                "postgres://db/haversack?sslmode={mode}&connect_timeout=3"
            ))
        };
        assert!(parse("verify-full").unwrap().verified && parse("require").unwrap().verified);
        assert!(!parse("disable").unwrap().verified);
        for mode in ["prefer", "allow", "verify-ca", ""] {
            assert_eq!(parse(mode).unwrap_err(), UrlError::SslMode, "{mode}");
        }
    }

    #[test]
    fn invalid_urls_are_refused() {
        for url in
            ["", "haversack.db", "mysql://db/haversack", "postgres://db/haversack?nonsense=1"]
        {
            assert_eq!(DatabaseUrl::from_str(url).unwrap_err(), UrlError::Malformed, "{url}");
        }
        for url in ["postgres://db", "postgres:///haversack"] {
            assert_eq!(DatabaseUrl::from_str(url).unwrap_err(), UrlError::Incomplete, "{url}");
        }
    }
}
