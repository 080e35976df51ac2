//! Processes of the database are killed at random moments while clients send: nothing acknowledged is lost, and clients are
//! told nothing worse than to come back.
//!
//! `HAVERSACK_TEST_DATABASE_KILLS` sets the number of kills, `HAVERSACK_TEST_SEED` repeats a trial.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::killing::{Place, clients, drive_to_the_end, random};
use super::ledger::{Client, Line, Random};
use crate::measured::{figures, setting};
use crate::stores::cluster::Cluster;

const KILLS: u64 = 6;
/// No client takes longer, however often the database is killed.
const PATIENCE: Duration = Duration::from_mins(5);

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// Some connections' processes, as an administrator ends them.
    Connections,
    /// One connection's process, for which the database ends all others and recovers.
    Process,
    /// The whole database, which is started again.
    All,
}

/// Kills, unless there is nothing to kill yet.
fn kill(cluster: &Cluster, random: &mut Random) {
    match [Victim::Connections, Victim::Process, Victim::All][random.below(3) as usize] {
        Victim::Connections => {
            let some = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE application_name = 'haversack' AND random() < 0.5";
            cluster.sql("postgres", some);
        }
        Victim::Process => {
            let any = "SELECT pid FROM pg_stat_activity WHERE application_name = 'haversack'
                       ORDER BY random() LIMIT 1";
            if let Ok(pid) = cluster.sql("postgres", any).parse() {
                cluster.kill_process(pid);
            }
        }
        Victim::All => {
            cluster.kill();
            cluster.start_again();
        }
    }
    cluster.await_ready();
}

/// Lets a client go on until it has finished, however often it is told to come back; returns how often.
fn drive(client: &mut Client, host: &str, acknowledged: &mpsc::Sender<()>) -> u64 {
    let begun = Instant::now();
    let mut times = 0;
    loop {
        let line = Line { host, acknowledged: acknowledged.clone(), may_be_away: true };
        let Err(error) = client.drive(&line) else { return times };
        assert!(begun.elapsed() < PATIENCE, "{error}");
        times += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_acknowledged_is_lost_while_the_databases_processes_are_killed() {
    let kills = setting("HAVERSACK_TEST_DATABASE_KILLS").unwrap_or(KILLS);
    let mut random = random();
    let cluster = Cluster::start();
    let place = Place::new(Some(cluster.url("haversack")));
    let server = place.start();
    let mut finished = Vec::new();
    let (mut killed, mut told) = (0, 0);
    while killed < kills {
        let mut clients = clients(&mut random, finished.len());
        let requests: u64 = clients.iter().map(Client::requests).sum();
        std::thread::scope(|scope| {
            let (acknowledged, counted) = mpsc::channel();
            let host = &server.host;
            let driving: Vec<_> = clients
                .iter_mut()
                .map(|client| {
                    let acknowledged = acknowledged.clone();
                    scope.spawn(move || drive(client, host, &acknowledged))
                })
                .collect();
            drop(acknowledged);
            // After some more requests each time, until all clients have finished.
            while (0..=random.below(requests)).all(|_| counted.recv().is_ok()) {
                kill(&cluster, &mut random);
                killed += 1;
            }
            told += driving
                .into_iter()
                .map(|one| one.join().expect("a promise was broken"))
                .sum::<u64>();
        });
        drive_to_the_end(&server, &mut clients); // everything again
        finished.extend(clients);
    }
    drive_to_the_end(&server, &mut finished);
    figures(format_args!(
        "{killed} kills of the database, {} files, {told} requests told to come back",
        finished.len()
    ));
    let stderr = server.stop().stderr;
    assert!(!stderr.contains("panicked"), "{stderr}");
    place.sweep(finished.len() as u64);
}
