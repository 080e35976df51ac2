//! The contract of a `MetadataStore`: removal, link keys, erasing users, and checks. Also contains what the other
//! contracts share.

use haversack::filename::Filename;
use haversack::ids::{BlobId, GenerationId, LeaseId, UploadId, UserId};
use haversack::media::privacy::EmbeddedMetadata;
use haversack::media::{Facts, MediaType};
use haversack::metadata::jobs::{Job, JobKind, JobStatus, Outcome};
use haversack::metadata::quota::Quota;
use haversack::metadata::{
    Begun, Caps, Generation, Listed, Location, MetadataStore, NewFile, NewPart, NewPicture,
    NewSingle, NewUpload, Recorded, Removed, Role, Snapshot, State, Stored, StoredFile, Unfinished,
};
use haversack::part::Part;
use haversack::storage::Extents;

use super::Records;

pub(crate) const ANNA: i64 = 1;
pub(crate) const BERT: i64 = i64::MAX;
/// Limits that no test reaches.
pub(crate) const NO_CAP: Caps =
    Caps { max_unfinished: u32::MAX, quota: Quota::NONE, idle_since: 0 };

pub(crate) fn name(text: &str) -> Filename {
    Filename::parse(text).expect("a name")
}

/// Something whose bytes are in one blob.
pub(crate) trait InBlob {
    fn blob(&self) -> BlobId;
}

impl InBlob for NewUpload {
    fn blob(&self) -> BlobId {
        self.blob.expect("the upload has a blob")
    }
}

impl InBlob for Unfinished {
    fn blob(&self) -> BlobId {
        match self.location {
            Location::InPlace(blob) => blob,
            Location::Apart(_) => panic!("each part has blobs of its own"),
        }
    }
}

impl InBlob for NewSingle {
    fn blob(&self) -> BlobId {
        self.file.extents.single_blob().expect("the upload has a blob")
    }
}

impl InBlob for NewPicture {
    fn blob(&self) -> BlobId {
        self.extents.single_blob().expect("the upload has a blob")
    }
}

impl InBlob for StoredFile {
    fn blob(&self) -> BlobId {
        self.extents.single_blob().expect("the upload has a blob")
    }
}

pub(crate) fn upload(user: impl Into<UserId>, total_parts: u32) -> NewUpload {
    NewUpload {
        id: UploadId::random(),
        user: user.into(),
        generation: GenerationId::random(),
        blob: Some(BlobId::random()),
        total_parts,
        append: None,
        reserved: 0,
        filename: None,
        declared_type: None,
        parent: None,
    }
}

/// Begins a new upload.
pub(crate) async fn begin(store: &dyn MetadataStore, new: &NewUpload, now: u64) {
    let begun = store.begin_upload(new.clone(), NO_CAP, now).await;
    assert_eq!(begun.expect("no error"), Begun::Begun { evicted: None });
}

pub(crate) fn plain_part(index: u32, offset: u64, size: u64) -> NewPart {
    NewPart {
        index,
        part: Part { offset, size, crc32: index ^ 0xDEAD_BEEF },
        extents: None,
        total_size: None,
        even_size: None,
    }
}

pub(crate) async fn record(
    store: &dyn MetadataStore,
    of: Generation,
    new: NewPart,
    now: u64,
) -> Recorded {
    store.record_part(of, new, now).await.expect("no error")
}

/// Returns a file that was received in these parts, in this blob.
pub(crate) fn file_of(received: Vec<Part>, blob: BlobId) -> NewFile {
    let size = received.iter().map(|part| part.size).sum();
    NewFile {
        filename: name("holiday.png"),
        named: true,
        made_up: false,
        facts: Facts {
            media_type: MediaType::parse("image/png").expect("a media type"),
            duration_secs: Some(7),
            width: Some(u32::MAX),
            height: Some(1),
        },
        embedded: EmbeddedMetadata::Kept,
        extents: Extents::stored(blob, 0, size),
        size,
        crc32: 0xFFFF_FFFF,
        received_md5: Some([7; 16]),
        received,
        drawable: true,
    }
}

