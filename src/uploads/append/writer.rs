//! Writes at the end of an upload: from the body of a request to records.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;

use super::body::{has_more, piece};
use crate::crash::{self, Point};
use crate::ids::UserId;
use crate::metadata::jobs::Settled;
use crate::metadata::{Appended, Generation, NewBytes};
use crate::part::PIECE;
use crate::storage::{BodyError, Claim, Incoming, Target, WriteError, Written};
use crate::uploads::checksum::Checksum;
use crate::uploads::complete::{self, Finishing};
use crate::uploads::progress::Progress;
use crate::uploads::restart::restart;
use crate::uploads::senders::{End, Sender};
use crate::uploads::shared::{Shared, detached};
use crate::uploads::{AppendRequest, Refusal, Spool, records, room};

const NO_BYTES: Written = Written { size: 0, crc32: 0 };

/// Writes at the end of an upload.
pub(super) struct Writer {
    shared: Arc<Shared>,
    sender: Arc<Sender>,
    /// The claimed range; `None` if the store doesn't write in place.
    claim: Option<Claim>,
    user: UserId,
    granted: End,
    /// Offset of the next byte. All bytes before it are recorded.
    at: u64,
    total_size: Option<u64>,
    /// Whether the last byte of the upload is recorded as such.
    is_completed: bool,
    /// The task that finishes the upload, started with the last byte of the file.
    finishing: Option<Finishing>,
}

