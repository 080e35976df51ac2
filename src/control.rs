//! Control commands, with which other haversack commands reach a running server. They go through a socket in the data
//! directory that only the directory's owner can open.
//!
//! Only the process that owns the data changes it: the server if it is running, or else the command itself, which takes
//! the same lock. A command is one line of JSON, and so is the reply.

mod status;

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::http::options::PublicUrl;
use crate::ids::JobId;
use crate::telemetry::{self, chain};
use crate::{fsck, page_link, words};
pub use status::Status;

/// Maximum length of a command in bytes.
const MAX_LINE: u64 = 64 * 1024;
/// How long to wait for a command on a new connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait for the state of the server.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

/// A control command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Signs links with a new key.
    RotateLinkKey {
        /// How long links signed with older keys keep working.
        accept_old_for_secs: u64,
    },
    /// Compares records and bytes, and repairs what can be repaired.
    Repair {
        /// Whether to compare checksums, too.
        deep: bool,
        /// Whether to repair even if many files are missing.
        even_if_many_are_missing: bool,
    },
    /// Retries jobs that failed or were set aside.
    RetryJobs {
        /// The job's id; `None` means all jobs.
        id: Option<String>,
    },
    /// Removes everything that belongs to a user.
    Erase {
        /// The user.
        user_id: i64,
    },
    /// Reports the state of the server.
    Status,
    /// Sets the filter of the log.
    LogLevel {
        /// The new filter; `None` restores the one that the server started with.
        filter: Option<String>,
    },
    /// Creates a link that opens the page.
    PageLink {
        /// The user that the page acts for.
        user_id: i64,
        /// The server's address for browsers; by default its `--public-url`, or else the address that it listens on.
        url: Option<PublicUrl>,
    },
}

/// Formats the command for the log, as a command line.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RotateLinkKey { accept_old_for_secs } => {
                let time = words::duration(Duration::from_secs(*accept_old_for_secs));
                write!(f, "rotate-link-key --accept-old-for {time}")
            }
            Self::Repair { deep, even_if_many_are_missing } => {
                let deep = if *deep { " --deep" } else { "" };
                let all =
                    if *even_if_many_are_missing { " --even-if-many-are-missing" } else { "" };
                write!(f, "fsck --repair{deep}{all}")
            }
            Self::RetryJobs { id: Some(id) } => write!(f, "jobs retry {id}"),
            Self::RetryJobs { id: None } => write!(f, "jobs retry"),
            Self::Erase { user_id } => write!(f, "erase --user-id {user_id}"),
            Self::Status => write!(f, "status"),
            Self::LogLevel { filter } => {
                write!(f, "log-level {}", filter.as_deref().unwrap_or("--reset"))
            }
            Self::PageLink { user_id, .. } => write!(f, "page-link --user-id {user_id}"),
        }
    }
}

