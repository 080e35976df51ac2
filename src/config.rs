//! Settings: the only reader of flags, environment variables and the configuration file.
//!
//! `settings` is the table of all options, `options` gives it to clap, `source` decides which value applies, and
//! `reference` generates the documents.

mod error;
mod file;
mod given;
mod options;
pub mod reference;
mod settings;
mod source;
mod trial;
mod units;
mod values;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

pub use error::{ConfigError, SettingsError};
pub use given::SetBy;
pub(crate) use options::{options, suggestion};
pub use settings::Settings;
pub use source::{InForce, Loaded, Source};
pub use trial::Trial;
pub use units::{ByteSize, Span};
pub use values::{Dropped, OrNone, Secret, Switch};

use crate::admission::AdmissionLimits;
use crate::http::body::{BodyLimits, FORM_BYTES};
use crate::http::cors::{AllowedOrigin, Cors};
use crate::http::options::Options;
use crate::http::pace::Pace;
use crate::http::server::{ConnectionTimes, Listen};
use crate::metadata::postgres::{DatabaseUrl, PostgresOptions};
use crate::metadata::quota::Quota;
use crate::storage::disk::{DiskOptions, Gid};
use crate::telemetry::LogFormat;
use crate::uploads::Limits;
use values::without_none;

/// The minimum rate of a body applies after this time.
const BODY_GRACE: Duration = Duration::from_secs(20);

/// The effective settings, as the parts of the server take them.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // see `Settings`
pub struct Config {
    pub listen: Listen,
    pub metrics_listen: Option<Listen>,
    pub data_dir: PathBuf,
    /// Where records are, if not in the data directory.
    pub database: Option<PostgresOptions>,
    pub jwt_secret: Option<Secret>,
    pub http: Options,
    pub disk: DiskOptions,
    pub cors: Cors,
    pub page: bool,
    pub unattached_ttl: Option<Duration>,
    pub limits: Limits,
    pub connection: ConnectionTimes,
    pub max_connections: usize,
    pub admission: AdmissionLimits,
    pub shutdown_timeout: Duration,
    pub log: String,
    pub log_format: LogFormat,
}

impl Config {
    /// Turns settings into what each part of the server takes. An error names settings that don't go together.
    pub fn new(settings: Settings) -> Result<Self, ConfigError> {
        let limits = limits(&settings);
        let body = body(&settings);
        let database = database(&settings)?;
        let connection = ConnectionTimes {
            head: settings.header_timeout.0,
            idle: settings.idle_timeout.0,
            send: settings.send_timeout.0,
        };
        let trusted_proxies = without_none(settings.trusted_proxies);
        if settings.accel_redirect.0.is_some() && trusted_proxies.is_empty() {
            let message = "--accel-redirect needs --trusted-proxies: only a trusted proxy is told where files are";
            return Err(ConfigError(message.into()));
        }
        let page = match settings.page {
            Switch::On => true,
            Switch::Off => false,
            // Behind a proxy on the same machine, every client comes from a loopback address.
            Switch::Auto => settings.listen.is_loopback() && trusted_proxies.is_empty(),
        };
        let admission = AdmissionLimits {
            per_user: settings.max_requests_per_user,
            per_address: settings.max_connections_per_address,
            uncounted: uncounted(&trusted_proxies),
        };
        Ok(Self {
            http: Options {
                listen: settings.listen.first(),
                public_url: settings.public_url.0,
                trusted_proxies,
                accel_redirect: settings.accel_redirect.0,
                body,
                access_log: settings.access_log,
            },
            listen: settings.listen,
            metrics_listen: settings.metrics_listen.0,
            disk: DiskOptions {
                group: settings.data_group.0.as_deref().map(group).transpose()?,
                durability: settings.durability,
                min_free: settings.min_free_space.0,
            },
            data_dir: settings.data_dir,
            database,
            jwt_secret: settings.jwt_secret,
            cors: Cors {
                origins: AllowedOrigin::listed(settings.cors_origins),
                headers: without_none(settings.cors_headers),
            },
            page,
            unattached_ttl: settings.unattached_ttl.0.map(|span| span.0),
            limits,
            connection,
            max_connections: settings.max_connections,
            admission,
            shutdown_timeout: settings.shutdown_timeout.0,
            log: settings.log,
            log_format: settings.log_format,
        })
    }

