//! The application: opens the stores, and gives them to what works on them.

mod state;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;

use crate::admission::Admission;
use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Secret};
use crate::crash::{self, Point};
use crate::files::Files;
use crate::http::context::Context;
use crate::http::requests::Requests;
use crate::ids::BlobId;
use crate::jobs::{self, Jobs};
use crate::links::{Links, random_secret};
use crate::metadata::jobs::JobSignal;
use crate::metadata::sqlite::SqliteStore;
use crate::metadata::{self, MetadataStore};
use crate::metrics::Metrics;
use crate::space;
use crate::storage::BlobStore;
use crate::storage::disk::{DiskOptions, DiskStore, make_private_dir, make_private_file};
use crate::storage::measured::MeasuredStore;
use crate::uploads::Uploads;

use state::Oldest;
pub use state::{Disk, Jobs as JobsOfKind, State, StateReader};

/// The opened stores, and what works on them.
pub struct App {
    /// The settings in force.
    pub config: Config,
    /// What time it is.
    pub clock: Clock,
    /// Uploads and files.
    pub uploads: Arc<Uploads>,
    /// What remains to be done beside requests.
    pub jobs: Arc<Jobs>,
    /// What requests share.
    pub http: Arc<Context>,
    /// What is counted and measured.
    pub metrics: Arc<Metrics>,
    /// Looks up the state of everything.
    pub state: StateReader,
    blobs: Arc<dyn BlobStore>,
    metadata: Arc<dyn MetadataStore>,
    started: Instant,
    /// Held as long as the application lives: no other process may use the data directory.
    _lock: File,
}

impl App {
    /// Opens the data directory, making it and a secret on first use.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>, ConfigError> {
        Self::open_with(config, clock, None).await
    }

    /// [`App::open`], with bytes in this store, if one is given, instead of the data directory.
    pub async fn open_with(
        config: Config,
        clock: Clock,
        blobs: Option<Arc<dyn BlobStore>>,
    ) -> Result<Arc<Self>, ConfigError> {
        let dir = &config.data_dir;
        let in_dir = |error: &dyn std::fmt::Display| {
            let full = if is_full(dir) { FULL } else { "" };
            of_dir(dir, &format_args!("{error}{full}"))
        };
        make_private_dir(dir).map_err(|error| in_dir(&error))?;
        let lock = lock(dir)?.ok_or_else(|| in_dir(&IN_USE))?;
        let secret = if config.jwt_secret.is_some() || config.secret_path().exists() {
            config.secret()?
        } else {
            make_secret(&config.secret_path()).map_err(|error| in_dir(&error))?
        };
        if let Some(weakness) = secret.weakness() {
            tracing::warn!("{weakness}");
        }
        let database =
            SqliteStore::open_with(dir, config.disk.durability).map_err(|error| in_dir(&error))?;
        let metrics = Arc::new(Metrics::new(database.metrics().clone()));
        let metadata: Arc<dyn MetadataStore> = Arc::new(database);
        let blobs = if let Some(blobs) = blobs {
            blobs
        } else {
            let disk = open_disk(dir, config.disk, metadata.as_ref()).await;
            Arc::new(disk.map_err(|error| in_dir(&error))?)
        };
        let blobs: Arc<dyn BlobStore> =
            Arc::new(MeasuredStore::new(blobs, metrics.storage.clone()));
        // The names of all these, which their own syncs don't cover.
        for dir in [dir.as_path(), &dir.join("..")] {
            let synced = File::open(dir).and_then(|dir| dir.sync_all());
            synced.map_err(|error| in_dir(&error))?;
        }
        introduce(blobs.as_ref(), metadata.as_ref()).await.map_err(|error| in_dir(&error))?;
        crash::point(Point::StoreIntroduced);
        if blobs.in_place() {
            metadata.begin_boot(boot()).await.map_err(|error| in_dir(&error))?; // any other store has synced them
        }
        crash::point(Point::BootBegun);
        let keys = metadata
            .link_keys(random_secret(), clock.unix_secs())
            .await
            .map_err(|error| in_dir(&error))?;
        let signal = Arc::new(JobSignal::default());
        let uploads = Arc::new(Uploads::new(
            Arc::clone(&blobs),
            Arc::clone(&metadata),
            config.limits,
            clock.clone(),
            Arc::clone(&signal),
        ));
        let jobs = Jobs::new(jobs::Context {
            uploads: Arc::clone(&uploads),
            blobs: Arc::clone(&blobs),
            metadata: Arc::clone(&metadata),
            signal,
            clock: clock.clone(),
            metrics: metrics.jobs.clone(),
            unattached_ttl: config.unattached_ttl,
            unclaimed_age: config.unclaimed_age(),
        });
        let http = Context {
            requests: Requests::new(config.http.access_log, metrics.http.clone()),
            waits: metrics.admission.clone(),
            options: config.http.clone(),
            admission: Arc::new(Admission::new(&config.admission, config.max_connections)),
            auth: Auth::new(secret.as_bytes(), clock.clone()),
            links: Links::new(&keys, clock.clone()),
            files: Files::new(Arc::clone(&uploads), Arc::clone(&blobs), Arc::clone(&metadata)),
            uploads: Arc::clone(&uploads),
        };
        let state = StateReader {
            uploads: Arc::clone(&uploads),
            metadata: Arc::clone(&metadata),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            data_dir: config.data_dir.clone(),
            kept_free_bytes: config.disk.min_free,
            storage_limit_bytes: config.limits.quota.total_bytes,
            oldest: Oldest::default(),
        };
        Ok(Arc::new(Self {
            state,
            uploads,
            jobs: Arc::new(jobs),
            http: Arc::new(http),
            metrics,
            blobs,
            metadata,
            started: Instant::now(),
            clock,
            _lock: lock,
            config,
        }))
    }

    /// The records and the bytes, for looking through all of them.
    pub fn stores(&self) -> (&dyn MetadataStore, &dyn BlobStore) {
        (self.metadata.as_ref(), self.blobs.as_ref())
    }

    /// How long it has been open.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Signs links with a new key from now on; those of older ones are accepted until then (unix seconds).
    pub async fn rotate_link_key(&self, accept_old_until: u64) -> Result<(), metadata::Error> {
        let now = self.clock.unix_secs();
        self.metadata.rotate_link_key(random_secret(), accept_old_until, now).await?;
        let keys = self.metadata.link_keys(random_secret(), now).await?;
        self.http.links.set_keys(&keys);
        Ok(())
    }
}

