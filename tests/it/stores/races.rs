//! The contract of a `MetadataStore` with concurrent steps: each decision is made once.

use std::sync::Arc;

use futures_util::future;
use haversack::ids::UploadId;
use haversack::metadata::jobs::JobKind;
use haversack::metadata::quota::Quota;
use haversack::metadata::{
    Begun, Caps, MetadataStore, NewPart, NewSingle, NewUpload, Recorded, Removed, State, Stored,
};

use super::Records;
use super::records::{
    ANNA, InBlob, NO_CAP, begin, file, file_of, finished, name, picture, plain_part, record,
    single, snapshot, state, to_delete, unfinished, upload,
};

/// Number of concurrent tasks.
const TASKS: u32 = 64;

/// Runs `step` in many concurrent tasks, on several threads.
async fn concurrently<T, F>(
    store: &Arc<dyn MetadataStore>,
    step: impl Fn(Arc<dyn MetadataStore>, u32) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks = (0..TASKS).map(|number| tokio::spawn(step(Arc::clone(store), number)));
    let outcomes = future::join_all(tasks).await;
    outcomes.into_iter().map(|outcome| outcome.expect("no panic")).collect()
}

fn count<T: PartialEq>(outcomes: &[T], wanted: &T) -> usize {
    outcomes.iter().filter(|outcome| *outcome == wanted).count()
}

pub(crate) async fn one_of_many_concurrent_begins_wins(records: &dyn Records) {
    let store = records.open();
    let id = upload(ANNA, 1).id;
    let outcomes = concurrently(&store, |store, number| async move {
        let new = NewUpload { id, ..upload(ANNA, number + 1) };
        let blob = new.blob();
        (store.begin_upload(new, NO_CAP, 5).await.expect("no error"), blob)
    })
    .await;
    let begun: Vec<_> = outcomes.iter().filter(|(begun, _)| *begun != Begun::Exists).collect();
    assert_eq!(begun.len(), 1);
    assert_eq!(unfinished(store.as_ref(), id).await.blob(), begun[0].1);
}

pub(crate) async fn the_cap_is_exact_under_concurrent_begins(records: &dyn Records) {
    let store = records.open();
    let cap = Caps { max_unfinished: 10, quota: Quota::NONE, idle_since: 0 };
    let outcomes = concurrently(&store, |store, _| async move {
        let new = upload(ANNA, 1);
        let begun = store.begin_upload(new.clone(), cap, 5).await.expect("no error");
        if begun != Begun::TooMany {
            record(store.as_ref(), new.generation(), plain_part(0, 0, 10), 5).await;
        }
        begun
    })
    .await;
    assert_eq!(count(&outcomes, &Begun::Begun { evicted: None }), 10);
    assert_eq!(count(&outcomes, &Begun::TooMany), 54);
    let (page, _) = store.list(ANNA.into(), None, 100).await.expect("no error");
    assert_eq!(page.len(), 10);
}

pub(crate) async fn one_of_many_concurrent_parts_with_one_index_wins(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 3);
    begin(store.as_ref(), &new, 5).await;
    let (id, of) = (new.id, new.generation());
    let outcomes = concurrently(&store, |store, number| async move {
        let mut part = plain_part(1, 10, 10);
        part.part.crc32 = number;
        (record(store.as_ref(), of, part.clone(), 6).await, part.part)
    })
    .await;
    let stored: Vec<_> = outcomes.iter().filter(|(r, _)| *r == Recorded::Stored).collect();
    assert_eq!(stored.len(), 1);
    let layout = unfinished(store.as_ref(), id).await.layout;
    assert_eq!(layout.part(1), Some(&stored[0].1));
}

