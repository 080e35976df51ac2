//! A server in this process that can be stopped, or dropped at any moment, and started again on the same data
//! directory. Its clock continues.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use haversack::app::App;
use haversack::auth::{Caller, sign};
use haversack::clock::Clock;
use haversack::config::{Config, Settings};
use haversack::fsck;
use haversack::ids::UserId;
use haversack::metadata::jobs::JobKind;
use haversack::serve;
use haversack::storage::BlobStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::process::program::SECRET;
use crate::stores::{MemoryStore, store_of_bytes};

/// Longer than anything takes that must end.
const PATIENCE: Duration = Duration::from_secs(30);

const DAY_SECS: u64 = 24 * 3600;

/// A server and its data directory.
pub(crate) struct Server {
    clock: Clock,
    running: Option<Running>,
    dir: TempDir,
    /// Where bytes are kept, if not in the data directory.
    memory: Option<MemoryStore>,
}

struct Running {
    runtime: Runtime,
    app: Arc<App>,
    host: String,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

/// Opens the data directory. Processes that other tests start hold its lock for a moment, between fork and exec.
async fn open(config: Config, clock: &Clock, memory: Option<&MemoryStore>) -> Arc<App> {
    let begun = Instant::now();
    loop {
        let blobs = memory.cloned().map(|memory| Arc::new(memory) as Arc<dyn BlobStore>);
        match App::open_with(config.clone(), clock.clone(), blobs).await {
            Ok(app) => return app,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = crate::faults::folder();
        let mut server =
            Self { clock: Clock::system(), running: None, dir, memory: store_of_bytes() };
        server.run();
        // Other tests cover the first hour after a start, in which nothing expires.
        server.clock.skip(Duration::from_hours(1));
        server
    }

    fn run(&mut self) {
        let settings = Settings {
            data_dir: self.dir.path().into(),
            jwt_secret: Some(SECRET.parse().expect("a secret")),
            ..Settings::default()
        };
        let config = Config::new(settings).expect("usable settings");
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
        let stop = CancellationToken::new();
        let (app, host, serving) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let host = listener.local_addr().expect("bound").to_string();
            let app = open(config, &self.clock, self.memory.as_ref()).await;
            let stopped = stop.clone().cancelled_owned();
            let serving = tokio::spawn(serve::serve(vec![listener], Arc::clone(&app), stopped));
            (app, host, serving)
        });
        self.running = Some(Running { runtime, app, host, stop, serving });
    }

    /// Whether the last restart succeeded.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// `host:port`.
    pub(crate) fn host(&self) -> &str {
        &self.running().host
    }

    /// A token for a user or for the application's backend, valid longer than any sequence.
    pub(crate) fn token(&self, user: Option<i64>) -> String {
        let caller = user.map_or(Caller::Service, |user| Caller::User(UserId::from(user)));
        sign(SECRET.as_bytes(), caller, self.clock.unix_secs(), 3650 * DAY_SECS)
    }

    /// Skips days and a minute, and has the server check what has expired.
    pub(crate) fn skip(&self, days: u64) {
        self.settle(); // to a job that runs meanwhile the days would be its own, and its user's time used up
        self.clock.skip(Duration::from_secs(days * DAY_SECS + 60));
        let Running { runtime, app, .. } = self.running();
        runtime.block_on(async {
            app.jobs.run_all().await.expect("swept");
            // The server's own sweep may have begun by this clock, too. By it, what is sent next is old already.
            for kind in [JobKind::Expire, JobKind::Collect] {
                assert!(app.uploads.none_running(kind, None).await.expect("looked up"), "{kind:?}");
            }
        });
    }

    /// Erases a user as `haversack erase` does.
    pub(crate) fn erase(&self, user: i64) {
        let Running { runtime, app, .. } = self.running();
        runtime.block_on(app.uploads.erase(&UserId::from(user))).expect("erased");
    }

    /// Waits until nothing works on uploads any more.
    pub(crate) fn settle(&self) {
        let begun = Instant::now();
        let Running { runtime, app, .. } = self.running();
        while !app.uploads.is_idle() {
            assert!(begun.elapsed() < PATIENCE, "a request comes to no end");
            std::thread::sleep(Duration::from_micros(100));
        }
        runtime.block_on(app.jobs.run_due()).expect("nothing is left to be done");
    }

    /// Stops in order and starts again. `meanwhile` receives the stored bytes in between.
    pub(crate) fn restart(&mut self, meanwhile: impl FnOnce(&Path)) {
        let Running { runtime, app, stop, serving, .. } = self.running.take().expect("it runs");
        stop.cancel();
        runtime.block_on(serving).expect("no panic").expect("served");
        drop(app);
        runtime.shutdown_timeout(PATIENCE);
        meanwhile(&self.blobs());
        self.run();
    }

    /// Drops everything in progress, wherever it is, and starts again.
    pub(crate) fn kill(&mut self) {
        let Running { runtime, app, .. } = self.running.take().expect("it runs");
        drop(app);
        runtime.shutdown_timeout(PATIENCE);
        self.run();
    }

    /// The result of the server's own check of records and bytes, after a sweep.
    pub(crate) fn findings(&self) -> Vec<fsck::Finding> {
        self.skip(1);
        let Running { runtime, app, .. } = self.running();
        let (records, blobs) = app.stores();
        let check = fsck::check(records, blobs, true, self.clock.unix_secs());
        runtime.block_on(check).expect("looked through").findings
    }

    fn blobs(&self) -> PathBuf {
        self.dir.path().join("blobs")
    }
}
