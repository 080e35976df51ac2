//! A client that sends its file by tus: in order, or in pieces that are joined.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Event, Level, Promised, Stopped, Unresumed, Upload, body_of};
use crate::faults::rig::Rig;
use crate::process::http::{Reply, Request, download};

const TUS: &str = "/api/v2/tus/";

/// No file takes longer to be verified, even if a job has to do it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The uuids that a client was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    pub(super) whole: Option<String>,
    pieces: Vec<Option<String>>,
}

/// How far an upload has come.
struct Told {
    offset: usize,
    is_joined: bool,
    /// The File that it is by now.
    file: Option<String>,
}

fn number(reply: &Reply, header: &str) -> usize {
    reply.header(header).and_then(|text| text.parse().ok()).expect("a number")
}

fn uuid_in(reply: &Reply) -> String {
    let address = reply.header("location").expect("an address");
    address.rsplit('/').next().expect("a uuid").to_owned()
}

/// Whether the server says that it knows no such upload (any more).
fn is_unknown(stopped: &Stopped) -> bool {
    matches!(stopped, Stopped::Refused { status: 404 | 410, .. })
}

impl Upload {
    /// Sends what is missing, and waits for the File. `None` if it isn't to be finished.
    pub(super) fn send_by_tus(&mut self, rig: &Rig, host: &str) -> Result<Option<Value>, Stopped> {
        let mut ids = std::mem::take(&mut self.ids);
        let mut events = Vec::new();
        let promised = self.promised(u64::MAX);
        let result = self.check_offsets(host, &ids, &promised).and_then(|()| {
            self.send_all_by_tus(host, &mut ids, |event| events.push((rig.now(), event)))
        });
        let finished_at = rig.now();
        self.events.append(&mut events);
        self.id = ids.whole.clone().or(self.id.take());
        self.ids = ids;
        if !result? {
            return Ok(None);
        }
        let file = self.file_by_tus(host)?;
        self.events.push((finished_at, Event::File(file.clone(), None)));
        Ok(Some(file))
    }

    fn file_by_tus(&self, host: &str) -> Result<Value, Stopped> {
        let path = format!("/api/v2/pm/upload/{}/file/", self.id.as_deref().unwrap_or_default());
        Ok(self.send(host, Request::new("GET", &path))?.json())
    }

    /// What a crash must not take.
    fn check_offsets(&self, host: &str, ids: &Ids, promised: &Promised<'_>) -> Result<(), Stopped> {
        if promised.done_sent {
            return Ok(()); // its bytes may be gone, which is told when they are sent
        }
        match self.check_by_tus_of(host, ids, promised) {
            Ok(()) => Ok(()),
            Err(Unresumed::Spoiled(what)) => Err(Stopped::Broken(what)),
            Err(Unresumed::Stuck(_)) => Ok(()), // it was cut off
        }
    }

    /// Compares what has been promised with what HEAD says.
    pub(super) fn check_by_tus(
        &self,
        host: &str,
        promised: &Promised<'_>,
        level: Level,
    ) -> Result<(), String> {
        if level == Level::Finish || promised.done_sent {
            return Ok(());
        }
        let checked = self.check_by_tus_of(host, &self.ids, promised);
        checked.map_err(|(Unresumed::Spoiled(what) | Unresumed::Stuck(what))| what)
    }

    fn check_by_tus_of(
        &self,
        host: &str,
        ids: &Ids,
        promised: &Promised<'_>,
    ) -> Result<(), Unresumed> {
        let offset = |id: &str| match self.head(host, id) {
            Ok(told) => Ok(told.offset),
            Err(stopped) if is_unknown(&stopped) => Ok(0),
            Err(stopped) => Err(Unresumed::Stuck(format!("{self}: {stopped:?}"))),
        };
        for chunk in &promised.chunks {
            let (id, end) = match self.in_pieces {
                true => (ids.pieces.get(*chunk).cloned().flatten(), self.chunk_of(*chunk).len()),
                false => (ids.whole.clone(), self.end_of(*chunk)),
            };
            let there = offset(&id.expect("told"))?;
            if there < end {
                let what = format!("{self}: {there} bytes are there, but {end} were promised");
                return Err(Unresumed::Spoiled(what));
            }
        }
        Ok(())
    }

