//! The contract of a `MetadataStore`: where bytes are stored.

use haversack::ids::{BlobId, GenerationId};
use haversack::metadata::jobs::{Job, JobKind, Outcome};
use haversack::metadata::{
    Generation, MetadataStore, NewFile, NewPart, NewUpload, Recorded, Removed,
};
use haversack::storage::{Extent, Extents};

use super::Records;
use super::records::{
    ANNA, InBlob, begin, file, file_of, plain_part, record, remove, removed, single, snapshot,
    store_single, unfinished, upload,
};

/// Returns a part of ten bytes in two blobs of its own, and the blobs.
fn part_apart(index: u32) -> (NewPart, [BlobId; 2]) {
    let blobs = [BlobId::random(), BlobId::random()];
    let extents = [
        Extent::Stored { blob: blobs[0], offset: 0, size: 6 },
        Extent::Stored { blob: blobs[1], offset: 5, size: 4 },
    ];
    let part = plain_part(index, u64::from(index) * 10, 10);
    (NewPart { extents: Some(Extents::from_iter(extents)), ..part }, blobs)
}

/// Returns an upload of three such parts, recorded out of order, with their extents and blobs.
async fn received_apart(store: &dyn MetadataStore) -> (NewUpload, Extents, Vec<BlobId>) {
    let new = NewUpload { blob: None, ..upload(ANNA, 3) };
    begin(store, &new, 5).await;
    let parts = [part_apart(0), part_apart(1), part_apart(2)];
    for at in [1, 2, 0] {
        let recorded = record(store, new.generation(), parts[at].0.clone(), 5).await;
        assert_eq!(recorded, Recorded::Stored);
    }
    let extents = parts.iter().filter_map(|(part, _)| part.extents.as_ref());
    let extents = extents.flat_map(Extents::iter).copied().collect();
    (new, extents, parts.iter().flat_map(|(_, blobs)| *blobs).collect())
}

/// Takes the jobs that delete blobs, and returns the blobs, sorted.
async fn deleted(store: &dyn MetadataStore) -> Vec<BlobId> {
    let jobs = store.take_jobs(&[JobKind::Delete], &[], u32::MAX, 1000, 2000).await;
    let mut all = Vec::new();
    for job in jobs.expect("no error") {
        all.extend(job.deleted().0);
        store.settle_job(job.id, job.lease, Outcome::Done).await.expect("no error");
    }
    all.sort();
    all
}

async fn claimed(store: &dyn MetadataStore, blobs: &[BlobId]) -> Vec<BlobId> {
    let unclaimed = store.unclaimed(blobs.to_vec()).await.expect("no error");
    blobs.iter().copied().filter(|blob| !unclaimed.contains(blob)).collect()
}

fn sorted(mut blobs: Vec<BlobId>) -> Vec<BlobId> {
    blobs.sort();
    blobs
}

pub(crate) async fn parts_in_separate_blobs_are_loaded(records: &dyn Records) {
    let (new, extents, blobs) = received_apart(records.open().as_ref()).await;
    let store = records.open();
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!(found.location.of(0..30), extents);
    assert_eq!(found.location.of(10..20), extents.slice(10..20));
    assert_eq!(sorted(found.location.blobs()), sorted(blobs.clone()));
    assert_eq!(claimed(store.as_ref(), &blobs).await, blobs);
}

pub(crate) async fn a_refused_part_claims_nothing(records: &dyn Records) {
    let store = records.open();
    let (new, extents, _) = received_apart(store.as_ref()).await;
    let (again, blobs) = part_apart(1);
    let (contradicting, more) = part_apart(2);
    let contradicting = NewPart { total_size: Some(7), ..contradicting };
    for (part, blobs) in [(again, blobs), (contradicting, more)] {
        assert_eq!(record(store.as_ref(), new.generation(), part, 6).await, Recorded::Refused);
        assert_eq!(claimed(store.as_ref(), &blobs).await, []);
    }
    assert_eq!(unfinished(store.as_ref(), new.id).await.location.of(0..30), extents);
}

