//! The table of options: name, default, type and documentation of each, in one place.
//!
//! A field's name is the only name that an option has: `max_parts` is its key in the file, `--max-parts` its flag and
//! `HAVERSACK_MAX_PARTS` its variable. `--help`, the table in README.md and docs/options.md are generated from here.
//! `-h` and README show the first paragraph of a comment.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Command, FromArgMatches};
use ipnet::IpNet;

use super::units::{ByteSize, Span};
use super::values::{Dropped, OrNone, Secret, Switch, at_least_one};
use crate::http::cors::{AllowedOrigin, CorsHeader};
use crate::http::options::{AccelPath, PublicUrl};
use crate::http::requests::AccessLog;
use crate::http::server::Listen;
use crate::storage::Durability;
use crate::telemetry::LogFormat;

const SERVER: &str = "Server";
const DATABASE: &str = "Database";
const LOGS: &str = "Logs and metrics";
const PROXY: &str = "Reverse proxy";
const BROWSERS: &str = "Browsers";
const UPLOADS: &str = "Uploads";
const STORAGE: &str = "Storage and quotas";
const LIFE: &str = "Retention and privacy";
const TIMES: &str = "Time-outs";
const LOAD: &str = "Connections and requests";

/// The value of every option.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[allow(missing_docs, rustdoc::bare_urls, clippy::doc_markdown)] // clap prints these comments as they are
pub struct Settings {
    /// Configuration file (TOML)
    ///
    /// Its keys are the names of the flags with _ instead of -. Flags override variables, and variables override the
    /// file.
    #[arg(long, help_heading = SERVER, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address and port to listen on
    ///
    /// `0.0.0.0:8080` or `[::]:8080` means all addresses of this machine, `localhost:8080` every address that the name
    /// resolves to. A port alone (`8080` or `:8080`) means the loopback addresses, which only programs on this machine can
    /// reach. Port 0 takes any free port.
    #[arg(long, help_heading = SERVER, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: Listen,

    /// Directory for records, files and keys
    ///
    /// Created if it doesn't exist. Only one server can use it at a time.
    #[arg(long, help_heading = SERVER, value_name = "DIR", default_value = "./haversack-data")]
    pub data_dir: PathBuf,

    /// Secret shared with your application, which signs tokens with it (HS256)
    ///
    /// It should be 32 bytes or longer. Set it with the variable or in the file: other users of the machine can read
    /// the command line. If it isn't set, the server creates a random secret at its first start and keeps it in the data
    /// directory as jwt-secret.
    #[arg(long, help_heading = SERVER, value_name = "SECRET")]
    pub jwt_secret: Option<Secret>,

    /// Public URL of this server, used as the start of links
    ///
    /// For example https://media.example.org. none: links begin with the address that the client used in its request.
    #[arg(long, help_heading = SERVER, value_name = "URL", default_value = "none")]
    pub public_url: OrNone<PublicUrl>,

    /// How long a stopping server waits for requests in progress
    ///
    /// SIGTERM, SIGINT (Ctrl-C) and SIGHUP stop the server; a second SIGTERM or Ctrl-C stops it at once.
    #[arg(long, help_heading = SERVER, value_name = "TIME", default_value = "30s")]
    pub shutdown_timeout: Span,

    /// URL of a PostgreSQL database that keeps the records, instead of SQLite in the data directory
    ///
    /// For example postgres://haversack@db.example.org/haversack?sslmode=verify-full. PostgreSQL 14 or newer;
    /// docs/postgres.md says how to set it up. Set it with the variable or in the file if it contains a password: other
    /// users of the machine can read the command line. `sslmode` is disable, or verify-full with `--database-ca-file`.
    #[arg(long, help_heading = DATABASE, value_name = "URL")]
    pub database_url: Option<Secret>,

    /// File with the password of the database's user
    ///
    /// Spaces and line breaks around it don't count. none: the URL contains it, or there is none.
    #[arg(long, help_heading = DATABASE, value_name = "FILE", default_value = "none")]
    pub database_password_file: OrNone<PathBuf>,

    /// File with the certificates (PEM) of the authorities that may sign the database server's
    ///
    /// none: no TLS.
    #[arg(long, help_heading = DATABASE, value_name = "FILE", default_value = "none")]
    pub database_ca_file: OrNone<PathBuf>,

    /// Maximum number of connections to the database
    #[arg(long, help_heading = DATABASE, value_name = "COUNT", default_value = "16", value_parser = at_least_one::<usize>)]
    pub database_connections: usize,

    /// Log level, for everything or per module: error, warn, info, debug or trace
    ///
    /// For example warn,haversack::uploads=debug. (refinery_core runs the migrations of the database.) Logs go to
    /// standard error.
    #[arg(long, help_heading = LOGS, value_name = "FILTER", default_value = "info,refinery_core=warn")]
    pub log: String,