    /// The secret that signs tokens: the configured one, or else the one in the data directory.
    pub fn secret(&self) -> Result<Secret, ConfigError> {
        match &self.jwt_secret {
            Some(secret) => Ok(secret.clone()),
            None => Secret::read(&self.secret_path()),
        }
    }

    /// How old bytes without a record must be before they are deleted: as long as a body may take, because a record
    /// may still be on its way, and an hour more.
    pub fn unclaimed_age(&self) -> Duration {
        self.http.body.pace.total + Duration::from_hours(1)
    }

    /// The file with the secret that the server created itself.
    pub fn secret_path(&self) -> PathBuf {
        self.data_dir.join("jwt-secret")
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        max_file_size: settings.max_file_size.0,
        max_chunk_size: settings.max_chunk_size.0,
        max_parts: settings.max_parts,
        max_unfinished: settings.max_unfinished,
        quota: Quota {
            user_bytes: settings.user_quota.0.map(|size| size.0),
            user_files: settings.user_max_files.0,
            total_bytes: settings.max_storage.0.map(|size| size.0),
        },
        max_age: settings.body_timeout.0,
        upload_ttl: settings.upload_ttl.0,
        keep_metadata: settings.keep_metadata,
    }
}

fn body(settings: &Settings) -> BodyLimits {
    let largest = settings.max_file_size.0.max(settings.max_chunk_size.0);
    BodyLimits {
        max_bytes: largest.saturating_add(FORM_BYTES),
        pace: Pace {
            total: settings.body_timeout.0,
            idle: settings.body_idle_timeout.0,
            min_rate: settings.min_body_rate.0,
            grace: BODY_GRACE,
        },
        max_fields: settings.max_fields,
        max_field_bytes: usize::try_from(settings.max_field_size.0).unwrap_or(usize::MAX),
    }
}

/// Where the records are, if not in the data directory.
fn database(settings: &Settings) -> Result<Option<PostgresOptions>, ConfigError> {
    let (password_file, ca_file) =
        (&settings.database_password_file.0, &settings.database_ca_file.0);
    let Some(url) = &settings.database_url else {
        if password_file.is_some() || ca_file.is_some() {
            let message = "--database-password-file and --database-ca-file need --database-url";
            return Err(ConfigError(message.into()));
        }
        return Ok(None);
    };
    let options = database_at(url, password_file.as_deref(), ca_file.as_deref())?;
    Ok(Some(PostgresOptions { connections: settings.database_connections, ..options }))
}

/// The database of this URL. No message repeats the URL, which may contain a password.
pub(crate) fn database_at(
    url: &Secret,
    password_file: Option<&Path>,
    ca_file: Option<&Path>,
) -> Result<PostgresOptions, ConfigError> {
    let url: DatabaseUrl =
        url.expose().parse().map_err(|error| ConfigError(format!("--database-url: {error}")))?;
    let read = |file: &Path| {
        let text = std::fs::read_to_string(file);
        text.map_err(|error| {
            ConfigError(format!("--database-password-file {}: {error}", file.display()))
        })
    };
    let password = password_file.map(read).transpose()?;
    Ok(PostgresOptions {
        password: password.map(|text| text.trim().to_owned()),
        ca_file: ca_file.map(Path::to_owned).or_else(|| url.ca_file()),
        ..PostgresOptions::new(url)
    })
}

/// Addresses without limits: those of trusted proxies, and of this machine, because an unnamed local proxy forwards many
/// clients' requests from one address.
fn uncounted(trusted_proxies: &[IpNet]) -> Vec<IpNet> {
    let this_machine = [
        IpNet::new_assert(Ipv4Addr::LOCALHOST.into(), 8),
        IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128),
    ];
    [&this_machine, trusted_proxies].concat()
}

/// Looks up a group by name or number.
fn group(text: &str) -> Result<Gid, ConfigError> {
    if let Ok(number) = text.parse() {
        return Ok(Gid(number));
    }
    match nix::unistd::Group::from_name(text) {
        Ok(Some(group)) => Ok(Gid(group.gid.as_raw())),
        Ok(None) => Err(ConfigError(format!("--data-group: this system has no group \"{text}\""))),
        Err(error) => Err(ConfigError(format!("--data-group \"{text}\": {error}"))),
    }
}