pub(crate) async fn all_concurrently_recorded_parts_are_kept(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, TASKS);
    begin(store.as_ref(), &new, 5).await;
    let (id, of) = (new.id, new.generation());
    let outcomes = concurrently(&store, |store, number| async move {
        let part = plain_part(number, u64::from(number) * 10, 10);
        record(store.as_ref(), of, part, 6).await
    })
    .await;
    assert_eq!(count(&outcomes, &Recorded::Stored), TASKS as usize);
    let layout = unfinished(store.as_ref(), id).await.layout;
    assert_eq!(layout.contiguous_size(), Ok(u64::from(TASKS) * 10));
    assert!(layout.missing().is_empty());
}

pub(crate) async fn one_of_many_contradicting_totals_wins(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, TASKS);
    begin(store.as_ref(), &new, 5).await;
    let (id, of) = (new.id, new.generation());
    let outcomes = concurrently(&store, |store, number| async move {
        let part = NewPart {
            total_size: Some(1000 + u64::from(number % 4)),
            ..plain_part(number, u64::from(number) * 10, 10)
        };
        (record(store.as_ref(), of, part.clone(), 6).await, part.total_size)
    })
    .await;
    let layout = unfinished(store.as_ref(), id).await.layout;
    let recorded = layout.total_size;
    for (outcome, total_size) in outcomes {
        assert_eq!(outcome == Recorded::Stored, total_size == recorded);
    }
    assert_eq!(layout.parts().count(), 16);
}

pub(crate) async fn one_of_many_concurrent_finishes_wins(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 1);
    begin(store.as_ref(), &new, 5).await;
    let part = plain_part(0, 0, 10);
    record(store.as_ref(), new.generation(), part.clone(), 5).await;
    let (id, of, blob, received) = (new.id, snapshot(&new), new.blob(), part.part);
    let outcomes = concurrently(&store, |store, number| async move {
        let mut file = file_of(vec![received], blob);
        file.filename = name(&format!("{number}.png"));
        let name = file.filename.clone();
        (store.finish_upload(of, file, 6).await.expect("no error"), name)
    })
    .await;
    let finished: Vec<_> = outcomes.iter().filter(|(done, _)| *done).collect();
    assert_eq!(finished.len(), 1);
    assert_eq!(file(store.as_ref(), id).await.filename, finished[0].1);
}

pub(crate) async fn a_concurrent_removal_and_finish_leave_no_bytes_behind(records: &dyn Records) {
    let store = records.open();
    for _ in 0..32 {
        let new = upload(ANNA, 1);
        begin(store.as_ref(), &new, 5).await;
        let part = plain_part(0, 0, 10);
        record(store.as_ref(), new.generation(), part.clone(), 5).await;
        let (finisher, remover) = (Arc::clone(&store), Arc::clone(&store));
        let (id, of, blob) = (new.id, snapshot(&new), new.blob());
        let finish = tokio::spawn(async move {
            let file = file_of(vec![part.part], blob);
            finisher.finish_upload(of, file, 6).await
        });
        let remove = tokio::spawn(async move { remover.remove(id, false, 6, 0).await });
        finish.await.expect("no panic").expect("no error");
        let outcome = remove.await.expect("no panic").expect("no error");
        assert!(matches!(outcome, Removed::Removed { .. }));
        assert_eq!(to_delete(store.as_ref()).await, [new.blob()], "whichever was first");
        assert!(matches!(state(store.as_ref(), id).await, State::Removed));
    }
}

pub(crate) async fn a_concurrent_attachment_and_removal_agree(records: &dyn Records) {
    let store = records.open();
    for _ in 0..32 {
        let new = finished(store.as_ref(), ANNA, 5).await;
        let (attacher, remover) = (Arc::clone(&store), Arc::clone(&store));
        let id = new.id;
        let attach = tokio::spawn(async move { attacher.attach(vec![id]).await });
        let remove = tokio::spawn(async move { remover.remove(id, false, 6, 0).await });
        attach.await.expect("no panic").expect("no error");
        match remove.await.expect("no panic").expect("no error") {
            Removed::Attached => assert!(file(store.as_ref(), id).await.attached),
            Removed::Removed { .. } => {
                assert_eq!(to_delete(store.as_ref()).await, [new.blob()]);
                assert!(matches!(state(store.as_ref(), id).await, State::Removed));
            }
            Removed::Nothing => panic!("the file existed"),
        }
    }
}