    /// Form of log lines: text or json
    ///
    /// json: one object per line. docs/monitoring.md describes its members.
    #[arg(
        long,
        help_heading = LOGS,
        value_name = "FORMAT",
        ignore_case = true,
        hide_possible_values = true,
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// Which requests to log: off, errors or all
    ///
    /// errors: requests answered with a status of 400 or above, and those for which the server took longer than a
    /// second, not counting time spent waiting for the client. Each gets one line, with its request id. The log level
    /// doesn't hide these lines, unless it names their target (haversack::access=off).
    #[arg(
        long,
        help_heading = LOGS,
        value_name = "WHICH",
        ignore_case = true,
        hide_possible_values = true,
        default_value = "errors"
    )]
    pub access_log: AccessLog,

    /// Address and port at which Prometheus reads metrics, at /metrics
    ///
    /// A port alone means the loopback addresses. Whoever can connect can read the metrics, so use an address that only
    /// the operator can reach. docs/monitoring.md describes them. none: no metrics.
    #[arg(long, help_heading = LOGS, value_name = "ADDRESS", default_value = "none")]
    pub metrics_listen: OrNone<Listen>,

    /// Networks of reverse proxies whose X-Forwarded-For, -Host, -Proto and X-Request-Id headers are trusted
    ///
    /// For example 10.0.0.0/8; separate several with commas.
    #[arg(long, help_heading = PROXY, value_name = "NETS", value_delimiter = ',', default_value = "none")]
    pub trusted_proxies: Vec<OrNone<IpNet>>,

    /// Internal path from which a trusted proxy serves stored files
    ///
    /// For example /haversack-blobs/, an nginx `internal` location whose `alias` is the directory blobs/ inside the data
    /// directory. The server then answers with X-Accel-Redirect instead of the bytes. docs/nginx.conf is an example.
    #[arg(long, help_heading = PROXY, value_name = "PATH", default_value = "none")]
    pub accel_redirect: OrNone<AccelPath>,

    /// Group that can read the stored files, by name or number
    ///
    /// For a proxy that serves stored files itself. The user that the server runs as must be a member of the group.
    #[arg(long, help_heading = PROXY, value_name = "GROUP", default_value = "none")]
    pub data_group: OrNone<String>,

    /// Origins whose pages may use the server (CORS)
    ///
    /// For example https://chat.example.org; separate several with commas. `*` allows every origin (without credentials);
    /// `none` allows only the server's own.
    #[arg(long, help_heading = BROWSERS, value_name = "ORIGINS", value_delimiter = ',', default_value = "*")]
    pub cors_origins: Vec<AllowedOrigin>,

    /// Additional request headers that pages on other origins may send
    ///
    /// For example x-client-version; separate several with commas. The headers of known clients and of tracing are
    /// always allowed.
    #[arg(long, help_heading = BROWSERS, value_name = "HEADERS", value_delimiter = ',', default_value = "none")]
    pub cors_headers: Vec<OrNone<CorsHeader>>,

    /// Serve a page at / for uploading and viewing files: yes, no or auto
    ///
    /// auto: only if the server listens on a loopback address and trusts no proxy.
    #[arg(
        long,
        help_heading = BROWSERS,
        value_name = "yes|no|auto",
        num_args = 0..=1,
        default_value = "auto",
        default_missing_value = "yes"
    )]
    pub page: Switch,

    /// Maximum size of a file
    #[arg(long, help_heading = UPLOADS, value_name = "SIZE", default_value = "5GiB", value_parser = at_least_one::<ByteSize>)]
    pub max_file_size: ByteSize,

    /// Maximum size of a chunk
    #[arg(long, help_heading = UPLOADS, value_name = "SIZE", default_value = "100MiB", value_parser = at_least_one::<ByteSize>)]
    pub max_chunk_size: ByteSize,

    /// Maximum number of chunks per file
    #[arg(long, help_heading = UPLOADS, value_name = "COUNT", default_value = "50000", value_parser = at_least_one::<u32>)]
    pub max_parts: u32,

    /// Maximum number of fields in a form, including the file
    #[arg(long, help_heading = UPLOADS, value_name = "COUNT", default_value = "64", value_parser = at_least_one::<usize>)]
    pub max_fields: usize,

    /// Maximum size of a form field other than the file
    #[arg(long, help_heading = UPLOADS, value_name = "SIZE", default_value = "16KiB", value_parser = at_least_one::<ByteSize>)]
    pub max_field_size: ByteSize,

    /// Maximum number of unfinished uploads per user
    ///
    /// At the limit, the user's oldest upload that has been idle for an hour expires to make room, even in the first
    /// hour after the server started.
    #[arg(long, help_heading = UPLOADS, value_name = "COUNT", default_value = "100", value_parser = at_least_one::<u32>)]
    pub max_unfinished: u32,

    /// How much survives a power failure: process (nothing is guaranteed), finish (finished files) or chunk (every
    /// acknowledged chunk)
    ///
    /// At every level, a crash of the server alone loses nothing that was acknowledged.
    #[arg(
        long,
        help_heading = STORAGE,
        value_name = "LEVEL",
        ignore_case = true,
        hide_possible_values = true,
        default_value = "finish"
    )]
    pub durability: Durability,

    /// Maximum storage per user
    ///
    /// Unfinished uploads count with their full size, which is reserved when they begin. none: no limit.
    #[arg(long, help_heading = STORAGE, value_name = "SIZE", default_value = "none")]
    pub user_quota: OrNone<ByteSize>,

    /// Maximum number of files per user, including unfinished uploads
    ///
    /// none: no limit.
    #[arg(long, help_heading = STORAGE, value_name = "COUNT", default_value = "none")]
    pub user_max_files: OrNone<u64>,

    /// Maximum total storage for all users
    ///
    /// none: no limit.
    #[arg(long, help_heading = STORAGE, value_name = "SIZE", default_value = "none")]
    pub max_storage: OrNone<ByteSize>,

    /// Free space to keep on the disk with the stored files; 0 turns this off
    ///
    /// When less is free, chunks and files are refused (507); uploads can still be finished, and files read and
    /// deleted.
    #[arg(long, help_heading = STORAGE, value_name = "SIZE", default_value = "256MiB")]
    pub min_free_space: ByteSize,

    /// Remove an unfinished upload this long after its last chunk
    ///
    /// So that clients can resume after an outage, nothing expires in the first hour after the server starts, except to
    /// make room under `--max-unfinished`.
    #[arg(long, help_heading = LIFE, value_name = "TIME", default_value = "8d")]
    pub upload_ttl: Span,

    /// Delete a file this long after it was finished, unless it is attached to a message
    ///
    /// Your application's backend attaches files with POST /api/v2/pm/files/. none: never.
    #[arg(long, help_heading = LIFE, value_name = "TIME", default_value = "none")]
    pub unattached_ttl: OrNone<Span>,

    /// Keep location and other identifying metadata in pictures and videos
    ///
    /// By default, location, time, author and device metadata are removed.
    #[arg(
        long,
        help_heading = LIFE,
        value_name = "yes|no",
        num_args = 0..=1,
        default_value = "no",
        default_missing_value = "yes",
        hide_possible_values = true,
        value_parser = BoolishValueParser::new()
    )]
    pub keep_metadata: bool,

    /// Maximum time to receive a request body
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "1h", value_parser = at_least_one::<Span>)]
    pub body_timeout: Span,

    /// Maximum time without receiving a byte of a request body
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "30s", value_parser = at_least_one::<Span>)]
    pub body_idle_timeout: Span,

    /// Minimum bytes per second of a request body, after the first 20 seconds; 0: no minimum
    #[arg(long, help_heading = TIMES, value_name = "SIZE", default_value = "1KiB")]
    pub min_body_rate: ByteSize,

    /// Maximum time to receive the headers of a request
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "15s", value_parser = at_least_one::<Span>)]
    pub header_timeout: Span,

    /// How long an idle connection is kept open between requests
    ///
    /// Set it higher than the reverse proxy's keep-alive time for upstream connections (nginx: 60 s). When connections
    /// run short, `--header-timeout` applies instead.
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "75s", value_parser = at_least_one::<Span>)]
    pub idle_timeout: Span,

    /// Close a connection whose client has read nothing of a reply for this long
    ///
    /// A client that reads 60 KiB in this time is never cut off. After more than 60 KiB, a client that stops reading is
    /// cut off within three times this time.
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "60s", value_parser = at_least_one::<Span>)]
    pub send_timeout: Span,

    /// Maximum number of connections; further ones wait
    ///
    /// Further connections wait in the system's queue. Each connection has a receive buffer of up to 96 KiB (256 KiB
    /// for the first 16). Downloads take at most 256 MiB of memory in all; with more than 14336 connections they may
    /// take more, because each needs at least 16 KiB. The server lowers this number to what the limit on open files
    /// (ulimit -n) allows, which must be at least 256.
    #[arg(long, help_heading = LOAD, value_name = "COUNT", default_value = "8192", value_parser = at_least_one::<usize>)]
    pub max_connections: usize,

    /// Maximum number of connections from one address (IPv6: one /64); further ones wait; 0: no limit
    ///
    /// Further connections wait for up to 8 seconds, and are then closed. Trusted proxies and this machine have no
    /// limit. Behind a trusted proxy, the limit applies to each client's concurrent requests instead; further ones wait
    /// for up to 8 seconds, and are then refused (429).
    #[arg(long, help_heading = LOAD, value_name = "COUNT", default_value = "1024")]
    pub max_connections_per_address: usize,

    /// Maximum number of concurrent requests per user; further ones wait; 0: no limit
    ///
    /// Further requests wait for up to 8 seconds, and are then refused (429).
    #[arg(long, help_heading = LOAD, value_name = "COUNT", default_value = "64")]
    pub max_requests_per_user: usize,

    /// Has no effect any longer
    #[arg(long, value_name = "COUNT", hide = true)]
    pub user_rate: Option<Dropped>,

    /// Has no effect any longer
    #[arg(long, value_name = "COUNT", hide = true)]
    pub address_rate: Option<Dropped>,
}

impl Default for Settings {
    fn default() -> Self {
        let command = Settings::augment_args(Command::new("haversack"));
        let defaults = command.get_matches_from([""; 0]);
        Self::from_arg_matches(&defaults).expect("defaults of the table can be used")
    }
}
