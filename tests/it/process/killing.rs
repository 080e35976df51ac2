//! kill -9 at random moments under load: nothing acknowledged is lost, everything can be resumed, and nothing is left
//! over.
//!
//! `HAVERSACK_TEST_KILLS` sets the number of kills, `HAVERSACK_TEST_DATABASE_KILLS` that of servers with a database,
//! `HAVERSACK_TEST_SEED` repeats a trial.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use haversack::app::App;
use haversack::clock::Clock;
use haversack::config::{Config, Settings};
use haversack::fsck;
use haversack::ids::UserId;
use haversack::metadata::Listed;

use super::ledger::{Client, Line, Random};
use super::program::{Server, serve};
use crate::measured::{figures, setting};
use crate::stores::blobs::blobs_older_than;
use crate::stores::cluster::Cluster;

const KILLS: u64 = 12;
/// Of servers whose records are in PostgreSQL.
const KILLS_WITH_DATABASE: u64 = 4;
const CLIENTS: u64 = 6;

/// What outlives a server.
pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
    /// The URL of its database, if its records are in one.
    pub(super) database: Option<String>,
}

impl Place {
    pub(super) fn new(database: Option<String>) -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), database }
    }

    pub(super) fn start(&self) -> Server {
        let mut command = serve(self.dir.path());
        if let Some(url) = &self.database {
            command.env("HAVERSACK_DATABASE_URL", url);
        }
        Server::start(&mut command)
    }

    /// Sweeps, and looks for what is left over of so many users.
    pub(super) fn sweep(&self, users: u64) {
        let database_url = self.database.as_deref().map(|url| url.parse().expect("a URL"));
        let settings =
            Settings { data_dir: self.dir.path().into(), database_url, ..Settings::default() };
        sweep(settings, (1..=users as i64).map(UserId::from));
    }
}

/// Runs all clients concurrently, and kills the server after this many acknowledged requests, or when all clients have
/// finished.
fn drive_and_kill(place: &Place, clients: &mut [Client], random: &mut Random, requests: u64) {
    let server = place.start();
    let host = server.host.clone();
    let after = random.below(requests);
    let pause = Duration::from_micros(random.below(3000));
    std::thread::scope(|scope| {
        let counted = start(scope, clients, &host);
        for _ in 0..after {
            if counted.recv().is_err() {
                break;
            }
        }
        std::thread::sleep(pause); // in the middle of a request, and not in step with the tests' thread
        server.kill();
    });
}

/// Lets all clients finish.
pub(super) fn drive_to_the_end(server: &Server, clients: &mut [Client]) {
    std::thread::scope(|scope| {
        let workers: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                let (acknowledged, _) = mpsc::channel();
                let line = Line { host: &server.host, acknowledged, may_be_away: false };
                scope.spawn(move || client.drive(&line))
            })
            .collect();
        for worker in workers {
            let ended = worker.join().expect("a promise was broken");
            ended.unwrap_or_else(|error| panic!("{error}: {}", server.stderr()));
        }
    });
}

/// Starts every client. Their requests are counted until they finish or are cut off.
fn start<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    clients: &'scope mut [Client],
    host: &'scope str,
) -> Receiver<()> {
    let (acknowledged, counted) = mpsc::channel();
    for client in clients {
        let acknowledged = acknowledged.clone();
        scope.spawn(move || {
            let line = Line { host, acknowledged, may_be_away: false };
            let _ = client.drive(&line); // cut off: it resumes after the next start
        });
    }
    counted
}

/// The trial's random numbers, which `HAVERSACK_TEST_SEED` repeats.
pub(super) fn random() -> Random {
    let seed = setting("HAVERSACK_TEST_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| since.as_micros() as u64)
    });
    figures(format_args!("HAVERSACK_TEST_SEED={seed}"));
    Random(seed)
}

/// Clients of users that nobody was before.
pub(super) fn clients(random: &mut Random, known: usize) -> Vec<Client> {
    let users = known as u64 + 1..=known as u64 + CLIENTS;
    users.map(|user| Client::new(random, user as i64)).collect()
}

fn kill_servers(place: &Place, kills: u64) {
    figures(format_args!("{kills} kills"));
    let mut random = random();
    let mut finished = Vec::new();
    let mut killed = 0;
    while killed < kills {
        let mut clients = clients(&mut random, finished.len());
        let requests = clients.iter().map(Client::requests).sum();
        for _ in 0..=random.below(3) {
            drive_and_kill(place, &mut clients, &mut random, requests);
            killed += 1;
        }
        let server = place.start();
        drive_to_the_end(&server, &mut clients);
        drive_to_the_end(&server, &mut clients); // everything again, because everything can be repeated
        server.kill();
        finished.extend(clients);
    }
    let server = place.start();
    drive_to_the_end(&server, &mut finished);
    let stderr = server.stop().stderr;
    assert!(!stderr.contains("ERROR"), "{stderr}");
    place.sweep(finished.len() as u64);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    kill_servers(&Place::new(None), setting("HAVERSACK_TEST_KILLS").unwrap_or(KILLS));
}

#[test]
fn nothing_acknowledged_is_lost_when_a_server_with_a_database_is_killed() {
    let kills = setting("HAVERSACK_TEST_DATABASE_KILLS").unwrap_or(KILLS_WITH_DATABASE);
    kill_servers(&Place::new(Some(Cluster::shared().fresh())), kills);
}

/// Sweeps as the server does much later: no bytes may be left that no record claims.
pub(crate) fn sweep_and_look_for_leftovers(data_dir: &Path, users: impl Iterator<Item = UserId>) {
    sweep(Settings { data_dir: data_dir.into(), ..Settings::default() }, users);
}

#[tokio::main]
async fn sweep(settings: Settings, users: impl Iterator<Item = UserId>) {
    let clock = Clock::system();
    let config = Config::new(settings).expect("usable settings");
    let app = App::open(config, clock.clone()).await.expect("it opens");
    let long_after = clock.unix_secs() + 365 * 24 * 3600;
    clock.skip(Duration::from_hours(3));
    app.jobs.run_all().await.expect("swept");
    let (records, blobs) = app.stores();
    let left = blobs_older_than(blobs, long_after).await;
    assert_eq!(records.unclaimed(left).await.expect("looked up"), [], "left over");
    // Uploads whose uuid no client ever learned expire; then every blob belongs to a File.
    clock.skip(Duration::from_hours(9 * 24));
    app.jobs.run_all().await.expect("swept");
    let mut claimed = 0;
    for user in users {
        let (entries, _) = app.http.files.list(user, None, 1000).await.expect("listed");
        for entry in entries {
            let Listed::File(file) = entry else { panic!("{entry:?}") };
            claimed += 1 + usize::from(file.thumbnail.is_some());
        }
    }
    let left = blobs_older_than(blobs, long_after).await;
    assert_eq!(left.len(), claimed, "files and their thumbnails");
    let report = fsck::check(records, blobs, true, long_after).await.expect("looked");
    assert!(report.clean, "{:?}", report.findings);
    app.uploads.close().await.expect("closed");
}
