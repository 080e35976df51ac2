//! Checks that records and bytes agree, and repairs what doesn't.
//!
//! A check changes nothing and takes no lock. Whatever seems wrong is checked twice, because a running server may have
//! changed it in between. A repair deletes bytes without a record, removes the records of Files whose bytes are
//! missing, and makes clients send lost chunks again. Files with wrong bytes are left alone, because their owner may
//! have a backup. If the disk with the bytes is not mounted, the check fails.

use std::collections::HashMap;
use std::fmt;

use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::ids::{BlobId, UploadId};
use crate::metadata::{MetadataStore, Record, State, StoredFile, Unfinished};
use crate::part;
use crate::storage::{self, BlobStore, Extent, Extents};
use crate::words::{self, bytes, counted};

/// A repair refuses to start if more files than this and more than one in a hundred are missing.
const MAX_MISSING: u64 = 10;
const NOT_MOUNTED: &str = "blobs/store-id is missing or belongs to another data directory: is the disk with blobs/ mounted?";
/// Number of records or blobs read at once.
const BATCH: u32 = 500;

/// What a check covered, and what it found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Whether records and bytes agree, after any repair.
    pub clean: bool,
    /// Number of Files on record, thumbnails included.
    pub files: u64,
    /// Number of unfinished uploads on record.
    pub unfinished: u64,
    /// Number of bytes on record.
    pub bytes: u64,
    /// The problems that are left.
    pub findings: Vec<Finding>,
    /// Number of problems that were repaired.
    pub repaired: u64,
}

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The kind of problem.
    pub kind: Kind,
    /// The upload or File; `None` for bytes without a record.
    pub uuid: Option<String>,
    /// The blob with the bytes, or the first of several.
    pub blob: String,
    /// Details for the operator.
    pub detail: String,
}

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Some or all bytes of a File are missing.
    MissingBytes,
    /// A File has more bytes than on record.
    WrongSize,
    /// A File's bytes don't match its checksum. Found only by a deep check.
    WrongChecksum,
    /// The bytes of recorded chunks are missing. A deep check also finds those that don't match their checksums.
    LostParts,
    /// Bytes that no record claims.
    StrayBytes,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingBytes => "bytes missing",
            Self::WrongSize => "wrong size",
            Self::WrongChecksum => "wrong checksum",
            Self::LostParts => "chunks lost",
            Self::StrayBytes => "stray bytes",
        })
    }
}