pub(crate) async fn one_of_many_concurrent_single_files_wins(records: &dyn Records) {
    let store = records.open();
    let id = single(ANNA, None).id;
    let outcomes = concurrently(&store, |store, _| async move {
        let new = NewSingle { id, ..single(ANNA, None) };
        let blob = new.blob();
        (store.store_single(new, Quota::NONE, 5).await.expect("no error"), blob)
    })
    .await;
    let stored: Vec<_> = outcomes.iter().filter(|(stored, _)| *stored != Stored::Exists).collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(file(store.as_ref(), id).await.blob(), stored[0].1);
}

pub(crate) async fn all_but_one_of_many_concurrent_thumbnails_are_replaced(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let outcomes = concurrently(&store, |store, _| async move {
        let sent = single(ANNA, Some(media));
        let stored = store.store_single(sent.clone(), Quota::NONE, 6).await.expect("no error");
        assert_eq!(stored, Stored::Stored);
        let mut written = vec![sent.blob()];
        // Possibly the job of another thumbnail.
        let job = store.take_jobs(&[JobKind::Thumbnail], &[], 1, 7, 1000).await.expect("no error");
        if let Some(job) = job.first() {
            let (of, picture) = (UploadId::from_bytes(job.subject), picture());
            written.push(picture.blob());
            store.end_drawing(of, job.lease, Some(picture), 7).await.expect("no error");
        }
        written
    })
    .await;
    let mut forgotten = to_delete(store.as_ref()).await;
    let mut unclaimed = store.unclaimed(outcomes.concat()).await.expect("no error");
    unclaimed.sort();
    forgotten.sort();
    assert_eq!(unclaimed, forgotten, "each blob is deleted once");
}

pub(crate) async fn a_late_part_saves_an_upload_or_is_refused(records: &dyn Records) {
    let store = records.open();
    for _ in 0..32 {
        let new = upload(ANNA, 2);
        begin(store.as_ref(), &new, 5).await;
        let (recorder, expirer) = (Arc::clone(&store), Arc::clone(&store));
        let (id, of) = (new.id, new.generation());
        let late =
            tokio::spawn(
                async move { record(recorder.as_ref(), of, plain_part(0, 0, 10), 100).await },
            );
        let expiry = tokio::spawn(async move { expirer.expire(50, 10, 100).await });
        let recorded = late.await.expect("no panic");
        let expired = expiry.await.expect("no panic").expect("no error");
        match recorded {
            Recorded::Stored => {
                assert_eq!(expired, []);
                assert_eq!(unfinished(store.as_ref(), id).await.layout.present(), [(0, 0)]);
            }
            Recorded::Refused => assert_eq!(expired, [id]),
        }
        store.remove(id, false, 100, 0).await.expect("removed");
    }
}

pub(crate) async fn cancelling_the_caller_of_a_change_breaks_nothing(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, TASKS);
    begin(store.as_ref(), &new, 5).await;
    let recorders: Vec<_> = (0..TASKS)
        .map(|number| {
            let (store, of) = (Arc::clone(&store), new.generation());
            tokio::spawn(async move {
                let part = plain_part(number, u64::from(number) * 10, 10);
                record(store.as_ref(), of, part, 6).await
            })
        })
        .collect();
    for recorder in recorders.iter().step_by(2) {
        recorder.abort();
    }
    let outcomes = future::join_all(recorders).await;
    let layout = unfinished(store.as_ref(), new.id).await.layout;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        if outcome.is_ok() {
            assert!(layout.part(index as u32).is_some(), "part {index} was acknowledged");
        }
    }
    store.check().await.expect("healthy");
}
