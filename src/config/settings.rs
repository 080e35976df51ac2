//! The table of settings: each option's default, meaning and kind of value, in one place.
//!
//! The field's name is the option's only name: `max_parts` is the key of the file, `--max-parts` the flag and
//! `HAVERSACK_MAX_PARTS` the variable. The help texts, the table in README.md and docs/options.md are made from this.
//! The first paragraph of a comment is what `-h` and README show.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Command, FromArgMatches};
use ipnet::IpNet;

use super::units::{ByteSize, Span};
use super::values::{Dropped, OrNone, Secret, Switch, at_least_one};
use crate::http::cors::{AllowedOrigin, CorsHeader};
use crate::http::options::{AccelPath, PublicUrl};
use crate::http::server::Listen;
use crate::storage::Durability;

const SERVER: &str = "Server";
const PROXY: &str = "Reverse proxy";
const BROWSERS: &str = "Browsers";
const UPLOADS: &str = "Uploads";
const STORAGE: &str = "Storage and quotas";
const LIFE: &str = "Retention and privacy";
const TIMES: &str = "Time-outs";
const LOAD: &str = "Connections and requests";

/// Every setting; absent ones have their default.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[allow(missing_docs, rustdoc::bare_urls, clippy::doc_markdown)] // clap prints these comments as they are
pub struct Settings {
    /// File of settings in TOML
    ///
    /// Its keys are the flags' names with _ for -. A flag wins over its variable, and that over the file.
    #[arg(long, help_heading = SERVER, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address and port to listen on
    ///
    /// Such as 0.0.0.0:8080 or [::]:8080 for all addresses of this machine, or localhost:8080 for every address that
    /// this name stands for. A port alone (8080 or :8080) listens on the loopback addresses, which only programs on
    /// this machine reach. Port 0 takes any free one.
    #[arg(long, help_heading = SERVER, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: Listen,

    /// Folder for records, files and keys
    ///
    /// Made if it is missing. Only one server at a time may use it.
    #[arg(long, help_heading = SERVER, value_name = "DIR", default_value = "./haversack-data")]
    pub data_dir: PathBuf,

    /// Secret shared with the application, which signs its users' tokens with it (HS256)
    ///
    /// It should have 32 bytes or more. Better set by the variable or in the file than on the command line, which
    /// others on the machine can read. Without one, the server makes a random one at its first start and keeps it in
    /// the data directory as jwt-secret.
    #[arg(long, help_heading = SERVER, value_name = "SECRET")]
    pub jwt_secret: Option<Secret>,

    /// Address under which clients reach this server, for the links it makes
    ///
    /// Such as https://media.example.org. none: each link begins with the address of the request that asked for it.
    #[arg(long, help_heading = SERVER, value_name = "URL", default_value = "none")]
    pub public_url: OrNone<PublicUrl>,

    /// What to log on standard error: error, warn, info, debug or trace, also by module
    ///
    /// Such as warn,haversack::uploads=debug.
    #[arg(long, help_heading = SERVER, value_name = "FILTER", default_value = "info,refinery_core=warn")]
    pub log: String,

    /// Time for requests in flight to finish after SIGTERM, SIGINT (Ctrl-C) or SIGHUP
    ///
    /// A second SIGTERM or Ctrl-C stops the server at once.
    #[arg(long, help_heading = SERVER, value_name = "TIME", default_value = "30s")]
    pub shutdown_timeout: Span,

    /// Networks whose X-Forwarded-For, -Host and -Proto are believed
    ///
    /// Such as 10.0.0.0/8; several are separated by commas.
    #[arg(long, help_heading = PROXY, value_name = "NETS", value_delimiter = ',', default_value = "none")]
    pub trusted_proxies: Vec<OrNone<IpNet>>,

