//! Senders to an upload whose bytes arrive in order. One writes at a time, and a newer one that knows where the upload
//! ends replaces an older one.

use std::pin::pin;
use std::sync::Arc;

use super::{Entry, Sender, Shared, Tracked};
use crate::ids::BlobId;
use crate::metadata::{Generation, Record, State};

/// Outcome of an attempt to write at the end of an upload.
pub(in crate::uploads) enum AtEnd {
    /// The sender may write there, and no other sender of this process does.
    Granted(End),
    /// The upload ends elsewhere.
    Elsewhere {
        /// The end of the upload.
        end: u64,
    },
    /// Its parts have indexes.
    Indexed,
    /// It was joined from others.
    Joined,
    /// An older sender is stopping or committing: wait for [`Entry::released`](super::Entry::released).
    Busy,
    /// The sender must stop.
    Revoked,
    /// The record isn't loaded, or the upload is not receiving.
    NotReceiving,
}

/// The end of an upload.
#[derive(Clone, Copy)]
pub(in crate::uploads) struct End {
    /// The upload.
    pub(in crate::uploads) of: Generation,
    /// Its blob; `None` where the store doesn't write in place.
    pub(in crate::uploads) blob: Option<BlobId>,
    /// The file's size, once it is known.
    pub(in crate::uploads) total_size: Option<u64>,
    /// Whether the upload is a piece to be joined.
    pub(in crate::uploads) is_partial: bool,
}

impl Sender {
    /// Registers a sender that appends to the upload, or that asks where it ends. Later senders are newer.
    pub(in crate::uploads) fn at_end(shared: &Arc<Shared>, entry: Arc<Entry>) -> Self {
        Self::begin(shared, entry, None)
    }

    /// Tries to get the end of the upload, if that is at `offset`. Older senders are told to stop, unless they are
    /// committing: what they have not recorded yet comes again with this one.
    pub(in crate::uploads) fn look_at_end(&self, offset: u64) -> AtEnd {
        let mut tracked = self.entry.tracked();
        if self.revoked.is_cancelled() {
            return AtEnd::Revoked;
        }
        let Tracked { record, sending, .. } = &mut *tracked;
        let Some(Record { state: State::Receiving(unfinished), .. }) = record else {
            return AtEnd::NotReceiving;
        };
        let is_partial = match &unfinished.append {
            None => return AtEnd::Indexed,
            Some(append) if append.is_joined => return AtEnd::Joined,
            Some(append) => append.is_partial,
        };
        let end = unfinished.layout.end();
        if end != offset {
            return AtEnd::Elsewhere { end };
        }
        for older in sending.iter().filter(|other| other.serial < self.serial && !other.committing)
        {
            older.revoked.cancel();
        }
        if sending.iter().any(|other| other.serial != self.serial && other.appending) {
            return AtEnd::Busy;
        }
        if let Some(own) = sending.iter_mut().find(|own| own.serial == self.serial) {
            own.appending = true;
        }
        let blob = unfinished.location.blob();
        let (of, total_size) = (unfinished.generation(self.entry.id), unfinished.layout.total_size);
        AtEnd::Granted(End { of, blob, total_size, is_partial })
    }

    /// Tells older senders to stop after recording what they have, and waits until none is left.
    pub(in crate::uploads) async fn stop_older(&self) {
        loop {
            let mut released = pin!(self.entry.released.notified());
            released.as_mut().enable();
            if !self.tell_older_to_stop() {
                return;
            }
            released.await;
        }
    }

    /// Whether an older sender must record bytes first. One that has not begun to write ends at once.
    fn tell_older_to_stop(&self) -> bool {
        let tracked = self.entry.tracked();
        let mut is_writing = false;
        for older in tracked.sending.iter().filter(|other| other.serial < self.serial) {
            if older.appending {
                older.stopped.cancel();
                is_writing = true;
            } else {
                older.revoked.cancel();
            }
        }
        is_writing
    }

    /// From now on, a newer sender can stop this one again.
    pub(in crate::uploads) fn end_commit(&self) {
        let mut tracked = self.entry.tracked();
        if let Some(own) = tracked.sending.iter_mut().find(|own| own.serial == self.serial) {
            own.committing = false;
        }
        drop(tracked);
        self.entry.released.notify_waiters();
    }
}