impl Writer {
    /// Creates a writer for a sender that was granted the end of the upload.
    pub(super) fn new(
        shared: &Arc<Shared>,
        sender: Sender,
        claim: Option<Claim>,
        granted: End,
        request: &AppendRequest,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            sender: Arc::new(sender),
            claim,
            user: request.user.clone(),
            granted,
            at: request.offset,
            total_size: granted.total_size,
            is_completed: false,
            finishing: None,
        }
    }

    /// Checks what a request declares before its first byte is read, and records the file's size if it is new and more
    /// bytes must follow. A size that makes the upload complete is recorded in [`Writer::end`], once the body is known to
    /// bring no bytes.
    pub(super) async fn check(&mut self, request: &AppendRequest) -> Result<(), Refusal> {
        let limits = &self.shared.limits;
        if let (Some(sent), Some(recorded)) = (request.total_size, self.total_size)
            && sent != recorded
        {
            return Err(Refusal::TotalChanged { sent, recorded });
        }
        limits.check_total(request.total_size)?;
        let end = self.at.saturating_add(request.length.unwrap_or(0));
        let total_size = self.total_size.or(request.total_size);
        match total_size {
            Some(total) if end > total => return Err(Refusal::BeyondTotal { total }),
            _ => limits.check_end(end)?,
        }
        let entry = &self.sender.entry;
        let all = total_size.unwrap_or(end);
        room::reserve_all(&self.shared, entry, self.granted.of, all).await?;
        let is_new = self.total_size.is_none() && total_size.is_some();
        self.total_size = total_size;
        if is_new && !self.is_complete() {
            self.record(NO_BYTES, None).await?;
        }
        Ok(())
    }

    /// Reads bytes and records them piece by piece.
    pub(super) async fn take(
        &mut self,
        length: Option<u64>,
        body: Incoming<'_>,
    ) -> Result<(), Refusal> {
        let sender = Arc::clone(&self.sender);
        let mut body = pin!(body.take_until(stop_requested(&sender)).fuse());
        let mut carried = Bytes::new();
        while has_more(&mut carried, body.as_mut()).await? {
            let bound = self.bound(length, PIECE).await?;
            let mut piece = pin!(piece(&mut carried, body.as_mut(), PIECE));
            let (spool, written) = self.write(bound.limit, piece.as_mut()).await;
            match written {
                Ok(written) => self.record_bytes(written, spool).await?,
                Err(WriteError::BrokenOff { error, safe }) => {
                    self.record_bytes(safe, spool).await?;
                    return Err(error.into());
                }
                Err(error) => return Err(self.failed(error, bound).await),
            }
        }
        self.check_not_stopped()
    }

    /// Reads bytes that count only if all of them together match this checksum.
    pub(super) async fn take_checked(
        &mut self,
        checksum: &Checksum,
        length: Option<u64>,
        body: Incoming<'_>,
    ) -> Result<(), Refusal> {
        let sender = Arc::clone(&self.sender);
        let mut digest = checksum.hasher();
        let hashed = body.inspect(|frame| {
            if let Ok(frame) = frame {
                digest.update(frame);
            }
        });
        let bound = self.bound(length, u64::MAX).await?;
        let mut hashed = Box::pin(hashed.take_until(stop_requested(&sender)));
        let (spool, written) = self.write(bound.limit, hashed.as_mut()).await;
        drop(hashed);
        let written = match written {
            Ok(written) => written,
            Err(error) => return Err(self.failed(error, bound).await),
        };
        self.check_not_stopped()?;
        if !checksum.is_of(digest) {
            return Err(Refusal::ChecksumMismatch { algorithm: checksum.algorithm() });
        }
        self.record_bytes(written, spool).await
    }

    /// Computes how many bytes may be written now, of at most `most`.
    async fn bound(&self, length: Option<u64>, most: u64) -> Result<Bound, Refusal> {
        let max = self.shared.limits.max_file_size;
        if let Some(total) = self.total_size {
            let (limit, too_long) = (total.saturating_sub(self.at), Refusal::BeyondTotal { total });
            return Ok(Bound { limit, too_long });
        }
        let room = max.saturating_sub(self.at);
        if length.is_some() {
            return Ok(Bound { limit: room, too_long: Refusal::FileTooLong { max } });
        }
        let wanted = self.at.saturating_add(most.min(room));
        let (entry, of) = (&self.sender.entry, self.granted.of);
        let (end, over) =
            room::reserve_some(&self.shared, &self.user, entry, of, self.at, wanted).await?;
        let too_long = over.map_or(Refusal::FileTooLong { max }, Refusal::from);
        Ok(Bound { limit: end - self.at, too_long })
    }

    /// Writes bytes to their place, or to a blob of their own if the store doesn't write in place.
    async fn write(
        &self,
        limit: u64,
        body: Incoming<'_>,
    ) -> (Option<Spool>, Result<Written, WriteError>) {
        let blobs = &self.shared.blobs;
        if let Some(blob) = self.granted.blob {
            let target = Target::At { blob, offset: self.at, stored: self.at };
            return (None, blobs.write(target, limit, body).await);
        }
        let spool = Spool::of_file(&self.shared);
        let written = blobs.write(Target::Fresh(spool.blob()), limit, body).await;
        (Some(spool), written)
    }

    /// Turns a failed write into a refusal. If recorded bytes are missing, the upload starts over.
    async fn failed(&self, error: WriteError, bound: Bound) -> Refusal {
        match error {
            WriteError::Store(error) if self.granted.blob.is_some() && error.is_lost() => {
                let (shared, of) = (Arc::clone(&self.shared), self.granted.of);
                let restarted = detached(async move { restart(&shared, of, &error).await }).await;
                restarted.unwrap_or_else(|error| error)
            }
            error => Refusal::of_write(error, |_| bound.too_long),
        }
    }

    /// Records bytes written at the end, if there are any.
    async fn record_bytes(
        &mut self,
        written: Written,
        spool: Option<Spool>,
    ) -> Result<(), Refusal> {
        if written.size == 0 { Ok(()) } else { self.record(written, spool).await }
    }

    /// Records bytes written at the end, and the file's size. If they complete the file, finishing starts in a task of
    /// its own, so that it continues even if the caller goes away.
    async fn record(&mut self, written: Written, spool: Option<Spool>) -> Result<(), Refusal> {
        let new = NewBytes {
            part: written.at(self.at),
            extents: spool.as_ref().map(|spool| spool.extents(written.size)),
            total_size: self.total_size,
        };
        let (shared, sender, user) =
            (Arc::clone(&self.shared), Arc::clone(&self.sender), self.user.clone());
        let End { of, is_partial, .. } = self.granted;
        let finishing = detached(async move {
            match commit(&shared, &sender, of, new, spool).await? {
                Appended::Complete { job } if !is_partial => {
                    let id = of.upload;
                    Ok(Some(tokio::spawn(complete::run(shared, id, user, job))))
                }
                _ => Ok(None),
            }
        });
        self.finishing = finishing.await?;
        self.at += written.size;
        if self.is_complete() {
            self.is_completed = true;
            self.claim = None; // the task that finishes the upload may need to overwrite its bytes
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.total_size == Some(self.at)
    }

    /// Refuses to continue if the sender was told to stop. Bytes recorded until then count. With the last byte recorded
    /// nothing more is to come, and whoever finishes the upload may already have ended it.
    fn check_not_stopped(&self) -> Result<(), Refusal> {
        if self.is_complete() {
            return Ok(());
        }
        if self.sender.revoked.is_cancelled() {
            return Err(self.sender.stop_reason());
        }
        if self.sender.stopped.is_cancelled() {
            return Err(Refusal::Body(BodyError::Superseded));
        }
        Ok(())
    }

    /// Returns the progress after this request. After the last byte, it first waits until the upload is a File or that
    /// takes too long.
    pub(super) async fn end(mut self, settled: Settled) -> Result<Progress, Refusal> {
        if self.is_complete() && !self.is_completed {
            self.record(NO_BYTES, None).await?; // the upload is complete, although this request brought no bytes
        }
        let Self { shared, sender, claim, granted, at, total_size, finishing, .. } = self;
        let id = granted.of.upload;
        drop((sender, claim)); // so that requests that arrive meanwhile don't have to wait
        if let Some(finishing) = finishing {
            match complete::wait(&shared, finishing, settled).await {
                Err(Refusal::Verifying) => {}
                finished => return Ok(Progress::of_file(&finished?)),
            }
        }
        let is_partial = granted.is_partial;
        let expires = total_size != Some(at) || is_partial;
        let expires_at = expires.then(|| shared.expires_at(shared.clock.unix_secs()));
        let progress = Progress::being_finished(id, at);
        Ok(Progress { total_size, expires_at, is_partial, ..progress })
    }
}

