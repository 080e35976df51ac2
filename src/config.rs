//! Settings: the only reader of flags, environment variables and the configuration file.
//!
//! A flag wins over its variable, which wins over the file, which wins over the default. Unknown keys in
//! the file and unknown flags are refused.

mod error;
mod trial;
mod units;
mod values;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use error::ConfigError;
pub use trial::Trial;
pub use units::{ByteSize, Span};
pub use values::{Dropped, Secret};

use crate::admission::AdmissionLimits;
use crate::http::body::{BodyLimits, FORM_BYTES};
use crate::http::cors::{Cors, CorsHeader, Origin};
use crate::http::options::{AccelPath, Options, PublicUrl};
use crate::http::pace::Pace;
use crate::http::server::ConnectionTimes;
use crate::metadata::quota::Quota;
use crate::storage::Durability;
use crate::storage::disk::{DiskOptions, Gid};
use crate::uploads::Limits;

/// Longest value of a form field other than the file.
const MAX_FIELD_BYTES: usize = 16 * 1024;
/// A body has so long to get going, before its least rate counts.
const BODY_GRACE: Duration = Duration::from_secs(20);

/// Every setting, as flag, environment variable and key of the file; absent ones have a default.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, rustdoc::bare_urls, clippy::doc_markdown)] // clap prints these comments as they are
pub struct Settings {
    /// Address and port to listen on; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, env = "HAVERSACK_LISTEN", value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,

    /// Folder for records, files and keys; made if it is missing [default: ./haversack-data]
    #[arg(long, env = "HAVERSACK_DATA_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,

    /// Secret shared with the application, which signs its users' tokens (HS256) with it; better given
    /// by the variable or the file than on the command line. [default: a random one, kept in the data
    /// directory as jwt-secret]
    #[arg(long, env = "HAVERSACK_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_secret: Option<Secret>,

    /// Address under which clients reach this server, for the links it makes, such as
    /// https://media.example.org [default: taken from each request]
    #[arg(long, env = "HAVERSACK_PUBLIC_URL", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<PublicUrl>,

    /// Networks whose X-Forwarded-For, -Host and -Proto are believed, such as 10.0.0.0/8; several are
    /// separated by commas [default: none]
    #[arg(long, env = "HAVERSACK_TRUSTED_PROXIES", value_name = "NETS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<Vec<IpNet>>,

    /// Path under which the trusted proxy serves the blobs folder of the data directory to itself alone
    /// (nginx: internal), such as /haversack-blobs/; it is then told by X-Accel-Redirect which file to
    /// send, instead of being sent the bytes [default: none]
    #[arg(long, env = "HAVERSACK_ACCEL_REDIRECT", value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accel_redirect: Option<AccelPath>,

    /// Group of the system that may read the stored files, by name or number: that of the proxy which sends
    /// them by itself [default: none]
    #[arg(long, env = "HAVERSACK_DATA_GROUP", value_name = "GROUP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_group: Option<String>,

    /// What answered requests survive beside the death of the process: process (nothing more), finish (a
    /// finished file survives power loss), chunk (so does every chunk) [default: finish]
    #[arg(long, env = "HAVERSACK_DURABILITY", value_name = "LEVEL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,

    /// Web origins whose pages may call the server, such as https://chat.example.org; several are
    /// separated by commas [default: every origin, without credentials]
    #[arg(long, env = "HAVERSACK_CORS_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors_origins: Option<Vec<Origin>>,

    /// Request headers that pages of other origins may send beside those of the known clients and of tracing, such
    /// as x-client-version; several are separated by commas [default: none]
    #[arg(long, env = "HAVERSACK_CORS_HEADERS", value_name = "HEADERS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors_headers: Option<Vec<CorsHeader>>,

    /// Whether / is a page that uploads and lists files [default: only when listening on a loopback address, and
    /// without trusted proxies]
    #[arg(
        long,
        env = "HAVERSACK_PAGE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<bool>,

    /// Largest file [default: 5GiB]
    #[arg(long, env = "HAVERSACK_MAX_FILE_SIZE", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<ByteSize>,

    /// Largest chunk [default: 100MiB]
    #[arg(long, env = "HAVERSACK_MAX_CHUNK_SIZE", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_chunk_size: Option<ByteSize>,

    /// Most chunks of a file [default: 50000]
    #[arg(long, env = "HAVERSACK_MAX_PARTS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parts: Option<u32>,