/// Returns the snapshot of an upload that has lost no parts.
pub(crate) fn snapshot(new: &NewUpload) -> Snapshot {
    Snapshot { generation: new.generation(), epoch: 0 }
}

/// Returns an upload of Anna whose only part is recorded.
pub(crate) async fn received(store: &dyn MetadataStore) -> (NewUpload, NewPart) {
    let (new, part) = (upload(ANNA, 1), plain_part(0, 0, 10));
    begin(store, &new, 5).await;
    assert_eq!(record(store, new.generation(), part.clone(), 5).await, Recorded::Stored);
    (new, part)
}

/// Returns an upload of one part, finished at `now`.
pub(crate) async fn finished(
    store: &dyn MetadataStore,
    user: impl Into<UserId>,
    now: u64,
) -> NewUpload {
    let new = upload(user, 1);
    begin(store, &new, now).await;
    finish(store, &new, now).await;
    new
}

/// Records all parts of an upload, 10 bytes each, and makes a File of it.
pub(crate) async fn finish(store: &dyn MetadataStore, new: &NewUpload, now: u64) {
    let parts = (0..new.total_parts).map(|index| plain_part(index, u64::from(index) * 10, 10));
    let parts: Vec<NewPart> = parts.collect();
    for part in &parts {
        assert_eq!(record(store, new.generation(), part.clone(), now).await, Recorded::Stored);
    }
    let filename = new.filename.clone().unwrap_or_else(|| name("holiday.png"));
    let received = parts.iter().map(|part| part.part).collect();
    let file = NewFile { filename, ..file_of(received, new.blob()) };
    let of = unfinished(store, new.id).await.snapshot(new.id);
    let done = store.finish_upload(of, file, now).await;
    assert!(done.expect("no error"));
}

pub(crate) fn single(user: impl Into<UserId>, thumbnail_of: Option<UploadId>) -> NewSingle {
    NewSingle {
        id: UploadId::random(),
        user: user.into(),
        role: thumbnail_of.map_or(Role::Media, |_| Role::Thumbnail),
        parent: thumbnail_of,
        declared_type: Some("image/png".into()),
        file: NewFile {
            named: false,
            ..file_of(vec![plain_part(0, 0, 10).part], BlobId::random())
        },
    }
}

/// Stores a new single file, and returns the blobs of what it replaced.
pub(crate) async fn store_single(
    store: &dyn MetadataStore,
    new: &NewSingle,
    now: u64,
) -> Vec<BlobId> {
    to_delete(store).await;
    let stored = store.store_single(new.clone(), Quota::NONE, now).await;
    assert_eq!(stored.expect("no error"), Stored::Stored);
    to_delete(store).await
}

/// Returns the outcome of removing something with this many thumbnails, and bytes of them that counted.
pub(crate) fn removed(thumbnails: u64, thumbnail_bytes: u64) -> Removed {
    Removed::Removed { deletions: Vec::new(), thumbnails, thumbnail_bytes }
}

pub(crate) fn picture() -> NewPicture {
    let facts = Facts {
        media_type: MediaType::parse("image/jpeg").expect("a media type"),
        duration_secs: None,
        width: Some(512),
        height: Some(300),
    };
    let extents = Extents::stored(BlobId::random(), 0, 99);
    NewPicture { id: UploadId::random(), extents, size: 99, crc32: 98, facts }
}

/// Returns the subjects of the jobs of this kind, in the order in which they were recorded.
pub(crate) async fn subjects(store: &dyn MetadataStore, kind: JobKind) -> Vec<[u8; 16]> {
    let (jobs, _) = store.list_jobs(0, u32::MAX, 0).await.expect("no error");
    let of_kind = jobs.iter().filter(|job| job.kind == kind.name() && !job.set_aside);
    let number = |job: &JobStatus| u128::from_str_radix(&job.subject, 16).expect("hexadecimal");
    of_kind.map(|job| number(job).to_be_bytes()).collect()
}