/// Carries out a command and returns its result. Errors are for the operator.
async fn perform(
    app: &App,
    command: Command,
) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    let now = app.clock.unix_secs();
    match command {
        Command::RotateLinkKey { accept_old_for_secs } => {
            app.rotate_link_key(now.saturating_add(accept_old_for_secs)).await?;
            Ok(json!({"accept_old_for_secs": accept_old_for_secs}))
        }
        Command::Repair { deep, even_if_many_are_missing } => {
            Ok(serde_json::to_value(fsck::repair(app, deep, even_if_many_are_missing).await?)?)
        }
        Command::RetryJobs { id } => {
            let id = match id {
                Some(text) => Some(JobId::parse(&text).ok_or("not a job id")?),
                None => None,
            };
            let retried = app.jobs.retry(id).await?;
            Ok(json!({"retried": retried}))
        }
        Command::Erase { user_id } => {
            Ok(serde_json::to_value(app.uploads.erase(&user_id.into()).await?)?)
        }
        Command::Status => Ok(serde_json::to_value(status::status(app).await)?),
        Command::LogLevel { filter } => Ok(json!(telemetry::set_level(filter.as_deref())?)),
        Command::PageLink { user_id, url } => {
            Ok(json!(page_link::link(&app.config, user_id.into(), url.as_ref())?))
        }
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Listens for commands. The caller holds the lock on the data directory, so an existing socket is a leftover of a
/// process that has ended, and is replaced.
pub fn listen(data_dir: &Path) -> io::Result<UnixListener> {
    let path = path(data_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Carries out commands until `stop`.
pub async fn run(listener: UnixListener, app: Arc<App>, stop: CancellationToken) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let app = Arc::clone(&app);
                tokio::spawn(async move {
                    if let Err(error) = handle(&app, stream).await {
                        tracing::warn!(%error, "can't answer a control command");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a control command");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

async fn handle(app: &App, stream: UnixStream) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let reader = tokio::io::AsyncReadExt::take(reader, MAX_LINE);
    tokio::time::timeout(PATIENCE, tokio::io::BufReader::new(reader).read_line(&mut line))
        .await??;
    let reply = match serde_json::from_str::<Command>(&line) {
        Ok(command) => {
            if matches!(command, Command::Status) {
                tracing::debug!("control command: {command}"); // programs may send it often
            } else {
                tracing::info!("control command: {command}");
            }
            match perform(app, command).await {
                Ok(done) => json!({"done": done}),
                Err(error) => json!({"error": chain(error.as_ref())}),
            }
        }
        Err(_) => {
            json!({"error": "the running server doesn't know this command: it is a different version of haversack"})
        }
    };
    writer.write_all(format!("{reply}\n").as_bytes()).await
}

/// Lets the running server carry out a command, or carries it out in this process if no server is running. Fails if no
/// server has used the data directory yet, and creates nothing there.
pub fn carry_out(config: Config, command: Command) -> Result<Value, ConfigError> {
    let dir = config.data_dir.clone();
    let failed = |error: &dyn fmt::Display| app::data_dir_error(&dir, error);
    app::refuse_if_unused(&dir)?;
    let Some(lock) = app::lock(&dir)? else { return ask(&dir, &command) };
    drop(lock); // `App::open` takes it again
    let runtime = tokio::runtime::Runtime::new().map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let app = App::open(config, Clock::system()).await?;
        let done = perform(&app, command).await;
        app.uploads.close().await.map_err(|error| failed(&error))?;
        done.map_err(|error| ConfigError(chain(error.as_ref())))
    })
}

/// Lets the running server carry out a command. Fails if none is running.
pub fn ask_server(data_dir: &Path, command: &Command) -> Result<Value, ConfigError> {
    app::refuse_if_unused(data_dir)?;
    match app::lock(data_dir)? {
        Some(_) => Err(app::data_dir_error(
            data_dir,
            &"no server is running: start it with `haversack serve`",
        )),
        None => ask(data_dir, command),
    }
}

fn ask(data_dir: &Path, command: &Command) -> Result<Value, ConfigError> {
    let reply = send(&path(data_dir), command).map_err(|error| {
        let what =
            format_args!("a server is running, but can't be reached at control.sock: {error}");
        app::data_dir_error(data_dir, &what)
    })?;
    reply.map_err(ConfigError)
}

/// Sends a command, and returns its result or the server's error message.
fn send(path: &Path, command: &Command) -> io::Result<Result<Value, String>> {
    let mut stream = BlockingStream::connect(path)?;
    if matches!(command, Command::Status) {
        stream.set_read_timeout(Some(STATUS_PATIENCE))?; // the server answers within seconds, unless it hangs
    }
    writeln!(stream, "{}", serde_json::to_string(command)?)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?; // without a time-out, because other commands take long
    let mut reply: Value = serde_json::from_str(&line)?;
    Ok(match reply.get("error").and_then(Value::as_str) {
        Some(error) => Err(error.to_owned()),
        None => Ok(reply["done"].take()),
    })
}