    /// Most fields of a form, the file included [default: 64]
    #[arg(long, env = "HAVERSACK_MAX_FIELDS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_fields: Option<usize>,

    /// Longest field of a form, the file excepted [default: 16KiB]
    #[arg(long, env = "HAVERSACK_MAX_FIELD_SIZE", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_field_size: Option<ByteSize>,

    /// Most unfinished uploads of one user; at this number the oldest one that was idle for an hour
    /// makes room [default: 100]
    #[arg(long, env = "HAVERSACK_MAX_UNFINISHED", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unfinished: Option<u32>,

    /// Most bytes of one user, unfinished uploads included with the size that they are to have [default: no limit]
    #[arg(long, env = "HAVERSACK_USER_QUOTA", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_quota: Option<ByteSize>,

    /// Most files of one user, unfinished uploads included [default: no limit]
    #[arg(long, env = "HAVERSACK_USER_MAX_FILES", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_max_files: Option<u64>,

    /// Most bytes of all users, counted as those of one [default: no limit]
    #[arg(long, env = "HAVERSACK_MAX_STORAGE", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_storage: Option<ByteSize>,

    /// Free space that uploads leave on the data directory's disk: with less, they are refused, while files can
    /// still be finished, read and deleted. 0: no such rule [default: 256MiB]
    #[arg(long, env = "HAVERSACK_MIN_FREE_SPACE", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_free_space: Option<ByteSize>,

    /// An unfinished upload is removed so long after its last stored chunk; never in the first hour
    /// after a start [default: 8d]
    #[arg(long, env = "HAVERSACK_UPLOAD_TTL", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_ttl: Option<Span>,

    /// A file that the application's backend has not marked as shown by a message (attach) is removed so long
    /// after it was finished [default: never]
    #[arg(long, env = "HAVERSACK_UNATTACHED_TTL", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unattached_ttl: Option<Span>,

    /// Keep what files say of where, when, by whom and with what they were made; without this, location and
    /// other identifying metadata are removed from pictures and videos [default: false]
    #[arg(
        long,
        env = "HAVERSACK_KEEP_METADATA",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_metadata: Option<bool>,

    /// Longest time to send the body of one request [default: 1h]
    #[arg(long, env = "HAVERSACK_BODY_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_timeout: Option<Span>,

    /// Longest time without a byte of a body [default: 30s]
    #[arg(long, env = "HAVERSACK_BODY_IDLE_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_idle_timeout: Option<Span>,

    /// Least bytes a second of a body, after 20 s to get going; 0: no such rule [default: 1KiB]
    #[arg(long, env = "HAVERSACK_MIN_BODY_RATE", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_body_rate: Option<ByteSize>,

    /// Longest time to send the head of a request [default: 15s]
    #[arg(long, env = "HAVERSACK_HEADER_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_timeout: Option<Span>,

    /// Longest time to keep a connection open on which nothing happens between requests; should be longer than
    /// a proxy in front keeps it. When connections become scarce, the time-out of heads counts instead
    /// [default: 75s]
    #[arg(long, env = "HAVERSACK_IDLE_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Span>,

    /// Close a connection whose client has taken nothing of a reply for this long. One that takes 60 KiB in this
    /// time is never closed, and one that stops after more than that up to three times as late [default: 60s]
    #[arg(long, env = "HAVERSACK_SEND_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_timeout: Option<Span>,

    /// Most connections at once, each with receive buffers of up to 96 KiB (256 KiB for the first 16); further ones
    /// wait. With more than 14336, files being downloaded may take more than 256 MiB of memory together. Lowered to
    /// what the system's limit on open files allows, which must be 256 or more [default: 8192]
    #[arg(long, env = "HAVERSACK_MAX_CONNECTIONS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<usize>,

    /// Most connections from one address (IPv6: from one /64); further ones wait. Addresses of trusted proxies
    /// and of this machine are not counted; behind a trusted proxy, the requests of each of its clients are.
    /// 0: no limit [default: 1024]
    #[arg(long, env = "HAVERSACK_MAX_CONNECTIONS_PER_ADDRESS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_address: Option<usize>,

    /// Most requests of one user that are worked on at once; further ones wait. 0: no limit [default: 64]
    #[arg(long, env = "HAVERSACK_MAX_REQUESTS_PER_USER", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests_per_user: Option<usize>,

