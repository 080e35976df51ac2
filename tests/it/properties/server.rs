//! A server in this process.

use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;

use haversack::app::App;
use haversack::clock::Clock;
use haversack::config::{Config, Settings};
use haversack::serve;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::process::program::{SECRET, token};

/// A running server; stopped in order when it is dropped.
pub(crate) struct Server {
    /// `host:port`.
    pub(crate) host: String,
    users: AtomicI64,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _dir: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            data_dir: dir.path().into(),
            jwt_secret: Some(SECRET.parse().expect("a secret")),
            ..Settings::default()
        };
        let config = Config::new(settings).expect("usable settings");
        let (stop, stopped) = oneshot::channel();
        let (started, starts) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.expect("a port");
                let address = listener.local_addr().expect("bound");
                let app = App::open(config, Clock::system()).await.expect("opened");
                let host = address.to_string();
                started.send(host).expect("awaited");
                let shutdown = async move {
                    let _ = stopped.await;
                };
                serve::serve(vec![listener], app, shutdown).await.expect("served");
            });
        });
        let host = starts.recv().expect("started");
        Self { host, users: AtomicI64::new(1), stop: Some(stop), thread: Some(thread), _dir: dir }
    }

    /// The token of a user who has nothing yet.
    pub(crate) fn new_user(&self) -> String {
        token(self.users.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