/// Returns the Files of which a picture is to be made.
pub(crate) async fn undrawn(store: &dyn MetadataStore) -> Vec<UploadId> {
    subjects(store, JobKind::Thumbnail).await.into_iter().map(UploadId::from_bytes).collect()
}

/// Returns the blobs whose deletion became a job since the last call.
pub(crate) async fn to_delete(store: &dyn MetadataStore) -> Vec<BlobId> {
    let blobs = subjects(store, JobKind::Delete).await;
    let taken = store.take_jobs(&[JobKind::Delete], &[], u32::MAX, 1000, 2000).await;
    for job in taken.expect("no error") {
        assert!(store.settle_job(job.id, job.lease, Outcome::Done).await.expect("no error"));
    }
    blobs.into_iter().map(BlobId::from_bytes).collect()
}

/// Takes the job that makes a picture of this file; `None` if there is none.
pub(crate) async fn take_drawing(store: &dyn MetadataStore, id: UploadId) -> Option<Job> {
    let taken = store.take_jobs(&[JobKind::Thumbnail], &[], u32::MAX, 5, 2000).await;
    let mut wanted = None;
    for job in taken.expect("no error") {
        if job.subject == id.to_bytes() {
            wanted = Some(job);
        } else {
            store.settle_job(job.id, job.lease, Outcome::Returned).await.expect("no error");
        }
    }
    wanted
}

/// Ends the job that makes a picture of this file, and returns the blobs to delete.
pub(crate) async fn end_drawing(
    store: &dyn MetadataStore,
    id: UploadId,
    lease: LeaseId,
    picture: Option<NewPicture>,
) -> Vec<BlobId> {
    to_delete(store).await;
    store.end_drawing(id, lease, picture, 7).await.expect("no error");
    to_delete(store).await
}

/// Makes a picture of this file, and returns it and the blobs to delete.
pub(crate) async fn draw(store: &dyn MetadataStore, id: UploadId) -> (NewPicture, Vec<BlobId>) {
    let job = take_drawing(store, id).await.expect("a picture is wanted");
    let picture = picture();
    let unwanted = end_drawing(store, id, job.lease, Some(picture.clone())).await;
    (picture, unwanted)
}

/// Removes an upload or File, and returns the outcome and the blobs to delete.
pub(crate) async fn remove(
    store: &dyn MetadataStore,
    id: UploadId,
    even_attached: bool,
) -> (Removed, Vec<BlobId>) {
    to_delete(store).await;
    let mut removed = store.remove(id, even_attached, 7, 0).await.expect("no error");
    if let Removed::Removed { deletions, .. } = &mut removed {
        deletions.clear(); // they are recorded, too
    }
    (removed, to_delete(store).await)
}

/// Stores a thumbnail as sent by a client, makes its picture, and returns its uuid and the picture.
pub(crate) async fn thumbnail(
    store: &dyn MetadataStore,
    media: UploadId,
) -> (UploadId, NewPicture) {
    let sent = single(ANNA, Some(media));
    store_single(store, &sent, 6).await;
    let (picture, _) = draw(store, sent.id).await;
    (sent.id, picture)
}

pub(crate) async fn state(store: &dyn MetadataStore, id: UploadId) -> State {
    let record = store.load(id).await.expect("no error");
    record.expect("it is recorded").state
}

