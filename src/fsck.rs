//! Whether records and bytes agree, and how to mend what doesn't.
//!
//! Looking changes nothing and needs no lock: what seems wrong is looked at twice, since a running server may have
//! changed it meanwhile. Mending removes what nothing belongs to, gives up Files whose bytes are gone, and lets
//! missing chunks be sent again; bytes that merely differ are left for whoever has a backup. Where the disk with the
//! bytes is not mounted, nobody can look.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::ids::{BlobId, UploadId};
use crate::metadata::{MetadataStore, Record, State, StoredFile, Unfinished};
use crate::part;
use crate::storage::{self, BlobStore};
use crate::words::{self, bytes, counted};

/// So many files may be missing, or one in a hundred, before a repair asks whether they are really lost.
const MISSING_AT_MOST: u64 = 10;
const NOT_MOUNTED: &str =
    "blobs/store-id is missing or another store's: is the disk that holds blobs/ mounted?";
/// Records looked at in one go.
const BATCH: u32 = 500;

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Whether nothing is wrong (any more).
    pub clean: bool,
    /// Files and thumbnails on record.
    pub files: u64,
    /// Unfinished uploads on record.
    pub unfinished: u64,
    /// Bytes that the records speak of.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Of these, how many were mended.
    pub repaired: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// The upload or File that it concerns.
    pub uuid: Option<String>,
    /// Its bytes.
    pub blob: String,
    /// In words, with the numbers.
    pub detail: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A File without (all of) its bytes.
    MissingBytes,
    /// A File with more bytes than on record.
    WrongSize,
    /// A File with other bytes than were received; only looked for when asked to.
    WrongChecksum,
    /// Chunks on record whose bytes are not there, or others.
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
    /// Single files get lost; many at once are on a disk that was not mounted, or in a backup not restored yet.
    fn refuse_if_much_is_missing(&self) -> Result<(), Failure> {
        let counts = [
            (Kind::MissingBytes, self.files, "files"),
            (Kind::LostParts, self.unfinished, "unfinished uploads"),
        ];
        for (kind, all, what) in counts {
            let missing =
                self.findings.iter().filter(|finding| finding.kind == kind).count() as u64;
            if missing > MISSING_AT_MOST && missing.saturating_mul(100) > all {
                return Err(format!(
                    "{missing} of {all} {what} lack bytes, and nothing was repaired: is the disk that holds \
                     blobs/ mounted, and all of it restored? --even-if-most-are-missing repairs all the same, \
                     and gives up files whose bytes are gone"
                )
                .into());
            }
        }
        Ok(())
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Compares every record with its bytes. Bytes that no record claims count when nothing wrote to them since
/// `strays_before` (unix seconds): younger ones may be on their way.
pub async fn check(
    metadata: &dyn MetadataStore,
    blobs: &dyn BlobStore,
    deep: bool,
    strays_before: u64,
) -> Result<Report, Failure> {
    // Nothing is missing from a disk that is not there.
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
    let old = blobs.list_older_than(strays_before).await?;
    for blob in metadata.unclaimed(old).await? {
        let size = blobs.size(blob).await?;
        let detail = format!("{} that no record claims", bytes(size.unwrap_or(0)));
        report.findings.push(finding(Kind::StrayBytes, None, blob, detail));
    }
    report.clean = report.findings.is_empty();
    Ok(report)
}

/// Compares, mends what can be mended, and compares again: the report says what is left, and how much is not.
/// Where much is missing at once, nothing is mended unless `even_if_most_are_missing`.
pub async fn repair(
    app: &App,
    deep: bool,
    even_if_most_are_missing: bool,
) -> Result<Report, Failure> {
    let (metadata, blobs) = app.stores();
    // Bytes that may be on their way into a record are never strays, whoever asks.
    let strays_before = app.clock.unix_secs_ago(app.config.unclaimed_age());
    let found = check(metadata, blobs, deep, strays_before).await?;
    if !even_if_most_are_missing {
        found.refuse_if_much_is_missing()?;
    }
    for finding in &found.findings {
        mend(app, finding).await?;
    }
    let mut left = check(metadata, blobs, deep, strays_before).await?;
    left.repaired = (found.findings.len() as u64).saturating_sub(left.findings.len() as u64);
    Ok(left)
}

async fn mend(app: &App, finding: &Finding) -> Result<(), Failure> {
    let (_, blobs) = app.stores();
    let id = finding.uuid.as_deref().and_then(UploadId::parse);
    match (finding.kind, id, BlobId::parse(&finding.blob)) {
        (Kind::StrayBytes, _, Some(blob)) => {
            blobs.delete(blob).await?;
        }
        (Kind::MissingBytes, Some(id), _) => app.uploads.give_up(id).await?,
        (Kind::LostParts, Some(id), _) => app.uploads.doubt(id).await?,
        _ => {}
    }
    Ok(())
}

/// What is wrong with one record.
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
    let none = format!("none of {} is there", bytes(size));
    let (kind, detail) = match blobs.size(file.blob).await? {
        None => (Kind::MissingBytes, none),
        Some(0) if size > 0 => (Kind::MissingBytes, none),
        Some(found) if found < size => {
            (Kind::MissingBytes, format!("only {found} of {} is there", bytes(size)))
        }
        Some(found) if found > size => {
            (Kind::WrongSize, format!("it has {} instead of {size}", bytes(found)))
        }
        Some(_) if deep => match storage::crc32(blobs, file.blob, 0..size).await? {
            Some(found) if found == file.crc32 => return Ok(None),
            Some(found) => {
                let expected = file.crc32;
                (Kind::WrongChecksum, format!("CRC-32 is {found:08x} instead of {expected:08x}"))
            }
            None => (Kind::MissingBytes, "it went away while it was read".to_owned()),
        },
        Some(_) => return Ok(None),
    };
    Ok(Some(finding(kind, Some(id), file.blob, detail)))
}

async fn compare_parts(
    blobs: &dyn BlobStore,
    id: UploadId,
    unfinished: &Unfinished,
    deep: bool,
) -> Result<Option<Finding>, Failure> {
    let there = blobs.size(unfinished.blob).await?.unwrap_or(0);
    let mut lost = Vec::new();
    for (index, part) in unfinished.layout.parts() {
        // What is being overwritten has other checksums than its parts: finishing compares the whole.
        let to_read = deep && unfinished.finalizing.is_none();
        let gone = part.range().end > there
            || to_read
                && storage::crc32(blobs, unfinished.blob, part.range()).await? != Some(part.crc32);
        if gone {
            lost.push(index);
        }
    }
    if lost.is_empty() {
        return Ok(None);
    }
    let all = counted(unfinished.layout.parts().count(), "stored chunk");
    let which = words::ranges(&part::ranges(lost.iter().copied()));
    let detail = format!("{} of {all}: {which}", lost.len());
    Ok(Some(finding(Kind::LostParts, Some(id), unfinished.blob, detail)))
}

fn finding(kind: Kind, id: Option<UploadId>, blob: BlobId, detail: String) -> Finding {
    Finding { kind, uuid: id.map(|id| id.to_string()), blob: blob.to_string(), detail }
}
