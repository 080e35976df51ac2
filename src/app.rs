//! The application: opens the stores, and passes them to everything that works on them.

mod directory;
mod records;
mod run;
mod state;

use std::fs::File;
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
use crate::metadata::{self, MetadataStore};
use crate::metrics::Metrics;
use crate::storage::BlobStore;
use crate::storage::disk::{DiskOptions, DiskStore, make_private_dir, make_private_file};
use crate::storage::measured::MeasuredStore;
use crate::uploads::Uploads;

use directory::{FULL, IN_USE, is_full};
pub use directory::{Lock, data_dir_error, is_in_use, lock, refuse_if_in_use, refuse_if_unused};
pub use records::open_read_only;
use state::OldestJobs;
pub use state::{Disk, Jobs as JobsOfKind, State, StateReader};

/// The opened stores, and everything that works on them.
pub struct App {
    /// The effective settings.
    pub config: Config,
    /// The source of time.
    pub clock: Clock,
    /// Uploads and files.
    pub uploads: Arc<Uploads>,
    /// Background jobs.
    pub jobs: Arc<Jobs>,
    /// What requests share.
    pub http: Arc<Context>,
    /// Counts and measurements.
    pub metrics: Arc<Metrics>,
    /// Reads the server's state.
    pub state: StateReader,
    blobs: Arc<dyn BlobStore>,
    metadata: Arc<dyn MetadataStore>,
    started: Instant,
    /// Held as long as the application exists, because no other process may use the data directory.
    lock: Lock,
}

impl App {
    /// Opens the data directory. On first use, creates it, and a secret unless one is configured.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>, ConfigError> {
        Self::open_with(config, clock, None).await
    }

    /// [`App::open`], but keeps bytes in this store, if one is given, instead of the data directory.
    pub async fn open_with(
        config: Config,
        clock: Clock,
        blobs: Option<Arc<dyn BlobStore>>,
    ) -> Result<Arc<Self>, ConfigError> {
        let dir = &config.data_dir;
        let in_dir = |error: &dyn std::fmt::Display| {
            let full = if is_full(dir) { FULL } else { "" };
            data_dir_error(dir, &format_args!("{error}{full}"))
        };
        make_private_dir(dir).map_err(|error| in_dir(&error))?;
        let lock = lock(dir)?.ok_or_else(|| in_dir(&IN_USE))?;
        let secret = if config.jwt_secret.is_some() || config.secret_path().exists() {
            config.secret()?
        } else {
            create_secret(&config.secret_path()).map_err(|error| in_dir(&error))?
        };
        if let Some(weakness) = secret.weakness() {
            tracing::warn!("{weakness}");
        }
        let (metadata, measured) = records::open(&config).await?;
        let metrics = Arc::new(Metrics::new(measured));
        let blobs = if let Some(blobs) = blobs {
            blobs
        } else {
            let disk = open_disk(dir, config.disk, metadata.as_ref()).await;
            let disk = disk.map_err(|error| in_dir(&error))?;
            Arc::new(disk.timed(metrics.storage.sync.clone()))
        };
        let blobs: Arc<dyn BlobStore> =
            Arc::new(MeasuredStore::new(blobs, metrics.storage.clone()));
        // Syncing a new file doesn't sync its name, which is in the directory.
        for dir in [dir.as_path(), &dir.join("..")] {
            let synced = File::open(dir).and_then(|dir| dir.sync_all());
            synced.map_err(|error| in_dir(&error))?;
        }
        ensure_stores_match(blobs.as_ref(), metadata.as_ref())
            .await
            .map_err(|error| in_dir(&error))?;
        crash::point(Point::StoreIntroduced);
        if blobs.in_place() {
            // Any other store has synced whatever is on record.
            metadata.in_place().begin_boot(boot_id()).await.map_err(|error| in_dir(&error))?;
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
            oldest: OldestJobs::default(),
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
            lock,
            config,
        }))
    }

    /// Returns the records and the bytes, to check all of them.
    pub fn stores(&self) -> (&dyn MetadataStore, &dyn BlobStore) {
        (self.metadata.as_ref(), self.blobs.as_ref())
    }

    /// Returns how long the application has been open.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Signs links with a new key from now on. Links signed with older keys are accepted until `accept_old_until` (unix
    /// seconds).
    pub async fn rotate_link_key(&self, accept_old_until: u64) -> Result<(), metadata::Error> {
        let now = self.clock.unix_secs();
        self.metadata.rotate_link_key(random_secret(), accept_old_until, now).await?;
        let keys = self.metadata.link_keys(random_secret(), now).await?;
        self.http.links.set_keys(&keys);
        Ok(())
    }
}

/// Returns the id of the machine's current boot. If it is unknown, each start counts as a boot.
fn boot_id() -> String {
    let known = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    known.unwrap_or_else(|_| BlobId::random().to_string()).trim().to_owned()
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Opens the folder with the stored files. If there are uploads on record, refuses a folder that was never marked.
async fn open_disk(
    dir: &Path,
    options: DiskOptions,
    metadata: &dyn MetadataStore,
) -> Result<DiskStore, Failure> {
    // Checked before the store creates its folders, because with them an empty mount point would look like a store.
    if metadata.has_uploads().await? && DiskStore::at(dir).marker().await?.is_none() {
        return Err("the records (haversack.db) and the stored files (blobs/) don't belong together: blobs/ has \
                    no store-id. Mount the disk that holds it, or restore both from the same backup"
            .into());
    }
    Ok(DiskStore::open_with(dir, options)?)
}

/// Ensures that records and bytes belong together, because a sweep with another store's records would delete every
/// file.
async fn ensure_stores_match(
    blobs: &dyn BlobStore,
    metadata: &dyn MetadataStore,
) -> Result<(), Failure> {
    let recorded = metadata.store_id(BlobId::random()).await?;
    match blobs.marker().await? {
        Some(marker) if marker == recorded => Ok(()),
        // The first start, or a start after one that was interrupted before it marked the store.
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

fn create_secret(path: &Path) -> std::io::Result<Secret> {
    let secret = Secret::random();
    make_private_file(path, secret.expose())?;
    crash::point(Point::SecretMade);
    Ok(secret)
}