pub(crate) async fn unfinished(store: &dyn MetadataStore, id: UploadId) -> Unfinished {
    match state(store, id).await {
        State::Receiving(unfinished) => *unfinished,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn file(store: &dyn MetadataStore, id: UploadId) -> StoredFile {
    match state(store, id).await {
        State::Finished(file) => *file,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn removing_an_upload_deletes_its_bytes_once(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    record(store.as_ref(), new.generation(), plain_part(0, 0, 10), 5).await;
    let outcome = remove(store.as_ref(), new.id, false).await;
    assert_eq!(outcome, (removed(0, 0), vec![new.blob()]));
    for id in [new.id, new.id, UploadId::random()] {
        assert_eq!(remove(store.as_ref(), id, true).await, (Removed::Nothing, Vec::new()));
    }
    assert!(matches!(state(store.as_ref(), new.id).await, State::Removed));
}

pub(crate) async fn a_removed_upload_accepts_nothing_any_more(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    store.remove(new.id, false, 6, 0).await.expect("removed");
    let part = plain_part(0, 0, 10);
    assert_eq!(record(store.as_ref(), new.generation(), part.clone(), 7).await, Recorded::Refused);
    let file = file_of(vec![part.part], new.blob());
    let done = store.finish_upload(snapshot(&new), file, 7).await;
    assert!(!done.expect("no error"));
    let begun = store.begin_upload(new.clone(), NO_CAP, 7).await;
    assert_eq!(begun.expect("no error"), Begun::Exists);
    store.forget_expired(new.id).await.expect("no error");
    assert!(matches!(state(store.as_ref(), new.id).await, State::Removed));
}

pub(crate) async fn removing_a_file_removes_its_thumbnails(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await;
    let (shown, picture) = thumbnail(store.as_ref(), media.id).await;
    let waiting = single(ANNA, Some(media.id));
    store_single(store.as_ref(), &waiting, 6).await;
    let outcome = remove(store.as_ref(), media.id, false).await;
    let blobs = vec![media.blob(), picture.blob(), waiting.blob()];
    assert_eq!(outcome, (removed(2, 10), blobs), "only a thumbnail without its picture counts");
    assert_eq!(undrawn(store.as_ref()).await, [], "no picture is to be made any more");
    for id in [media.id, shown, waiting.id] {
        assert!(matches!(state(store.as_ref(), id).await, State::Removed));
    }
    let found = store.find_files(vec![media.id, shown]).await;
    assert!(found.expect("no error").iter().all(Option::is_none));
}

pub(crate) async fn removing_a_thumbnail_keeps_its_media(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await;
    let (shown, picture) = thumbnail(store.as_ref(), media.id).await;
    let outcome = remove(store.as_ref(), shown, false).await;
    assert_eq!(outcome, (removed(0, 0), vec![picture.blob()]));
    assert_eq!(file(store.as_ref(), media.id).await.thumbnail, None);
    let waiting = single(ANNA, Some(media.id));
    store_single(store.as_ref(), &waiting, 7).await;
    let outcome = remove(store.as_ref(), waiting.id, false).await;
    assert_eq!(outcome, (removed(0, 10), vec![waiting.blob()]));
}

pub(crate) async fn only_the_backend_can_remove_an_attached_file(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await;
    for _ in 0..2 {
        let unknown = UploadId::random();
        let attached = store.attach(vec![unknown, media.id]).await;
        attached.expect("no error");
    }
    assert!(file(store.as_ref(), media.id).await.attached);
    let by_owner = store.remove(media.id, false, 6, 0).await;
    assert_eq!(by_owner.expect("no error"), Removed::Attached);
    assert_eq!(file(store.as_ref(), media.id).await.blob(), media.blob());
    let by_backend = remove(store.as_ref(), media.id, true).await;
    assert_eq!(by_backend, (removed(0, 0), vec![media.blob()]));
}

pub(crate) async fn only_uuids_remain_of_an_erased_user(records: &dyn Records) {
    let store = records.open();
    let kept = finished(store.as_ref(), ANNA, 5).await;
    let others = upload(BERT, 1);
    begin(store.as_ref(), &others, 5).await;
    store.remove(others.id, false, 6, 0).await.expect("removed");
    let expired = upload(ANNA, 1);
    begin(store.as_ref(), &expired, 5).await;
    store.expire(100, 10, 101).await.expect("expired");
    let file = finished(store.as_ref(), ANNA, 200).await;
    let (replaced, _) = thumbnail(store.as_ref(), file.id).await;
    let (shown, _) = thumbnail(store.as_ref(), file.id).await;
    store.remove(file.id, false, 201, 0).await.expect("removed");

    let mut forgotten = store.forget_user(ANNA.into()).await.expect("no error");
    forgotten.sort();
    let mut expected = vec![expired.id, file.id, replaced, shown];
    expected.sort();
    assert_eq!(forgotten, expected);
    for id in forgotten {
        let record = store.load(id).await.expect("no error").expect("its uuid is known");
        assert!(record.user.is_none() && matches!(record.state, State::Erased), "{record:?}");
        let again = NewUpload { id, ..upload(BERT, 1) };
        let begun = store.begin_upload(again, NO_CAP, 300).await.expect("no error");
        assert_eq!(begun, Begun::Exists);
        let again = NewSingle { id, ..single(BERT, None) };
        let stored = store.store_single(again, Quota::NONE, 300).await.expect("no error");
        assert_eq!(stored, Stored::Exists);
        assert_eq!(store.remove(id, true, 300, 0).await.expect("no error"), Removed::Nothing);
    }
    assert!(matches!(state(store.as_ref(), kept.id).await, State::Finished(_)));
    assert!(matches!(state(store.as_ref(), others.id).await, State::Removed));
    assert_eq!(store.forget_user(ANNA.into()).await.expect("no error"), []);
    assert_eq!(store.usage(ANNA.into()).await.expect("no error").user_files, 1);
    store.scrub().await.expect("scrubbed");
    assert!(matches!(state(store.as_ref(), kept.id).await, State::Finished(_)));
}

/// User ids are text: different spellings of one number are different users.
pub(crate) async fn users_whose_ids_differ_in_one_byte_are_different(records: &dyn Records) {
    let store = records.open();
    let longest = "é".repeat(127);
    let names = ["7", "007", "7.0", " 7", "anna", "Anna", "' OR 1 --", &longest];
    let users = names.map(|name| UserId::parse(name).expect("a name"));
    let mut files = Vec::new();
    for user in &users {
        files.push(finished(store.as_ref(), user.clone(), 5).await);
    }
    for (user, file) in users.iter().zip(&files) {
        let record = store.load(file.id).await.expect("no error").expect("there");
        assert_eq!(record.user.as_ref(), Some(user));
        assert_eq!(store.usage(user.clone()).await.expect("no error").user_files, 1, "{user}");
        let (listed, _) = store.list(user.clone(), None, 9).await.expect("no error");
        assert_eq!(listed.iter().map(Listed::id).collect::<Vec<_>>(), [file.id], "{user}");
        let theirs = store.of_user(user.clone(), 9).await.expect("no error");
        assert_eq!(theirs.iter().map(|record| record.id).collect::<Vec<_>>(), [file.id], "{user}");
        let kind = JobKind::Thumbnail;
        assert_eq!(store.count_jobs(kind, user.clone(), 9).await.expect("no error"), 1, "{user}");
    }
    let taken = store.take_jobs(&[JobKind::Thumbnail], &users[1..], 9, 10, 70).await;
    let taken = taken.expect("no error");
    assert_eq!(taken.iter().map(|job| job.user.as_ref()).collect::<Vec<_>>(), [Some(&users[0])]);
    store.remove(files[1].id, false, 7, 0).await.expect("removed");
    for user in &users {
        let forgotten = store.forget_user(user.clone()).await.expect("no error");
        assert_eq!(forgotten.len(), usize::from(*user == users[1]), "{user}");
    }
}

pub(crate) async fn an_unfinished_upload_cannot_be_attached(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 1);
    begin(store.as_ref(), &new, 5).await;
    store.attach(vec![new.id]).await.expect("no error");
    let removed = store.remove(new.id, false, 6, 0).await.expect("no error");
    assert!(matches!(removed, Removed::Removed { .. }));
}

pub(crate) async fn blobs_are_claimed_until_their_records_forget_them(records: &dyn Records) {
    let store = records.open();
    let unfinished = upload(ANNA, 1);
    begin(store.as_ref(), &unfinished, 5).await;
    let media = finished(store.as_ref(), ANNA, 5).await;
    let thumbnail = single(ANNA, Some(media.id));
    store_single(store.as_ref(), &thumbnail, 5).await;
    let unclaimed_blob = BlobId::random();
    let all = vec![unfinished.blob(), unclaimed_blob, media.blob(), thumbnail.blob()];
    let unclaimed = store.unclaimed(all.clone()).await.expect("no error");
    assert_eq!(unclaimed, [unclaimed_blob]);
    for id in [unfinished.id, thumbnail.id] {
        store.remove(id, false, 6, 0).await.expect("removed");
    }
    let unclaimed = store.unclaimed(all).await.expect("no error");
    assert_eq!(unclaimed, [unfinished.blob(), unclaimed_blob, thumbnail.blob()]);
    let none = store.unclaimed(Vec::new()).await.expect("no error");
    assert!(none.is_empty());
}

pub(crate) async fn the_first_link_key_is_made_once(records: &dyn Records) {
    let store = records.open();
    let first = store.link_keys([5; 32], 5).await.expect("made");
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].secret, [5; 32]);
    let again = store.link_keys([6; 32], 6).await.expect("found");
    drop(store);
    let reopened = records.open().link_keys([7; 32], 7).await.expect("found");
    for keys in [again, reopened] {
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].id, keys[0].secret), (first[0].id, first[0].secret));
    }
}