impl Report {
    /// Returns an error if many files are missing. A few may really be lost, but if many are missing at once, a disk is
    /// probably not mounted, or a backup not restored.
    fn refuse_if_many_are_missing(&self) -> Result<(), Failure> {
        let counts = [
            (Kind::MissingBytes, self.files, "files"),
            (Kind::LostParts, self.unfinished, "unfinished uploads"),
        ];
        for (kind, all, what) in counts {
            let missing =
                self.findings.iter().filter(|finding| finding.kind == kind).count() as u64;
            if missing > MAX_MISSING && missing.saturating_mul(100) > all {
                return Err(format!(
                    "{missing} of {all} {what} are missing their data; nothing was repaired. Is the disk that holds \
                     blobs/ mounted and fully restored? To repair anyway, and give them up, use \
                     --even-if-many-are-missing"
                )
                .into());
            }
        }
        Ok(())
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Compares every record with its bytes. Bytes without a record are reported if they were last written before
/// `strays_before` (unix seconds): newer ones may be about to get a record.
pub async fn check(
    metadata: &dyn MetadataStore,
    blobs: &dyn BlobStore,
    deep: bool,
    strays_before: u64,
) -> Result<Report, Failure> {
    // While the disk isn't mounted, nothing is known to be missing.
    if blobs.marker().await? != Some(metadata.store_id(BlobId::random()).await?) {
        return Err(NOT_MOUNTED.into());
    }
    let mut report = Report::default();
    let mut after = 0;
    loop {
        let (records, next) = metadata.all(after, BATCH).await?;
        for record in records {
            match &record.state {
                State::Finished(file) => {
                    report.files += 1;
                    report.bytes += file.size;
                }
                State::Receiving(unfinished) => {
                    report.unfinished += 1;
                    report.bytes += unfinished.layout.received_bytes();
                }
                _ => {}
            }
            if compare(blobs, &record, deep).await?.is_some()
                && let Some(again) = metadata.load(record.id).await?
            {
                report.findings.extend(compare(blobs, &again, deep).await?);
            }
        }
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    let mut old = blobs.list_older_than(strays_before).try_chunks(BATCH as usize);
    while let Some(some) = old.next().await {
        for blob in metadata.unclaimed(some.map_err(|stopped| stopped.1)?).await? {
            let size = blobs.size(blob).await?.unwrap_or(0);
            let detail = format!("{} without a record", bytes(size));
            let kind = Kind::StrayBytes;
            report.findings.push(Finding { kind, uuid: None, blob: blob.to_string(), detail });
        }
    }
    report.clean = report.findings.is_empty();
    Ok(report)
}

/// Checks, repairs what can be repaired, and checks again. The report lists the problems that are left, and counts
/// those that were repaired. If many files are missing, this fails and repairs nothing, unless
/// `even_if_many_are_missing` is set.
pub async fn repair(
    app: &App,
    deep: bool,
    even_if_many_are_missing: bool,
) -> Result<Report, Failure> {
    let (metadata, blobs) = app.stores();
    // Bytes that may be about to get a record must not be deleted.
    let strays_before = app.clock.unix_secs_ago(app.config.unclaimed_age());
    let found = check(metadata, blobs, deep, strays_before).await?;
    if !even_if_many_are_missing {
        found.refuse_if_many_are_missing()?;
    }
    for finding in &found.findings {
        repair_one(app, finding).await?;
    }
    let mut left = check(metadata, blobs, deep, strays_before).await?;
    left.repaired = (found.findings.len() as u64).saturating_sub(left.findings.len() as u64);
    Ok(left)
}

async fn repair_one(app: &App, finding: &Finding) -> Result<(), Failure> {
    let (_, blobs) = app.stores();
    let id = finding.uuid.as_deref().and_then(UploadId::parse);
    match (finding.kind, id, BlobId::parse(&finding.blob)) {
        (Kind::StrayBytes, _, Some(blob)) => {
            blobs.delete(&[blob]).await?;
        }
        (Kind::MissingBytes, Some(id), _) => app.uploads.remove_lost(id).await?,
        (Kind::LostParts, Some(id), _) => app.uploads.doubt(id).await?,
        _ => {}
    }
    Ok(())
}

/// Compares a record with its bytes. Returns what is wrong, if anything.
async fn compare(
    blobs: &dyn BlobStore,
    record: &Record,
    deep: bool,
) -> Result<Option<Finding>, Failure> {
    match &record.state {
        State::Finished(file) => compare_file(blobs, file, deep).await,
        State::Receiving(unfinished) => compare_parts(blobs, record.id, unfinished, deep).await,
        _ => Ok(None),
    }
}

async fn compare_file(
    blobs: &dyn BlobStore,
    file: &StoredFile,
    deep: bool,
) -> Result<Option<Finding>, Failure> {
    let (id, size) = (file.id, file.size);
    let mut sizes = Sizes::default();
    let present = sizes.bytes_present(blobs, &file.extents).await?;
    // A file in a blob of its own takes up all of it.
    let own = match file.extents.single_blob() {
        Some(blob) => sizes.size(blobs, blob).await?,
        None => size,
    };
    let (kind, detail) = match present {
        0 if size > 0 => (Kind::MissingBytes, format!("0 of {} left", bytes(size))),
        _ if present < size => (Kind::MissingBytes, format!("{present} of {} left", bytes(size))),
        _ if own > size => (Kind::WrongSize, format!("it has {} instead of {size}", bytes(own))),
        _ if deep => match storage::crc32(blobs, &file.extents).await? {
            Some(found) if found == file.crc32 => return Ok(None),
            Some(found) => {
                let expected = file.crc32;
                (Kind::WrongChecksum, format!("CRC-32 is {found:08x} instead of {expected:08x}"))
            }
            None => (Kind::MissingBytes, "it disappeared while it was being read".to_owned()),
        },
        _ => return Ok(None),
    };
    Ok(Some(finding(kind, Some(id), &file.extents, detail)))
}

async fn compare_parts(
    blobs: &dyn BlobStore,
    id: UploadId,
    unfinished: &Unfinished,
    deep: bool,
) -> Result<Option<Finding>, Failure> {
    let mut sizes = Sizes::default();
    let (mut lost, mut lost_bytes) = (Vec::new(), Extents::default());
    for (index, part) in unfinished.layout.parts() {
        let extents = unfinished.location.of(part.range());
        // Bytes that are being overwritten no longer match the parts' checksums. Finishing compares the whole file.
        let check_bytes = deep && unfinished.finalizing.is_none();
        let is_lost = sizes.bytes_present(blobs, &extents).await? < part.size
            || check_bytes && storage::crc32(blobs, &extents).await? != Some(part.crc32);
        if is_lost {
            lost.push(index);
            extents.iter().for_each(|extent| lost_bytes.push(*extent));
        }
    }
    if lost.is_empty() {
        return Ok(None);
    }
    let all = counted(unfinished.layout.parts().count(), "stored chunk");
    let which = words::ranges(&part::ranges(lost.iter().copied()));
    let detail = format!("{} of {all}: {which}", lost.len());
    Ok(Some(finding(Kind::LostParts, Some(id), &lost_bytes, detail)))
}

/// Sizes of blobs. Each blob is looked up only once.
#[derive(Default)]
struct Sizes(HashMap<BlobId, u64>);

impl Sizes {
    /// Returns the number of bytes in a blob, 0 if it doesn't exist.
    async fn size(&mut self, blobs: &dyn BlobStore, blob: BlobId) -> Result<u64, Failure> {
        if let Some(size) = self.0.get(&blob) {
            return Ok(*size);
        }
        let size = blobs.size(blob).await?.unwrap_or(0);
        self.0.insert(blob, size);
        Ok(size)
    }

    /// Returns how many bytes of these extents exist.
    async fn bytes_present(
        &mut self,
        blobs: &dyn BlobStore,
        extents: &Extents,
    ) -> Result<u64, Failure> {
        let mut present = 0;
        for extent in extents {
            present += match *extent {
                Extent::Zeros(size) => size,
                Extent::Stored { blob, offset, size } => {
                    self.size(blobs, blob).await?.saturating_sub(offset).min(size)
                }
            };
        }
        Ok(present)
    }
}

fn finding(kind: Kind, id: Option<UploadId>, extents: &Extents, detail: String) -> Finding {
    let blob = extents.blobs().first().map_or_else(String::new, |(blob, _)| blob.to_string());
    Finding { kind, uuid: id.map(|id| id.to_string()), blob, detail }
}
