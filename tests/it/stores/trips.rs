//! How many statements the database is sent for a request: each costs a round trip, or less where two travel together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use haversack::config::{Config, Settings};

use super::cluster::Cluster;
use super::proxy;
use crate::harness::{Client, Form, Server};
use crate::measured::figures;

/// The server's jobs also ask the database from time to time: what a request takes is the least of so many rounds.
const ROUNDS: usize = 8;

/// Stands between a server and its database, and counts how often the database says that it is done with a statement:
/// `ReadyForQuery` (PostgreSQL documentation, *Message Formats*).
#[derive(Clone, Default)]
struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Forwards connections to this port; returns its own.
    async fn to(&self, port: u16) -> u16 {
        let meter = self.clone();
        let watch = move || {
            let (meter, mut unread) = (meter.clone(), Vec::new());
            move |reply: &[u8]| {
                meter.see(&mut unread, reply);
                true
            }
        };
        proxy::forward(port, watch).await
    }

    /// Counts the messages that are complete with this.
    fn see(&self, unread: &mut Vec<u8>, reply: &[u8]) {
        unread.extend(reply);
        // A tag of one byte, and a length that includes itself.
        while let Some((length, _)) = unread.get(1..).and_then(|rest| rest.split_first_chunk::<4>())
        {
            let end = 1 + u32::from_be_bytes(*length) as usize;
            if unread.len() < end {
                break;
            }
            self.0.fetch_add(u64::from(unread[0] == b'Z'), Ordering::SeqCst);
            unread.drain(..end);
        }
    }

    /// How many statements this takes.
    async fn count<T>(&self, this: impl Future<Output = T>) -> (u64, T) {
        let before = self.0.load(Ordering::SeqCst);
        let done = this.await;
        (self.0.load(Ordering::SeqCst) - before, done)
    }
}

/// Sends all chunks but the first of an upload, in order; returns how many statements the last one took.
async fn chunks(meter: &Meter, anna: &Client, uuid: &str, total: u32) -> u64 {
    let mut last = 0;
    for index in 1..total {
        let sent = anna.upload(Form::chunk(index, total, "56789").uuid(uuid));
        let (statements, reply) = meter.count(sent).await;
        reply.ok();
        last = statements;
    }
    last
}

/// Counts the statements of a request that begins when no jobs are left of those before it.
async fn settled<T>(server: &Server, meter: &Meter, request: impl Future<Output = T>) -> (u64, T) {
    server.settled().await;
    meter.count(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_take_few_statements() {
    let (cluster, meter) = (Cluster::shared(), Meter::default());
    let port = meter.to(cluster.port()).await;
    let url =
        cluster.database("trips").replace(&format!(":{}/", cluster.port()), &format!(":{port}/"));
    let settings =
        Settings { database_url: Some(url.parse().expect("a URL")), ..Settings::default() };
    // One connection: what it has prepared once, it need not prepare again.
    let one = |config: &mut Config| config.database.as_mut().expect("a database").connections = 1;
    let server = Server::adjusted(settings, one).await;
    let anna = server.user(1);
    let most = [
        ("a first chunk", 9),
        ("a chunk", 1),
        ("a repeated chunk", 1),
        ("a done", 12),
        ("a status", 1),
        ("a File", 1),
        ("a download", 1),
        ("a single file", 12),
        ("a tus creation", 9),
        ("a PATCH", 8),
        ("the last PATCH", 20),
        ("a removal of 2 chunks", 20),
        ("a removal of 150 chunks", 22),
    ];
    let mut least = vec![u64::MAX; most.len()];
    for _ in 0..ROUNDS {
        let mut counted = Vec::new();
        let (first, uuid) = settled(&server, &meter, anna.begin(3, "01234")).await;
        counted.push(first);
        counted.push(chunks(&meter, &anna, &uuid, 3).await);
        counted.push(chunks(&meter, &anna, &uuid, 3).await);
        let (statements, file) = settled(&server, &meter, anna.done(&uuid)).await;
        let file = file.ok();
        counted.push(statements);
        let unfinished = anna.begin(2, "01234").await;
        counted.push(settled(&server, &meter, anna.status(&unfinished)).await.0);
        counted.push(settled(&server, &meter, anna.file(&uuid)).await.0);
        counted.push(settled(&server, &meter, anna.contents(&file)).await.0);
        counted.push(settled(&server, &meter, anna.store_any()).await.0);
        let (statements, path) = settled(&server, &meter, anna.created(10)).await;
        counted.push(statements);
        for at in [0, 5] {
            let (statements, reply) =
                settled(&server, &meter, anna.patch(&path, at, "01234")).await;
            assert_eq!(reply.status, 204);
            counted.push(statements);
        }
        for total in [2, 150] {
            let uuid = anna.begin(total, "01234").await;
            chunks(&meter, &anna, &uuid, total).await;
            let (statements, reply) = settled(&server, &meter, anna.delete(&uuid)).await;
            reply.ok();
            counted.push(statements);
        }
        assert_eq!(counted.len(), most.len());
        for (least, counted) in least.iter_mut().zip(counted) {
            *least = counted.min(*least);
        }
    }
    for ((what, _), least) in most.iter().zip(&least) {
        figures(format_args!("{what}: {least}"));
    }
    for ((what, most), least) in most.into_iter().zip(least) {
        assert!(least <= most, "{what} takes {least} statements, at most {most} are right");
    }
}