/// Returns the secrets of the keys that are accepted at `now`, and until when.
async fn keys(store: &dyn MetadataStore, now: u64) -> Vec<(u8, Option<u64>)> {
    let keys = store.link_keys([0; 32], now).await.expect("no error");
    keys.iter().map(|key| (key.secret[0], key.accepted_until)).collect()
}

pub(crate) async fn rotated_keys_are_accepted_until_their_date(records: &dyn Records) {
    let store = records.open();
    store.link_keys([1; 32], 5).await.expect("made");
    store.rotate_link_key([2; 32], 100, 6).await.expect("rotated");
    assert_eq!(keys(store.as_ref(), 99).await, [(2, None), (1, Some(100))]);
    assert_eq!(keys(store.as_ref(), 100).await, [(2, None)]);
    store.rotate_link_key([3; 32], 50, 7).await.expect("rotated");
    let expected = [(3, None), (2, Some(50)), (1, Some(50))];
    assert_eq!(keys(store.as_ref(), 49).await, expected, "a later rotation can shorten the time");
    store.rotate_link_key([4; 32], 200, 60).await.expect("rotated");
    assert_eq!(keys(store.as_ref(), 61).await, [(4, None), (3, Some(200))]);
}

pub(crate) async fn the_check_of_a_healthy_store_succeeds(records: &dyn Records) {
    let store = records.open();
    store.check().await.expect("healthy");
}

pub(crate) async fn unknown_uuids_are_not_found(records: &dyn Records) {
    let (store, id) = (records.open(), UploadId::random());
    assert!(store.load(id).await.expect("no error").is_none());
    assert_eq!(store.received_parts(id).await.expect("no error"), None);
    let found = store.find_files(vec![id, id]).await.expect("no error");
    assert!(found.len() == 2 && found.iter().all(Option::is_none));
    store.forget_expired(id).await.expect("harmless");
    store.name_file(id, name("x")).await.expect("harmless");
}