    /// Longest time that requests in flight may take to finish after SIGTERM, SIGINT (Ctrl-C) or SIGHUP; a second
    /// SIGTERM or Ctrl-C stops the server at once [default: 30s]
    #[arg(long, env = "HAVERSACK_SHUTDOWN_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_timeout: Option<Span>,

    /// What to log on standard error: error, warn, info, debug or trace, also by module [default: info]
    #[arg(long, env = "HAVERSACK_LOG", value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,

    /// Has no effect any more
    #[arg(long, env = "HAVERSACK_USER_RATE", value_name = "COUNT", hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_rate: Option<Dropped>,

    /// Has no effect any more
    #[arg(long, env = "HAVERSACK_ADDRESS_RATE", value_name = "COUNT", hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_rate: Option<Dropped>,
}

/// Where the settings come from, beside flags and variables.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)]
pub struct Source {
    /// File of settings in TOML; its keys are the flags' names with _ for -
    #[arg(long, env = "HAVERSACK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub settings: Settings,
}

/// The settings in force.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // see `Settings`
pub struct Config {
    pub data_dir: PathBuf,
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
    /// Names of options that were set and have no effect any more.
    pub dropped: Vec<&'static str>,
}

impl Source {
    /// Reads the file, if one is named, and lays flags and variables over it.
    pub fn load(self) -> Result<Config, ConfigError> {
        let Some(path) = &self.config else {
            return Config::new(self.settings);
        };
        let failed = |error: &dyn std::fmt::Display| {
            ConfigError(format!("configuration file {}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        // The parser's whole report would quote the line, which may hold the secret.
        let at_line = |error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            failed(&format_args!("line {line}: {}", error.message().replace('\n', " ")))
        };
        // Checked alone first, so that an error points to its line.
        toml::from_str::<Settings>(&text).map_err(at_line)?;
        let mut table: toml::Table = toml::from_str(&text).map_err(at_line)?;
        table.extend(toml::Table::try_from(&self.settings).map_err(|error| failed(&error))?);
        Config::new(table.try_into().map_err(|error| failed(&error))?)
    }
}

impl Config {
    /// Fills in the defaults and checks what depends on each other.
    pub fn new(settings: Settings) -> Result<Self, ConfigError> {
        let size = |setting: Option<ByteSize>, default| setting.map_or(default, |size| size.0);
        let span = |setting: Option<Span>, default_secs| {
            setting.map_or(Duration::from_secs(default_secs), |span| span.0)
        };
        let limits = Limits {
            max_file_size: size(settings.max_file_size, 5 << 30),
            max_chunk_size: size(settings.max_chunk_size, 100 << 20),
            max_parts: settings.max_parts.unwrap_or(50_000),
            max_unfinished: settings.max_unfinished.unwrap_or(100),
            quota: Quota {
                user_bytes: settings.user_quota.map(|size| size.0),
                user_files: settings.user_max_files,
                total_bytes: settings.max_storage.map(|size| size.0),
            },
            max_age: span(settings.body_timeout, 3600),
            upload_ttl: span(settings.upload_ttl, 8 * 24 * 3600),
            keep_metadata: settings.keep_metadata.unwrap_or(false),
        };
        let max_field_bytes = size(settings.max_field_size, MAX_FIELD_BYTES as u64);
        let body = BodyLimits {
            max_bytes: limits.max_file_size.max(limits.max_chunk_size).saturating_add(FORM_BYTES),
            pace: Pace {
                total: span(settings.body_timeout, 3600),
                idle: span(settings.body_idle_timeout, 30),
                min_rate: size(settings.min_body_rate, 1 << 10),
                grace: BODY_GRACE,
            },
            max_fields: settings.max_fields.unwrap_or(64),
            max_field_bytes: usize::try_from(max_field_bytes).unwrap_or(usize::MAX),
        };
        let connection = ConnectionTimes {
            head: span(settings.header_timeout, 15),
            idle: span(settings.idle_timeout, 75),
            send: span(settings.send_timeout, 60),
        };
        let max_connections = settings.max_connections.unwrap_or(8192);
        let at_least_one = [
            ("max-file-size", limits.max_file_size),
            ("max-chunk-size", limits.max_chunk_size),
            ("max-parts", limits.max_parts.into()),
            ("max-unfinished", limits.max_unfinished.into()),
            ("max-fields", body.max_fields as u64),
            ("max-field-size", max_field_bytes),
            ("max-connections", max_connections as u64),
            ("header-timeout", connection.head.as_secs()),
            ("idle-timeout", connection.idle.as_secs()),
            ("send-timeout", connection.send.as_secs()),
            ("body-timeout", body.pace.total.as_secs()),
            ("body-idle-timeout", body.pace.idle.as_secs()),
        ];
        if let Some((name, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError(format!("--{name} must be at least 1")));
        }
        if settings.accel_redirect.is_some() && settings.trusted_proxies.is_none() {
            let message = "--accel-redirect needs --trusted-proxies: only those are sent elsewhere";
            return Err(ConfigError(message.into()));
        }
        let trusted_proxies = settings.trusted_proxies.clone().unwrap_or_default();
        let admission = admission(&settings, &trusted_proxies);
        let dropped =
            [("user-rate", &settings.user_rate), ("address-rate", &settings.address_rate)];
        let dropped = dropped.iter().filter(|(_, set)| set.is_some()).map(|(name, _)| *name);
        let dropped = dropped.collect();
        let data_group = settings.data_group.as_deref().map(group).transpose()?;
        let listen = settings.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
        // Behind a proxy on the same machine, everybody is on loopback.
        let here_alone =
            listen.ip().to_canonical().is_loopback() && settings.trusted_proxies.is_none();
        Ok(Self {
            http: Options {
                listen,
                public_url: settings.public_url,
                trusted_proxies,
                accel_redirect: settings.accel_redirect,
                body,
            },
            disk: DiskOptions {
                group: data_group,
                durability: settings.durability.unwrap_or_default(),
                min_free: size(settings.min_free_space, 256 << 20),
            },
            data_dir: settings.data_dir.unwrap_or_else(|| PathBuf::from("haversack-data")),
            jwt_secret: settings.jwt_secret,
            cors: Cors {
                origins: settings.cors_origins,
                headers: settings.cors_headers.unwrap_or_default(),
            },
            page: settings.page.unwrap_or(here_alone),
            unattached_ttl: settings.unattached_ttl.map(|span| span.0),
            limits,
            connection,
            max_connections,
            admission,
            shutdown_timeout: span(settings.shutdown_timeout, 30),
            log: settings.log.unwrap_or_else(|| "info,refinery_core=warn".into()),
            dropped,
        })
    }

    /// The tokens' secret: the configured one, else the data directory's.
    pub fn secret(&self) -> Result<Secret, ConfigError> {
        match &self.jwt_secret {
            Some(secret) => Ok(secret.clone()),
            None => Secret::read(&self.secret_path()),
        }
    }

    /// Bytes that no record claims may still be on their way into one for as long as a body may take; they are
    /// left alone for an hour more.
    pub fn unclaimed_age(&self) -> Duration {
        self.http.body.pace.total + Duration::from_hours(1)
    }

    /// Where a secret made by this server is kept.
    pub fn secret_path(&self) -> PathBuf {
        self.data_dir.join("jwt-secret")
    }
}

/// `HAVERSACK_…` variables that set nothing: misspelled, most likely.
pub fn unknown_variables(known: &[String]) -> Vec<String> {
    let ours = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = ours.filter(|name| {
        let known = known.contains(name) || trial::VARIABLES.contains(&name.as_str());
        name.starts_with("HAVERSACK_") && !known
    });
    unknown.collect()
}

/// What users and addresses may take. A proxy on this machine that nobody has named as trusted passes on
/// everybody's requests: addresses of this machine are not counted, as those of trusted proxies.
fn admission(settings: &Settings, trusted_proxies: &[IpNet]) -> AdmissionLimits {
    let this_machine = [
        IpNet::new_assert(Ipv4Addr::LOCALHOST.into(), 8),
        IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128),
    ];
    AdmissionLimits {
        per_user: settings.max_requests_per_user.unwrap_or(64),
        per_address: settings.max_connections_per_address.unwrap_or(1024),
        uncounted: [&this_machine, trusted_proxies].concat(),
    }
}

/// The system's group of this name or number.
fn group(text: &str) -> Result<Gid, ConfigError> {
    if let Ok(number) = text.parse() {
        return Ok(Gid(number));
    }
    match nix::unistd::Group::from_name(text) {
        Ok(Some(group)) => Ok(Gid(group.gid.as_raw())),
        Ok(None) => Err(ConfigError(format!("--data-group: there is no group \"{text}\" here"))),
        Err(error) => Err(ConfigError(format!("--data-group \"{text}\": {error}"))),
    }
}