const FULL: &str = " (its disk is full: make some room, then start again)";

fn is_full(dir: &Path) -> bool {
    space::free(dir).is_ok_and(|free| free < space::LEAST)
}

/// Which boot of the machine this is; where that can't be told, each start counts as one.
fn boot() -> String {
    let known = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    known.unwrap_or_else(|_| BlobId::random().to_string()).trim().to_owned()
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Opens the folder with the stored files. Refuses one that was never marked where the records speak of files.
async fn open_disk(
    dir: &Path,
    options: DiskOptions,
    metadata: &dyn MetadataStore,
) -> Result<DiskStore, Failure> {
    // Before the store makes its folders: in an empty mount point they would look like one.
    if metadata.has_uploads().await? && DiskStore::at(dir).marker().await?.is_none() {
        return Err("the records (haversack.db) and the stored files (blobs/) don't belong together: blobs/ has \
                    no store-id. Mount the disk that holds it, or restore both from the same backup"
            .into());
    }
    Ok(DiskStore::open_with(dir, options)?)
}

/// Ensures that records and bytes belong together: a sweep with another store's records would delete every file.
async fn introduce(blobs: &dyn BlobStore, metadata: &dyn MetadataStore) -> Result<(), Failure> {
    let recorded = metadata.store_id(BlobId::random()).await?;
    match blobs.marker().await? {
        Some(marker) if marker == recorded => Ok(()),
        // The first start, or one that was cut off before it had marked the store.
        None if blobs.list_older_than(u64::MAX).try_next().await?.is_none() => {
            Ok(blobs.mark(recorded).await?)
        }
        _ => {
            Err("the records (haversack.db) and the stored files (blobs/) don't belong together: \
                  restore both from the same backup"
                .into())
        }
    }
}

const LOCK: &str = "haversack.lock";
const IN_USE: &str = "another haversack uses it; stop that one first";
const UNUSED: &str = "no server has used it yet; --data-dir says which one to look at";
const CLOSED: &str = "permission denied: run this as the user that runs the server";

/// Whether another process holds this data directory. Makes nothing.
pub fn is_in_use(dir: &Path) -> Result<bool, ConfigError> {
    Ok(dir.join(LOCK).exists() && lock(dir)?.is_none())
}

/// Refuses a data directory that another process holds. Makes nothing.
pub fn refuse_if_in_use(dir: &Path) -> Result<(), ConfigError> {
    if is_in_use(dir)? { Err(of_dir(dir, &IN_USE)) } else { Ok(()) }
}

/// Refuses a data directory that no server has used. Makes nothing.
pub fn refuse_if_unused(dir: &Path) -> Result<(), ConfigError> {
    match dir.join("haversack.db").try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(of_dir(dir, &UNUSED)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(of_dir(dir, &CLOSED)),
        Err(error) => Err(of_dir(dir, &error)),
    }
}

/// What is wrong with this data directory.
pub fn of_dir(dir: &Path, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError(format!("data directory {}: {error}", dir.display()))
}

/// Takes the data directory's lock; `None` when another process holds it.
pub fn lock(dir: &Path) -> Result<Option<File>, ConfigError> {
    let path = dir.join(LOCK);
    let failed = |error: std::io::Error| ConfigError(format!("{}: {error}", path.display()));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn make_secret(path: &Path) -> std::io::Result<Secret> {
    let secret = Secret::random();
    make_private_file(path, secret.expose())?;
    crash::point(Point::SecretMade);
    Ok(secret)
}