    /// Finishes the upload as its client would, whatever is left of it.
    pub(super) fn resume_by_tus(&self, host: &str) -> Result<(), Unresumed> {
        let stuck = |what: &dyn std::fmt::Debug| Unresumed::Stuck(format!("{self}: {what:?}"));
        let mut all = Self { end: super::End::Finished, events: Vec::new(), ..self.copy() };
        let mut ids = self.ids.clone();
        // Once more where the server says that its disk lost something.
        let sent = (0..3).find_map(|_| match all.send_all_by_tus(host, &mut ids, |_| {}) {
            Err(Stopped::Refused { status: 503 | 409, .. }) => None,
            ended => Some(ended),
        });
        match sent {
            Some(Ok(_)) => {}
            ended => return Err(stuck(&ended)),
        }
        all.id = ids.whole;
        let file = all.file_by_tus(host).map_err(|stopped| stuck(&stopped))?;
        let served = download(host, file["url"].as_str().expect("a link"));
        let served = served.map_err(|error| stuck(&error))?;
        if served.status == 200 && served.body == self.served {
            return Ok(());
        }
        let what = format!("{self}: other bytes by tus: {} {file}", served.status);
        Err(Unresumed::Spoiled(what))
    }

    /// Sends what is missing. Whether it is a File by then.
    fn send_all_by_tus(
        &self,
        host: &str,
        ids: &mut Ids,
        note: impl FnMut(Event),
    ) -> Result<bool, Stopped> {
        match self.in_pieces {
            true => self.send_pieces(host, ids, note),
            false => self.send_in_order(host, ids, note),
        }
    }

    fn send_in_order(
        &self,
        host: &str,
        ids: &mut Ids,
        mut note: impl FnMut(Event),
    ) -> Result<bool, Stopped> {
        let (id, mut told) = self.found_or_created(host, &mut ids.whole, self.sent.len(), false)?;
        let size = self.chunk_size.expect("sent in parts");
        while told.offset < self.sent.len() {
            let chunk = told.offset / size;
            if chunk >= self.wanted() {
                return Ok(false);
            }
            let end = self.end_of(chunk);
            if end == self.sent.len() {
                note(Event::DoneSent);
            }
            self.patch(host, &id, told.offset, &self.sent[told.offset..end])?;
            if end < self.sent.len() {
                note(Event::Chunk(chunk));
            }
            told = self.head(host, &id)?;
        }
        note(Event::DoneSent);
        self.wait_by_tus(host, &id).map(|_| true)
    }

    /// Begins anew once it learns that the pieces, or what they were joined into, are gone.
    fn send_pieces(
        &self,
        host: &str,
        ids: &mut Ids,
        note: impl FnMut(Event),
    ) -> Result<bool, Stopped> {
        match self.send_and_join(host, ids, note) {
            Err(stopped) if is_unknown(&stopped) => {
                *ids = Ids::default();
                Err(Stopped::Refused { status: 503, body: Value::Null })
            }
            sent => sent,
        }
    }

    fn send_and_join(
        &self,
        host: &str,
        ids: &mut Ids,
        mut note: impl FnMut(Event),
    ) -> Result<bool, Stopped> {
        ids.pieces.resize(self.count(), None);
        let wanted = self.wanted();
        for chunk in 0..self.count().min(wanted) {
            let bytes = self.chunk_of(chunk);
            let (id, told) =
                self.found_or_created(host, &mut ids.pieces[chunk], bytes.len(), true)?;
            if told.is_joined {
                // It has lost the reply that said so, and goes on with what it has.
                ids.whole = Some(self.wait_by_tus(host, &id)?);
                return Ok(true);
            }
            if told.offset < bytes.len() {
                self.patch(host, &id, told.offset, &bytes[told.offset..])?;
                note(Event::Chunk(chunk));
            }
        }
        if wanted < self.count() {
            return Ok(false);
        }
        let addresses = ids.pieces.iter().flatten().map(|id| format!("{TUS}{id}"));
        let concat = format!("final;{}", addresses.collect::<Vec<_>>().join(" "));
        note(Event::DoneSent);
        let reply = self.tus(host, "POST", TUS, |request| {
            request.header("Upload-Concat", &concat).header("Upload-Metadata", &name())
        })?;
        let id = uuid_in(&reply);
        ids.whole = Some(id.clone());
        self.wait_by_tus(host, &id).map(|_| true)
    }

