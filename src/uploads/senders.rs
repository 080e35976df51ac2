//! Senders, and how a newer one replaces an older one: a client whose connection broke sends again while the server
//! still waits for the first request. This doesn't prevent conflicting writes, which is up to claims in the store and
//! to the records.

mod append;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::entries::{Entry, Sending, Tracked};
use super::shared::Shared;
use super::{Refusal, withdraw};
use crate::ids::BlobId;
use crate::metadata::{Generation, Record, Standing, State};
use crate::part::{self, Declaration, Part, PartIndex, Placement, PlacementError};
use crate::storage::BodyError;
pub(super) use append::{AtEnd, End};

/// An active sender, until it is dropped. The last sender of an upload without chunks withdraws the upload.
pub(super) struct Sender {
    shared: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
    /// Cancelled when the sender must stop.
    pub(super) revoked: CancellationToken,
    /// Cancelled when the sender must stop after recording what it has.
    pub(super) stopped: CancellationToken,
    serial: u64,
}

/// Where the bytes of a part may go, according to the recorded parts.
pub(super) struct Place {
    /// The upload.
    pub(super) of: Generation,
    /// Its blob; `None` where the store doesn't write in place.
    pub(super) blob: Option<BlobId>,
    /// The range in the file. It ends where no more bytes can come.
    pub(super) range: Range<u64>,
    /// Whether exactly this many bytes are known to come.
    pub(super) is_sized: bool,
    /// Bytes of the upload that are on record.
    pub(super) stored: u64,
}

/// What the record says about a part that a sender wants to send.
pub(super) enum PartLookup {
    /// It belongs here, if no other sender writes here.
    Place(Place),
    /// The part is recorded: compare it and write nothing.
    Recorded(Part),
    /// Its place can't be determined or claimed before its size is known.
    NeedsSize,
    /// The record isn't loaded, or the upload is not receiving.
    NotReceiving,
}

impl Sender {
    /// Registers a sender of a part. Later senders are newer.
    pub(super) fn new(shared: &Arc<Shared>, entry: Arc<Entry>, index: PartIndex) -> Self {
        Self::begin(shared, entry, Some(index))
    }

    fn begin(shared: &Arc<Shared>, entry: Arc<Entry>, index: Option<PartIndex>) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let (revoked, stopped) = (CancellationToken::new(), CancellationToken::new());
        let mut tracked = entry.tracked();
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed); // under the lock, so that it is also the order of the list
        tracked.sending.push(Sending {
            serial,
            index,
            appending: false,
            revoked: revoked.clone(),
            stopped: stopped.clone(),
            committing: false,
            ended: None,
        });
        drop(tracked);
        Self { shared: Arc::clone(shared), entry, revoked, stopped, serial }
    }

    /// Looks up where the declaration and the record place the part. Older senders of the part are told to stop, unless
    /// they are committing. At most `bound` bytes can follow if the part's size isn't declared.
    pub(super) fn look(
        &self,
        declared: &Declaration,
        size: Option<u64>,
        bound: u64,
    ) -> Result<PartLookup, PlacementError> {
        let tracked = self.entry.tracked();
        let Tracked { record, sending, .. } = &*tracked;
        let Some(Record { state: State::Receiving(unfinished), .. }) = record else {
            return Ok(PartLookup::NotReceiving);
        };
        if let Some(part) = unfinished.layout.part(declared.index) {
            part::check_declaration(declared, &unfinished.layout, None)?;
            return Ok(PartLookup::Recorded(*part));
        }
        let Placement::At { start, .. } = part::place(declared, &unfinished.layout, size)? else {
            return Ok(PartLookup::NeedsSize);
        };
        for older in sending.iter().filter(|other| {
            other.index == Some(declared.index) && other.serial < self.serial && !other.committing
        }) {
            older.revoked.cancel();
        }
        let sized = size.or_else(|| part::declared_size(declared));
        if sized.is_none() && unfinished.layout.stored_from(start) {
            return Ok(PartLookup::NeedsSize);
        }
        Ok(PartLookup::Place(Place {
            of: unfinished.generation(self.entry.id),
            blob: unfinished.location.blob(),
            range: start..start.saturating_add(sized.unwrap_or(bound)),
            is_sized: sized.is_some(),
            stored: unfinished.layout.received_bytes(),
        }))
    }

    /// Why this sender was told to stop.
    pub(super) fn stop_reason(&self) -> Refusal {
        let tracked = self.entry.tracked();
        let own = tracked.sending.iter().find(|sending| sending.serial == self.serial);
        match own.and_then(|sending| sending.ended) {
            Some(Standing::Expired) => Refusal::Expired,
            Some(_) => Refusal::Removed,
            None => Refusal::Body(BodyError::Superseded),
        }
    }

    /// From now on, no newer sender stops this one. Returns `false` if one already has.
    pub(super) fn begin_commit(&self) -> bool {
        let mut tracked = self.entry.tracked();
        if self.revoked.is_cancelled() {
            return false;
        }
        if let Some(own) = tracked.sending.iter_mut().find(|own| own.serial == self.serial) {
            own.committing = true;
        }
        true
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let is_unused = self.entry.leave(self.serial);
        self.entry.released.notify_waiters();
        if is_unused {
            withdraw::spawn(&self.shared, &self.entry);
        }
    }
}