/// How many bytes may follow, and the reason to refuse more.
struct Bound {
    limit: u64,
    too_long: Refusal,
}

/// Commits bytes that were written at the end.
async fn commit(
    shared: &Shared,
    sender: &Sender,
    of: Generation,
    new: NewBytes,
    mut spool: Option<Spool>,
) -> Result<Appended, Refusal> {
    spool.as_ref().map_or(Ok(()), Spool::check_age)?;
    if !sender.begin_commit() {
        return Err(sender.stop_reason());
    }
    let now = shared.clock.unix_secs();
    crash::point(Point::PartUnrecorded);
    if let Some(spool) = &mut spool {
        spool.keep_bytes(new.part.size); // whether or not the commit fails: the sweep knows if a record claims it
    }
    let entry = &sender.entry;
    let appended = shared.metadata.append(of, new.clone(), now, shared.leased_until()).await;
    match &appended {
        Ok(Appended::Stored | Appended::Complete { .. }) => {
            crash::point(Point::PartRecorded);
            entry.append(&new, now);
        }
        Ok(Appended::Refused) => {
            if let Some(spool) = &mut spool {
                spool.discard();
            }
            entry.forget();
        }
        Err(_) => entry.forget(), // it may have been recorded nevertheless
    }
    sender.end_commit();
    match appended? {
        Appended::Refused => Err(records::why_refused(shared, of.upload).await),
        appended => Ok(appended),
    }
}

/// Completes when the sender must stop.
async fn stop_requested(sender: &Sender) {
    tokio::select! {
        () = sender.revoked.cancelled() => {}
        () = sender.stopped.cancelled() => {}
    }
}