    /// Number of chunks to send.
    fn wanted(&self) -> usize {
        match self.end {
            super::End::Unfinished(count) => count,
            _ => usize::MAX,
        }
    }

    fn end_of(&self, chunk: usize) -> usize {
        self.sent.len().min((chunk + 1) * self.chunk_size.expect("sent in parts"))
    }

    fn chunk_of(&self, chunk: usize) -> &[u8] {
        &self.sent[chunk * self.chunk_size.expect("sent in parts")..self.end_of(chunk)]
    }

    /// The upload, and how far it has come; another one if the server doesn't know it.
    fn found_or_created(
        &self,
        host: &str,
        id: &mut Option<String>,
        length: usize,
        is_piece: bool,
    ) -> Result<(String, Told), Stopped> {
        if let Some(known) = id {
            match self.head(host, known) {
                Err(stopped) if is_unknown(&stopped) => {}
                told => return Ok((known.clone(), told?)),
            }
        }
        let reply = self.tus(host, "POST", TUS, |request| {
            let request = request
                .header("Upload-Length", &length.to_string())
                .header("Upload-Metadata", &name());
            if is_piece { request.header("Upload-Concat", "partial") } else { request }
        })?;
        let created = uuid_in(&reply);
        *id = Some(created.clone());
        Ok((created, Told { offset: 0, is_joined: false, file: None }))
    }

    fn head(&self, host: &str, id: &str) -> Result<Told, Stopped> {
        let reply = self.tus(host, "GET", &format!("{TUS}{id}"), |request| {
            request.header("X-HTTP-Method-Override", "HEAD")
        })?;
        let concat = reply.header("upload-concat").unwrap_or_default();
        Ok(Told {
            offset: number(&reply, "upload-offset"),
            is_joined: concat.starts_with("final;"),
            file: reply.header("file-uuid").map(ToOwned::to_owned),
        })
    }

    fn patch(&self, host: &str, id: &str, offset: usize, bytes: &[u8]) -> Result<(), Stopped> {
        let reply = self.tus(host, "PATCH", &format!("{TUS}{id}"), |request| {
            request
                .header("Upload-Offset", &offset.to_string())
                .header("Content-Type", "application/offset+octet-stream")
                .body(bytes.to_vec())
        })?;
        let end = offset + bytes.len();
        match number(&reply, "upload-offset") {
            told if told == end => Ok(()),
            told => Err(Stopped::Broken(format!("{self}: told {told} instead of {end}"))),
        }
    }

    /// Waits until the server has finished what has all its bytes, without asking for it.
    fn wait_by_tus(&self, host: &str, id: &str) -> Result<String, Stopped> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let told = self.head(host, id)?;
            if let Some(file) = told.file {
                return Ok(file);
            }
            if told.offset < self.sent.len() {
                // Its disk lost them.
                return Err(Stopped::Refused { status: 503, body: Value::Null });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(Stopped::Broken(format!("{self}: nobody finishes {id}")))
    }

    fn tus(
        &self,
        host: &str,
        method: &str,
        path: &str,
        with: impl FnOnce(Request) -> Request,
    ) -> Result<Reply, Stopped> {
        let request = with(Request::new(method, path).header("Tus-Resumable", "1.0.0"));
        let reply = request.token(&self.token).send(host)?;
        if reply.status < 300 {
            return Ok(reply);
        }
        Err(Stopped::Refused { status: reply.status, body: body_of(&reply) })
    }
}

/// `file.bin`, as in `Upload-Metadata`.
fn name() -> String {
    "filename ZmlsZS5iaW4=".into()
}
