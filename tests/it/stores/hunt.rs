//! A hunt for deadlocks: many clients of two stores do everything there is with the same few uploads. All rows are held in
//! one order, so no two transactions ever wait for each other.
//!
//! `HAVERSACK_TEST_HUNT` sets its seconds, `HAVERSACK_TEST_SEED` repeats what the clients want.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future;
use haversack::ids::{BlobId, GenerationId, UploadId};
use haversack::metadata::jobs::{JobKind, JobQueue, Outcome};
use haversack::metadata::postgres::{PostgresOptions, PostgresStore};
use haversack::metadata::quota::Quota;
use haversack::metadata::{
    Caps, Error, Finalizing, Generation, InPlaceRecords, MetadataStore, NewUpload, Snapshot, State,
};
use haversack::storage::{Durability, Extents};

use super::append::{bytes, in_order, joined, piece};
use super::cluster::Cluster;
use super::postgres::options;
use super::records::{file_of, name, picture, plain_part, single, upload};
use super::waits::assert_no_deadlocks;
use crate::measured::{figures, setting};
use crate::process::ledger::Random;

const CLIENTS: u64 = 24;
const USERS: u64 = 3;
/// Uploads that are remembered of each kind: few, so that all clients want the same ones.
const REMEMBERED: usize = 12;
/// Later than any time of a client's.
const LATE: u64 = 1 << 40;

/// What the clients know of each other's uploads.
#[derive(Default)]
struct Known {
    uploads: Mutex<Vec<NewUpload>>,
    ordered: Mutex<Vec<NewUpload>>,
    pieces: Mutex<Vec<NewUpload>>,
    files: Mutex<Vec<(UploadId, i64)>>,
    thumbnails: Mutex<Vec<(UploadId, i64)>>,
}

fn remember<T>(list: &Mutex<Vec<T>>, new: T) {
    let mut list = list.lock().expect("no panic");
    list.push(new);
    if list.len() > REMEMBERED {
        list.remove(0);
    }
}

fn any<T: Clone>(list: &Mutex<Vec<T>>, random: &mut Random) -> Option<T> {
    let list = list.lock().expect("no panic");
    (!list.is_empty()).then(|| list[random.below(list.len() as u64) as usize].clone())
}

/// One client.
struct Hunter<'a> {
    store: &'a PostgresStore,
    known: &'a Known,
    random: Random,
    now: u64,
}