pub(crate) async fn a_file_has_the_extents_of_its_parts_or_of_the_rewritten_bytes(
    records: &dyn Records,
) {
    for cleaned in [false, true] {
        let store = records.open();
        let (new, mut extents, blobs) = received_apart(store.as_ref()).await;
        let literals = BlobId::random();
        let mut kept = blobs.clone();
        if cleaned {
            let literal = Extent::Stored { blob: literals, offset: 0, size: 6 };
            let rest = extents.slice(10..30);
            extents = [literal, Extent::Zeros(4)].iter().chain(&rest).copied().collect();
            kept = [&[literals], &blobs[2..]].concat();
        }
        let received = [0, 1, 2].map(|index| part_apart(index).0.part).to_vec();
        let new_file = NewFile { extents: extents.clone(), ..file_of(received, literals) };
        assert!(store.finish_upload(snapshot(&new), new_file, 7).await.expect("no error"));
        drop(store);
        let store = records.open();
        assert_eq!(file(store.as_ref(), new.id).await.extents, extents);
        let dropped = if cleaned { sorted(blobs[..2].to_vec()) } else { Vec::new() };
        assert_eq!(deleted(store.as_ref()).await, dropped);
        assert_eq!(claimed(store.as_ref(), &kept).await, kept);
        assert_eq!(claimed(store.as_ref(), &dropped).await, []);

        store.remove(new.id, false, 8, 0).await.expect("removed");
        assert_eq!(deleted(store.as_ref()).await, sorted(kept.clone()));
        assert_eq!(claimed(store.as_ref(), &kept).await, []);
    }
}

pub(crate) async fn removing_deletes_all_blobs_in_one_job(records: &dyn Records) {
    let store = records.open();
    let (new, _, blobs) = received_apart(store.as_ref()).await;
    let outcome = store.remove(new.id, false, 7, 2000).await.expect("removed");
    let Removed::Removed { deletions, .. } = outcome else { panic!("{outcome:?}") };
    let [deletion]: &[Job; 1] = deletions.as_slice().try_into().expect("one job");
    let (all, of) = deletion.deleted();
    assert_eq!((sorted(all), of), (sorted(blobs), Some(new.id)));
}

pub(crate) async fn an_upload_with_parts_in_separate_blobs_can_restart(records: &dyn Records) {
    let store = records.open();
    let (new, _, blobs) = received_apart(store.as_ref()).await;
    let next = GenerationId::random();
    assert!(store.restart_upload(new.generation(), next, None).await.expect("no error"));
    assert_eq!(deleted(store.as_ref()).await, sorted(blobs));
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!((found.generation, found.location.blobs()), (next, Vec::new()));
    let (part, _) = part_apart(1);
    let extents = part.extents.clone().expect("it lies apart");
    let successor = Generation { upload: new.id, id: next };
    assert_eq!(record(store.as_ref(), successor, part, 8).await, Recorded::Stored);
    assert_eq!(unfinished(store.as_ref(), new.id).await.location.of(10..20), extents);
}

pub(crate) async fn a_lost_part_can_be_recorded_again_in_another_blob(records: &dyn Records) {
    let store = records.open();
    let (new, extents, blobs) = received_apart(store.as_ref()).await;
    let (again, fresh) = part_apart(1);
    store.in_place().doubt(new.generation()).await.expect("no error");
    store
        .in_place()
        .believe_upload(new.generation(), vec![(1, again.part)])
        .await
        .expect("no error");
    assert_eq!(deleted(store.as_ref()).await, sorted(blobs[2..4].to_vec()));
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!(found.location.of(10..20), Extents::default());
    assert_eq!(found.location.of(20..30), extents.slice(20..30));
    let elsewhere = again.extents.clone().expect("it lies apart");
    assert_eq!(record(store.as_ref(), new.generation(), again, 6).await, Recorded::Stored);
    assert_eq!(unfinished(store.as_ref(), new.id).await.location.of(10..20), elsewhere);
    assert_eq!(claimed(store.as_ref(), &fresh).await, fresh);
}

pub(crate) async fn an_empty_file_has_no_blob(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 1);
    let blob = new.blob();
    begin(store.as_ref(), &new, 5).await;
    let part = plain_part(0, 0, 0);
    let recorded = record(store.as_ref(), new.generation(), part.clone(), 5).await;
    assert_eq!(recorded, Recorded::Stored);
    let empty = file_of(vec![part.part], blob);
    assert!(empty.extents.is_empty());
    assert!(store.finish_upload(snapshot(&new), empty.clone(), 6).await.expect("no error"));
    assert_eq!(deleted(store.as_ref()).await, [blob]);
    let mut alone = single(ANNA, None);
    alone.file = empty;
    store_single(store.as_ref(), &alone, 6).await;
    for id in [new.id, alone.id] {
        assert!(file(store.as_ref(), id).await.extents.is_empty());
        assert_eq!(remove(store.as_ref(), id, false).await, (removed(0, 0), Vec::new()));
    }
}