    /// Path under which the trusted proxy serves the blobs folder to itself alone
    ///
    /// Such as /haversack-blobs/ (nginx: internal). The proxy is then told by X-Accel-Redirect which file of the data
    /// directory's blobs folder to send, instead of being sent the bytes. docs/nginx.conf is an example.
    #[arg(long, help_heading = PROXY, value_name = "PATH", default_value = "none")]
    pub accel_redirect: OrNone<AccelPath>,

    /// Group that may read the stored files, by name or number
    ///
    /// That of the proxy which sends them by itself. The server's user must be in it.
    #[arg(long, help_heading = PROXY, value_name = "GROUP", default_value = "none")]
    pub data_group: OrNone<String>,

    /// Web origins whose pages may call the server
    ///
    /// Such as https://chat.example.org; several are separated by commas. *: every origin, without credentials.
    /// none: no other origin.
    #[arg(long, help_heading = BROWSERS, value_name = "ORIGINS", value_delimiter = ',', default_value = "*")]
    pub cors_origins: Vec<AllowedOrigin>,

    /// Request headers that pages of other origins may send beside those of the known clients and of tracing
    ///
    /// Such as x-client-version; several are separated by commas.
    #[arg(long, help_heading = BROWSERS, value_name = "HEADERS", value_delimiter = ',', default_value = "none")]
    pub cors_headers: Vec<OrNone<CorsHeader>>,

