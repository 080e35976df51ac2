//! Sweeps while old uploads are finished, continued and deleted: what was acknowledged stays, and nothing is left of
//! the rest.
//!
//! `HAVERSACK_TEST_RACES` sets the number of uploads.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use haversack::config::Settings;
use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::{Client, DAY, Form, Server, new_uuid};
use crate::measured::{figures, setting};
use crate::process::ledger::Random;

/// Number of uploads in a quick run.
const RACES: usize = 300;
/// Number of uploads that are old at the same time,
const ROUND: usize = 50;
/// and number of those that are used concurrently.
const AT_ONCE: usize = 8;
const USERS: i64 = 5;

/// What a client does with its upload when all of its chunks, or all but one, are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Done,
    /// Two concurrently.
    Dones,
    /// The missing chunk, then done.
    GoOn,
    Delete,
    /// Both concurrently: one of them may win, or the sweep.
    DoneAndDelete,
}

const ACTS: [Act; 5] = [Act::Done, Act::Dones, Act::GoOn, Act::Delete, Act::DoneAndDelete];

/// What the client was told about its upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Told {
    File,
    Gone,
    Expired,
}

#[derive(Clone)]
struct Upload {
    user: Client,
    uuid: String,
    act: Act,
}

impl Upload {
    fn bytes(&self) -> String {
        format!("of {}, and the rest", self.uuid)
    }

    fn chunk(&self, index: u32) -> Form {
        let (whole, cut) = (self.bytes(), 10);
        let (bytes, offset) = if index == 0 { (&whole[..cut], 0) } else { (&whole[cut..], cut) };
        let form = Form::chunk(index, 2, bytes).uuid(&self.uuid);
        form.field("partbyteoffset", offset)
    }

    async fn begin(&self) {
        self.user.upload(self.chunk(0)).await.ok();
        if self.act != Act::GoOn {
            self.user.upload(self.chunk(1)).await.ok();
        }
    }

    async fn done(&self) -> Told {
        let reply = self.user.done(&self.uuid).await;
        match reply.status.as_u16() {
            200 => Told::File,
            404 => Told::Expired, // and the other of the two was told
            _ if String::from_utf8_lossy(&reply.body).contains("\"expired\"") => Told::Expired,
            _ => {
                reply.refused(410, "gone");
                Told::Gone
            }
        }
    }

    async fn delete(&self) -> Told {
        let reply = self.user.delete(&self.uuid).await;
        match reply.status.as_u16() {
            200 => Told::Gone,
            404 => Told::Expired,
            _ => {
                assert_eq!(reply.status, 410);
                Told::Expired
            }
        }
    }

    async fn act(&self) -> Told {
        match self.act {
            Act::Done => self.done().await,
            Act::Dones => {
                let (one, other) = tokio::join!(self.done(), self.done());
                assert!(one == other, "{self:?}: {one:?}, {other:?}");
                one
            }
            Act::GoOn => {
                let reply = self.user.upload(self.chunk(1)).await;
                if reply.status != 200 {
                    reply.refused(410, "expired");
                    return Told::Expired;
                }
                let told = self.done().await;
                assert_eq!(told, Told::File, "{self:?}: a chunk was stored, so it is not idle");
                told
            }
            Act::Delete => self.delete().await,
            Act::DoneAndDelete => {
                let (done, deleted) = tokio::join!(self.done(), self.delete());
                if deleted == Told::Gone { deleted } else { done }
            }
        }
    }

    /// Compares what was told with what there is.
    async fn check(&self, told: Told) {
        let reply = self.user.file(&self.uuid).await;
        match told {
            Told::File => {
                let file = reply.ok();
                assert_eq!(self.user.contents(&file).await, self.bytes(), "{self:?}");
            }
            Told::Gone => drop(reply.refused(410, "gone")),
            Told::Expired => assert!(matches!(reply.status.as_u16(), 404 | 410), "{self:?}"),
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {}", self.act, self.uuid)
    }
}

/// Makes all unfinished uploads old enough to expire.
fn make_old(data: &Path) {
    let database = Connection::open(data.join("haversack.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    for sql in [
        "UPDATE uploads SET created_at = created_at - ? WHERE state = 0",
        "UPDATE parts SET stored_at = stored_at - ?",
    ] {
        database.execute(sql, [9 * DAY]).unwrap();
    }
}

/// Lets old uploads race with sweeps. Returns what their clients were told.
async fn race(server: &Server, random: &mut Random) -> Vec<(Upload, Told)> {
    let uploads: Vec<Upload> = (0..ROUND)
        .map(|number| Upload {
            user: server.user(number as i64 % USERS + 1),
            uuid: new_uuid(),
            act: ACTS[random.below(ACTS.len() as u64) as usize],
        })
        .collect();
    join_all(uploads.iter().map(Upload::begin)).await;
    make_old(server.blobs().parent().unwrap());
    let (told, over) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let sweeping = tokio::spawn({
        let (app, over) = (Arc::clone(&server.app), over.clone());
        let told = Arc::clone(&told);
        let first = random.below(ROUND as u64) as u32; // this many are in time
        async move {
            let _told = told.acquire_many(first).await.unwrap();
            while !over.is_cancelled() {
                // Alone first: a run of all jobs waits for those that the clients keep adding.
                app.uploads.expire_idle().await.unwrap();
                app.jobs.run_all().await.unwrap();
            }
        }
    });
    let mut acting = JoinSet::new();
    for upload in uploads {
        let (told, turns) = (Arc::clone(&told), Arc::clone(&turns));
        acting.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let answer = upload.act().await;
            told.add_permits(1);
            (upload, answer)
        });
    }
    let answers = acting.join_all().await;
    over.cancel();
    sweeping.await.unwrap();
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_take_nothing_that_was_answered_and_leave_nothing_else() {
    let races = setting("HAVERSACK_TEST_RACES").unwrap_or(RACES);
    let settings = Settings { max_requests_per_user: 0, ..Settings::default() };
    let server = Server::with(settings).await;
    server.skip(3601); // past the first hour, in which nothing expires
    let seed =
        new_uuid().bytes().fold(0, |seed: u64, byte| seed << 5 ^ u64::from(byte) ^ seed >> 59);
    let mut random = Random(seed);
    let mut all = Vec::new();
    while all.len() < races {
        all.extend(race(&server, &mut random).await);
    }
    let mut count = HashMap::new();
    for (upload, told) in &all {
        upload.check(*told).await;
        *count.entry(*told).or_insert(0) += 1;
    }
    figures(format_args!("of {} uploads: {count:?}", all.len()));
    assert_eq!(count.len(), 3, "each was to happen: {count:?}");
    server.sweep().await;
    assert_eq!(server.stored().len(), count[&Told::File], "files, and nothing else");
    let report = haversack::fsck::repair(&server.app, true, false).await.unwrap();
    assert!(report.clean && report.repaired == 0, "{report:?}");
}
