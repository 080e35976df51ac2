//! Where the database is, and how long it may take: the settings of a [`PostgresStore`](super::PostgresStore).

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::config::SslMode;

/// How long a step is repeated, and a connection waited for, by default.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that the database may take for one statement, by default.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections, by default.
const CONNECTIONS: usize = 16;

/// A database's URL as it was given, without what it says of TLS.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: tokio_postgres::Config,
    verified: bool,
    ca_file: Option<PathBuf>,
}

/// Why a URL is no database's. No message repeats the URL, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It isn't one, or names a parameter that there is none of.
    #[error(
        "this is no URL of a PostgreSQL database, such as postgres://haversack@db.example.org/haversack"
    )]
    Malformed,
    /// It names no host or no database.
    #[error(
        "the URL must name a host and a database, as in postgres://haversack@db.example.org/haversack"
    )]
    Incomplete,
    /// TLS without a look at the certificate protects from nobody in between.
    #[error("sslmode is verify-full, with a file of certificates, or disable")]
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
                // Managed databases' URLs often say `require`, which verifies nothing elsewhere: more is asked here.
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
        config.ssl_mode(if verified { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, verified, ca_file })
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl DatabaseUrl {
    /// The file of certificates that the URL names.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.ca_file.clone()
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(…)") // it may hold a password
    }
}

/// The settings of a store.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where the database is.
    pub url: DatabaseUrl,
    /// The user's password, unless the URL tells it.
    pub password: Option<String>,
    /// Certificates (PEM) of who may sign the server's, with `sslmode=verify-full`.
    pub ca_file: Option<PathBuf>,
    /// Connections at most.
    pub connections: usize,
    /// How long a step is repeated while the database can't be reached, and a free connection is waited for.
    pub patience: Duration,
    /// The longest that the database may take for one statement.
    pub statement_timeout: Duration,
    /// Who holds the leases that this store takes: those of the same name have ended when it is opened.
    pub node: String,
}

impl PostgresOptions {
    /// Those that nobody set.
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            password: None,
            ca_file: None,
            connections: CONNECTIONS,
            patience: PATIENCE,
            statement_timeout: STATEMENT_TIMEOUT,
            node: String::new(),
        }
    }

    /// Whether the server must prove by its certificate who it is.
    pub(super) fn is_verified(&self) -> bool {
        self.url.verified
    }

    /// What each connection is made with.
    pub(super) fn connection(&self, read_only: bool) -> tokio_postgres::Config {
        let mut config = self.url.config.clone();
        if let Some(password) = &self.password {
            config.password(password);
        }
        let timeout = self.statement_timeout.as_millis();
        let settings = format!(
            "-c statement_timeout={timeout} -c lock_timeout={timeout} -c idle_in_transaction_session_timeout={timeout} \
             -c default_transaction_isolation=read\\ committed"
        );
        let settings =
            if read_only { settings + " -c default_transaction_read_only=on" } else { settings };
        let settings = match config.get_options() {
            Some(given) => format!("{settings} {given}"),
            None => settings,
        };
        config
            .options(settings)
            .application_name("haversack")
            .connect_timeout(self.patience.min(Duration::from_secs(5)))
            .tcp_user_timeout(self.statement_timeout);
        config
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions").field("url", &self.url).finish_non_exhaustive() // neither the password
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_mode_of_tls_is_one_in_plain_text() {
        let url: DatabaseUrl =
            "postgres://anna:secret@db.example.org:6432/haversack".parse().unwrap();
        assert!(!url.verified);
        assert_eq!(url.config.get_ports(), [6432]);
        assert_eq!(format!("{url:?}"), "DatabaseUrl(…)");
    }

    #[test]
    fn tls_is_verified_or_there_is_none() {
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
    fn what_is_no_url_of_a_database_is_refused() {
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