    /// Whether / is a page that uploads and lists files: yes, no or auto
    ///
    /// auto: only when listening on a loopback address, and without trusted proxies.
    #[arg(
        long,
        help_heading = BROWSERS,
        value_name = "BOOL",
        num_args = 0..=1,
        default_value = "auto",
        default_missing_value = "yes"
    )]
    pub page: Switch,

    /// Largest file
    #[arg(long, help_heading = UPLOADS, value_name = "SIZE", default_value = "5GiB", value_parser = at_least_one::<ByteSize>)]
    pub max_file_size: ByteSize,

    /// Largest chunk
    #[arg(long, help_heading = UPLOADS, value_name = "SIZE", default_value = "100MiB", value_parser = at_least_one::<ByteSize>)]
    pub max_chunk_size: ByteSize,

    /// Maximum number of chunks of a file
    #[arg(long, help_heading = UPLOADS, value_name = "COUNT", default_value = "50000", value_parser = at_least_one::<u32>)]
    pub max_parts: u32,

    /// Maximum number of fields of a form, the file included
    #[arg(long, help_heading = UPLOADS, value_name = "COUNT", default_value = "64", value_parser = at_least_one::<usize>)]
    pub max_fields: usize,

    /// Longest field of a form, the file excepted
    #[arg(long, help_heading = UPLOADS, value_name = "SIZE", default_value = "16KiB", value_parser = at_least_one::<ByteSize>)]
    pub max_field_size: ByteSize,

    /// Maximum number of unfinished uploads per user
    ///
    /// At the limit, the user's oldest upload that was idle for an hour is removed to make room, also in the first
    /// hour after a start.
    #[arg(long, help_heading = UPLOADS, value_name = "COUNT", default_value = "100", value_parser = at_least_one::<u32>)]
    pub max_unfinished: u32,

    /// What answered requests survive: process, finish or chunk
    ///
    /// process: the death of the process; finish: that, and a finished file survives power loss; chunk: so does every
    /// chunk.
    #[arg(
        long,
        help_heading = STORAGE,
        value_name = "LEVEL",
        ignore_case = true,
        hide_possible_values = true,
        default_value = "finish"
    )]
    pub durability: Durability,

    /// Maximum number of bytes of one user
    ///
    /// Files count with their size, unfinished uploads with the size that they are to have, which is reserved as they
    /// begin. none: no limit.
    #[arg(long, help_heading = STORAGE, value_name = "SIZE", default_value = "none")]
    pub user_quota: OrNone<ByteSize>,

    /// Maximum number of files of one user, unfinished uploads included
    ///
    /// none: no limit.
    #[arg(long, help_heading = STORAGE, value_name = "COUNT", default_value = "none")]
    pub user_max_files: OrNone<u64>,

    /// Maximum number of bytes of all users, counted as those of one
    ///
    /// none: no limit.
    #[arg(long, help_heading = STORAGE, value_name = "SIZE", default_value = "none")]
    pub max_storage: OrNone<ByteSize>,

    /// Free space that uploads leave on the data directory's disk; 0: no such rule
    ///
    /// With less, uploads are refused, while files can still be finished, read and deleted.
    #[arg(long, help_heading = STORAGE, value_name = "SIZE", default_value = "256MiB")]
    pub min_free_space: ByteSize,

    /// Remove an unfinished upload this long after its last stored chunk
    ///
    /// Never in the first hour after a start.
    #[arg(long, help_heading = LIFE, value_name = "TIME", default_value = "8d")]
    pub upload_ttl: Span,

    /// Remove a finished file this long after it was finished if no message shows it
    ///
    /// The application's backend marks files as shown by a message (attach). none: never.
    #[arg(long, help_heading = LIFE, value_name = "TIME", default_value = "none")]
    pub unattached_ttl: OrNone<Span>,

    /// Keep what files say of where, when, by whom and with what they were made
    ///
    /// Without this, location and other identifying metadata are removed from pictures and videos.
    #[arg(
        long,
        help_heading = LIFE,
        value_name = "BOOL",
        num_args = 0..=1,
        default_value = "no",
        default_missing_value = "yes",
        hide_possible_values = true,
        value_parser = BoolishValueParser::new()
    )]
    pub keep_metadata: bool,

    /// Time for a client to send the body of one request
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "1h", value_parser = at_least_one::<Span>)]
    pub body_timeout: Span,

    /// Time without a byte of a body
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "30s", value_parser = at_least_one::<Span>)]
    pub body_idle_timeout: Span,

    /// Least bytes a second of a body, after 20 s to get going; 0: no such rule
    #[arg(long, help_heading = TIMES, value_name = "SIZE", default_value = "1KiB")]
    pub min_body_rate: ByteSize,

    /// Time for a client to send the head of a request
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "15s", value_parser = at_least_one::<Span>)]
    pub header_timeout: Span,

    /// Time for which a connection is kept open between requests
    ///
    /// It should be longer than a proxy in front keeps the connection. When connections become scarce,
    /// the time for heads counts instead.
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "75s", value_parser = at_least_one::<Span>)]
    pub idle_timeout: Span,

    /// Close a connection whose client has taken nothing of a reply for this long
    ///
    /// One that takes 60 KiB in this time is never closed, and one that stops after more than that up to three times
    /// as late.
    #[arg(long, help_heading = TIMES, value_name = "TIME", default_value = "60s", value_parser = at_least_one::<Span>)]
    pub send_timeout: Span,

    /// Maximum number of connections; further ones wait
    ///
    /// Each has receive buffers of up to 96 KiB (256 KiB for the first 16). With more than 14336, files being
    /// downloaded may take more than 256 MiB of memory together. Lowered to what the system's limit on open files
    /// allows, which must be 256 or more.
    #[arg(long, help_heading = LOAD, value_name = "COUNT", default_value = "8192", value_parser = at_least_one::<usize>)]
    pub max_connections: usize,

    /// Maximum number of connections from one address (IPv6: one /64); further ones wait; 0: no limit
    ///
    /// Addresses of trusted proxies and of this machine are not counted; behind a trusted proxy, the requests of each
    /// of its clients are.
    #[arg(long, help_heading = LOAD, value_name = "COUNT", default_value = "1024")]
    pub max_connections_per_address: usize,

    /// Maximum number of requests of one user that are worked on at once; further ones wait; 0: no limit
    #[arg(long, help_heading = LOAD, value_name = "COUNT", default_value = "64")]
    pub max_requests_per_user: usize,

    /// Has no effect any more
    #[arg(long, value_name = "COUNT", hide = true)]
    pub user_rate: Option<Dropped>,

    /// Has no effect any more
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
