//! The server under test, run like the real program.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haversack::app::App;
use haversack::auth::{Caller, sign};
use haversack::clock::Clock;
use haversack::config::{Config, Settings};
use haversack::ids::UserId;
use haversack::metadata::jobs::{JobKind, NewJob, PERIODIC};
use haversack::serve;
use haversack::storage::BlobStore;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Client;
use crate::stores::{MemoryStore, database_of_records, store_of_bytes};

/// The secret for tokens in tests.
pub(crate) const SECRET: &str = "a secret of the tests that is longer than 32 bytes";

/// A running server. Its data directory is deleted with it.
pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Clock,
    pub(crate) address: SocketAddr,
    settings: Settings,
    adjust: fn(&mut Config),
    stop: CancellationToken,
    serving: JoinHandle<io::Result<()>>,
    http: reqwest::Client,
    data: TempDir,
    /// Where bytes are kept, if not in the data directory.
    memory: Option<MemoryStore>,
}

impl Server {
    /// With default settings.
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    /// With these settings, except that the tests choose address, data directory and secret.
    pub(crate) async fn with(settings: Settings) -> Self {
        Self::adjusted(settings, |_| {}).await
    }

    /// With these settings, and with changes that no setting can make.
    pub(crate) async fn adjusted(settings: Settings, adjust: fn(&mut Config)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), store_of_bytes(), settings, adjust).await
    }

    async fn on(
        data: TempDir,
        memory: Option<MemoryStore>,
        settings: Settings,
        adjust: fn(&mut Config),
    ) -> Self {
        super::log::read_along();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Settings {
            listen: address.into(),
            data_dir: data.path().to_owned(),
            jwt_secret: Some(SECRET.parse().unwrap()),
            database_url: settings
                .database_url
                .or_else(|| database_of_records().map(|url| url.parse().unwrap())),
            ..settings
        };
        let clock = Clock::system();
        let mut config = Config::new(settings.clone()).unwrap();
        adjust(&mut config);
        let blobs = memory.clone().map(|memory| Arc::new(memory) as Arc<dyn BlobStore>);
        let app = App::open_with(config, clock.clone(), blobs).await.unwrap();
        hold_periodic_jobs(&app).await;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(serve::serve(vec![listener], Arc::clone(&app), stopped));
        Self {
            app,
            clock,
            address,
            settings,
            adjust,
            stop,
            serving,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            data,
            memory,
        }
    }

    /// Stops it in order, and starts it again on the same data directory, with another address and a new clock, so
    /// clients must be created again.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(|| {}).await
    }

    /// The same, and `meanwhile` runs while it is stopped.
    pub(crate) async fn restart_after(self, meanwhile: impl FnOnce()) -> Self {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
        drop(self.app); // and releases the lock on the data directory
        meanwhile();
        Self::on(self.data, self.memory, self.settings, self.adjust).await
    }

    /// Moves the clock.
    pub(crate) fn skip(&self, secs: u64) {
        self.clock.skip(Duration::from_secs(secs));
    }

    /// Waits until there are no bytes to delete and no thumbnails to make.
    pub(crate) async fn settled(&self) {
        let (records, _) = self.app.stores();
        loop {
            let (jobs, _) = records.list_jobs(0, u32::MAX, 0).await.unwrap();
            let left = |kind: &str| jobs.iter().any(|job| job.kind == kind && !job.set_aside);
            if !left("delete") && !left("thumbnail") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Does what the server does once a minute.
    pub(crate) async fn sweep(&self) {
        self.app.jobs.run_all().await.unwrap();
    }

    /// A client of this user's.
    pub(crate) fn user(&self, id: i64) -> Client {
        self.caller(Caller::User(UserId::from(id)))
    }

    /// The application's backend.
    pub(crate) fn service(&self) -> Client {
        self.caller(Caller::Service)
    }

    fn caller(&self, caller: Caller) -> Client {
        let year = 365 * super::DAY; // longer than a test ever skips
        let token = sign(SECRET.as_bytes(), caller, self.clock.unix_secs(), year);
        self.anonymous().with("authorization", &format!("Bearer {token}"))
    }

    /// A client without a token.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(self.http.clone(), self.address)
    }

    /// Whether bytes are kept in the data directory.
    pub(crate) fn on_disk(&self) -> bool {
        self.memory.is_none()
    }

    /// Where the bytes of files are kept.
    pub(crate) fn blobs(&self) -> std::path::PathBuf {
        self.data.path().join("blobs")
    }

    /// Number of bytes received into the store, including unfinished writes.
    pub(crate) fn written(&self) -> u64 {
        let stored: u64 = self.stored().iter().sum();
        stored + self.memory.as_ref().map_or(0, MemoryStore::coming)
    }

    /// The lengths of all stored blobs, in any order.
    pub(crate) fn stored(&self) -> Vec<u64> {
        if let Some(memory) = &self.memory {
            return memory.lengths();
        }
        let entries = |path: &Path| std::fs::read_dir(path).unwrap().map(Result::unwrap);
        entries(&self.blobs())
            .filter(|shard| shard.path().is_dir())
            .flat_map(|shard| entries(&shard.path()).collect::<Vec<_>>())
            .filter_map(|blob| Some(blob.metadata().ok()?.len())) // may be deleted meanwhile
            .collect()
    }
}

/// Keeps the server from doing by itself what tests request with [`Server::sweep`], because their clocks jump.
async fn hold_periodic_jobs(app: &App) {
    let (records, _) = app.stores();
    let kinds = [JobKind::Expire, JobKind::Collect];
    for kind in kinds {
        records.add_job(NewJob::at_once(kind, PERIODIC)).await.unwrap();
    }
    let for_ever = u64::from(u32::MAX) * 2;
    records.take_jobs(&kinds, &[], 2, u32::MAX.into(), for_ever).await.unwrap();
}