impl Hunter<'_> {
    async fn hunt(&mut self, until: Instant) -> u64 {
        let mut steps = 0;
        while Instant::now() < until {
            self.now += 1;
            let verb = self.random.below(20);
            let done = self.step(verb).await;
            done.unwrap_or_else(|error| panic!("{verb}: {error}"));
            steps += 1;
        }
        steps
    }

    fn user(&mut self) -> i64 {
        1 + self.random.below(USERS) as i64
    }

    /// Anything that has a uuid.
    fn any_id(&mut self) -> Option<UploadId> {
        let (known, random) = (self.known, &mut self.random);
        match random.below(5) {
            0 => any(&known.uploads, random).map(|new| new.id),
            1 => any(&known.ordered, random).map(|new| new.id),
            2 => any(&known.pieces, random).map(|new| new.id),
            3 => any(&known.files, random).map(|(id, _)| id),
            _ => any(&known.thumbnails, random).map(|(id, _)| id),
        }
    }

    /// An upload of either kind.
    fn any_upload(&mut self) -> Option<NewUpload> {
        let list = if self.random.flip() { &self.known.uploads } else { &self.known.ordered };
        any(list, &mut self.random)
    }

    async fn step(&mut self, verb: u64) -> Result<(), Error> {
        let (store, now) = (self.store, self.now);
        match verb {
            0 | 1 => self.begin().await?,
            2 | 3 => {
                if let Some(new) = any(&self.known.uploads, &mut self.random) {
                    let index = self.random.below(3) as u32;
                    let part = plain_part(index, u64::from(index) * 10, 10);
                    store.record_part(new.generation(), part, now).await?;
                }
            }
            4 | 5 => self.finish().await?,
            6 => self.append().await?,
            7 => self.join().await?,
            8 | 9 => self.single().await?,
            10 | 11 => self.draw().await?,
            12 | 13 => {
                if let Some(id) = self.any_id() {
                    store.remove(id, self.random.flip(), now, now + 60).await?;
                }
            }
            14 => self.attach().await?,
            15 => self.expire().await?,
            16 => {
                let user = self.user();
                store.forget_user(user.into()).await?;
            }
            17 => self.jobs().await?,
            18 => self.begin_again().await?,
            _ => {
                if let Some(new) = self.any_upload() {
                    store.name_upload(new.generation(), name("a.png")).await?;
                }
                if let Some(id) = self.any_id() {
                    store.name_file(id, name("b.png")).await?;
                }
                let user = self.user();
                store.list(user.into(), None, 20).await?;
                store.usage(user.into()).await?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), Error> {
        let (user, now) = (self.user(), self.now);
        let (list, new) = match self.random.below(3) {
            0 => (&self.known.uploads, NewUpload { reserved: 30, ..upload(user, 3) }),
            1 => (&self.known.ordered, in_order(user, Some(20))),
            _ => (&self.known.pieces, piece(user, 10)),
        };
        let caps = Caps { max_unfinished: 6, quota: Quota::NONE, idle_since: LATE };
        self.store.begin_upload(new.clone(), caps, now).await?;
        remember(list, new);
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Error> {
        let (store, now) = (self.store, self.now);
        let Some(new) = self.any_upload() else { return Ok(()) };
        for index in 0..new.total_parts {
            let part = plain_part(index, u64::from(index) * 10, 10);
            store.record_part(new.generation(), part, now).await?;
        }
        let Some(record) = store.load(new.id).await? else { return Ok(()) };
        let State::Receiving(found) = record.state else { return Ok(()) };
        let mut of = Snapshot { generation: found.generation(new.id), epoch: found.epoch };
        let parts = found.layout.parts().map(|(_, part)| *part).collect();
        let mut file = file_of(parts, BlobId::random());
        file.extents = found.location.of(0..found.layout.end());
        let mut held = None;
        if self.random.flip() {
            let finalizing = Finalizing { file: file.clone(), patches: Vec::new() };
            let Some((job, next)) = store.finalize_upload(of, finalizing, now + 60).await? else {
                return Ok(());
            };
            (of, held) = (next, Some(job));
        }
        if store.finish_upload(of, file, now).await? {
            let user = new.user.as_str().parse().expect("a number");
            remember(&self.known.files, (new.id, user));
        } else if let Some(job) = held {
            store.settle_job(job.id, job.lease, Outcome::Returned).await?;
        }
        Ok(())
    }

    async fn append(&mut self) -> Result<(), Error> {
        let now = self.now;
        let list = if self.random.flip() { &self.known.ordered } else { &self.known.pieces };
        let Some(new) = any(list, &mut self.random) else { return Ok(()) };
        let at = 10 * self.random.below(2);
        self.store.append(new.generation(), bytes(at, 10), now, now + 60).await.map(drop)
    }

    async fn join(&mut self) -> Result<(), Error> {
        let (user, now) = (self.user(), self.now);
        let mut pieces: Vec<_> = self.known.pieces.lock().expect("no panic").clone();
        pieces.retain(|piece| piece.user == user.into());
        for new in &pieces {
            self.store.append(new.generation(), bytes(0, 10), now, now + 60).await?;
        }
        self.random.shuffle(&mut pieces);
        let ids = pieces.iter().take(3).map(|piece| piece.id).collect();
        let new = joined(user);
        self.store.join(new.clone(), ids, Quota::NONE, now, now + 60).await?;
        remember(&self.known.ordered, new);
        Ok(())
    }

    /// A file, or a thumbnail of one.
    async fn single(&mut self) -> Result<(), Error> {
        let user = self.user();
        match any(&self.known.files, &mut self.random).filter(|_| self.random.below(4) > 0) {
            Some((media, owner)) => {
                let new = single(owner, Some(media));
                let id = new.id;
                self.store.store_single(new, Quota::NONE, self.now).await?;
                remember(&self.known.thumbnails, (id, owner));
            }
            None => {
                let new = single(user, None);
                let id = new.id;
                self.store.store_single(new, Quota::NONE, self.now).await?;
                remember(&self.known.files, (id, user));
            }
        }
        Ok(())
    }

    async fn draw(&mut self) -> Result<(), Error> {
        let (store, now) = (self.store, self.now);
        let taken = store.take_jobs(&[JobKind::Thumbnail], &[], 3, now, now + 5).await?;
        for job in taken {
            let id = UploadId::from_bytes(job.subject);
            let drawn = (self.random.below(3) > 0).then(picture);
            store.end_drawing(id, job.lease, drawn, now).await?;
        }
        Ok(())
    }

    /// Attaches several in any order, thumbnails among them.
    async fn attach(&mut self) -> Result<(), Error> {
        let mut ids: Vec<UploadId> = Vec::new();
        for list in [&self.known.files, &self.known.thumbnails] {
            ids.extend(list.lock().expect("no panic").iter().map(|(id, _)| *id));
        }
        self.random.shuffle(&mut ids);
        ids.truncate(8);
        self.store.attach(ids).await
    }

    async fn expire(&mut self) -> Result<(), Error> {
        let (store, now) = (self.store, self.now);
        store.expire(LATE, 2, now).await?;
        let unused = store.unused_uploads(LATE, 2).await?;
        if let Some(new) = any(&self.known.uploads, &mut self.random)
            && unused.contains(&new.id)
        {
            store.withdraw_upload(new.generation(), now).await?;
        }
        if let Some(id) = self.any_id() {
            store.forget_expired(id).await?;
        }
        Ok(())
    }

    /// What workers do.
    async fn jobs(&mut self) -> Result<(), Error> {
        let (store, now) = (self.store, self.now);
        let kinds = [JobKind::Delete, JobKind::ForgetParts, JobKind::Finish, JobKind::Pack];
        for job in store.take_jobs(&kinds, &[], 8, now, now + 5).await? {
            if job.kind == JobKind::Pack && self.random.flip() {
                let copy = Extents::stored(BlobId::random(), 0, 30);
                store.pack(UploadId::from_bytes(job.subject), job.lease, copy).await?;
                continue;
            }
            let outcome = match self.random.below(3) {
                0 => Outcome::Done,
                1 => Outcome::Returned,
                _ => Outcome::Failed { error: "no".into(), retry_at: now },
            };
            store.settle_job(job.id, job.lease, outcome).await?;
        }
        store.retry_jobs(None, now).await.map(drop)
    }

    async fn begin_again(&mut self) -> Result<(), Error> {
        let store = self.store;
        let Some(new) = any(&self.known.uploads, &mut self.random) else { return Ok(()) };
        store.reserve(new.generation(), 30 + self.random.below(30), Quota::NONE).await?;
        store.doubt(new.generation()).await?;
        store.believe_upload(new.generation(), Vec::new()).await?;
        let next = Generation { id: GenerationId::random(), ..new.generation() };
        let blob = BlobId::random();
        if store.restart_upload(new.generation(), next.id, Some(blob)).await? {
            let again = NewUpload { generation: next.id, blob: Some(blob), ..new };
            remember(&self.known.uploads, again);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_steps_wait_for_each_other_whatever_they_are() {
    let seconds = setting("HAVERSACK_TEST_HUNT").unwrap_or(8);
    let seed = setting("HAVERSACK_TEST_SEED").unwrap_or(7);
    let cluster = Cluster::shared();
    // Looked for long before they would be found by accident.
    let url = format!("{}?options=-c%20deadlock_timeout%3D20ms", cluster.database("hunt"));
    let options = PostgresOptions { retry_timeout: Duration::from_mins(5), ..options(&url) };
    let open = || PostgresStore::open(options.clone(), Durability::default());
    let stores = [open().await.expect("it opens"), open().await.expect("it opens")];
    let (known, until) = (Known::default(), Instant::now() + Duration::from_secs(seconds));
    let mut hunters: Vec<_> = (0..CLIENTS)
        .map(|number| Hunter {
            store: &stores[number as usize % 2],
            known: &known,
            random: Random(seed + number),
            now: 1000,
        })
        .collect();
    let steps = future::join_all(hunters.iter_mut().map(|hunter| hunter.hunt(until))).await;
    for store in &stores {
        store.close().await.expect("closed");
    }
    let steps: u64 = steps.iter().sum();
    figures(format_args!("{steps} steps in {seconds} s, HAVERSACK_TEST_SEED={seed}"));
    tokio::task::block_in_place(|| {
        assert_no_deadlocks(cluster, "hunt");
        assert_eq!(cluster.sql("hunt", WRONG_SUMS), "", "sums are not what they sum up");
    });
}

/// Users, and uploads, whose sums differ from what they are of.
const WRONG_SUMS: &str = "
    WITH counted AS (
        SELECT user_id, sum(reserved) AS bytes, count(*) FILTER (WHERE state IN (0, 1) AND role = 0) AS files,
               count(*) FILTER (WHERE state = 0) AS unfinished
        FROM uploads GROUP BY user_id),
    of_users AS (
        SELECT user_id AS what FROM counted c FULL JOIN usage u USING (user_id)
        WHERE (coalesce(c.bytes, 0), coalesce(c.files, 0), coalesce(c.unfinished, 0))
              <> (coalesce(u.bytes, 0), coalesce(u.files, 0), coalesce(u.unfinished, 0))),
    of_uploads AS (
        SELECT id::text AS what FROM uploads u
        WHERE state = 0 AND (parts, received) <> (SELECT count(*), coalesce(sum(size), 0) FROM parts WHERE upload = seq)),
    of_all AS (
        SELECT 'all' AS what WHERE (SELECT sum(bytes) FROM total_usage) <> (SELECT coalesce(sum(reserved), 0) FROM uploads))
    SELECT * FROM of_users UNION ALL SELECT * FROM of_uploads UNION ALL SELECT * FROM of_all";
