//! A client with a ledger: one file of one user, what was requested, what was acknowledged, and the length of the
//! journal at each event.
//!
//! It continues from wherever it was refused or cut off, as the protocol says clients do.

mod tus;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::path::Path;

use haversack::auth::{Caller, sign};
use haversack::clock::Clock;
use haversack::ids::{UploadId, UserId};
use serde_json::{Value, json};

use super::rig::Rig;
use crate::process::http::{Multipart, Reply, Request, connect, download};
use crate::process::ledger::Random;

const UPLOAD: &str = "/api/v2/pm/upload/";
const PHOTO: &[u8] = include_bytes!("../../media/gps/exif.jpg");
const LARGE_PHOTO: &[u8] = include_bytes!("../../media/gps/everything.jpg");
const PICTURE: &[u8] = include_bytes!("../../media/samples/picture.png");

/// The result of a request, or that it was sent.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Begun,
    Chunk(usize),
    DoneSent,
    /// A File, and the bytes of its thumbnail if it had one.
    File(Value, Option<Vec<u8>>),
    RenameSent,
    ThumbnailSent,
    DeleteSent,
    Deleted,
    /// The server said that all chunks must be sent again.
    Reset,
}

/// Why a client got no further.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The connection was cut or refused.
    Cut(#[expect(dead_code, reason = "shown when a trial fails")] io::Error),
    /// The status was not 2xx.
    Refused { status: u16, body: Value },
    /// A promise was broken.
    Broken(String),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Cut(error)
    }
}

/// What a client does in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Stops after sending this many chunks.
    Unfinished(usize),
    Finished,
    /// Finishes, and gives the file another name.
    Renamed,
    /// Finishes, and gives the file another thumbnail.
    Illustrated,
    Deleted,
}

/// One file of one user.
#[derive(Debug)]
pub(crate) struct Upload {
    user: i64,
    token: String,
    sent: Vec<u8>,
    /// What is served of it.
    served: Vec<u8>,
    /// Sizes of the chunks; `None` means a single request.
    chunk_size: Option<usize>,
    end: End,
    id: Option<String>,
    own_id: bool,
    /// Whether the fields that place a chunk come after the file.
    file_first: bool,
    /// Whether its chunks are sent by tus, and whether as pieces of their own.
    by_tus: bool,
    in_pieces: bool,
    /// The uuids of what is sent by tus.
    ids: tus::Ids,
    /// Events, each with the length of the journal in bytes: before a request was sent, or after a reply was received.
    events: Vec<(u64, Event)>,
}

/// What a client may rely on at some moment.
#[derive(Default)]
struct Promised<'a> {
    chunks: Vec<usize>,
    file: Option<&'a Value>,
    thumbnail: Option<&'a [u8]>,
    done_sent: bool,
    rename_sent: bool,
    thumbnail_sent: bool,
    delete_sent: bool,
    deleted: bool,
}

/// What a server keeps through a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Finished files.
    Finish,
    /// Also chunks.
    Chunk,
}

/// What a server did not keep.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    /// Acknowledged, and lost or changed.
    pub(crate) lost: Vec<String>,
    /// Never acknowledged, but turned into a File with bytes that nobody sent.
    pub(crate) spoiled: Vec<String>,
}

fn names_a_reset(body: &Value) -> bool {
    body["reset"] == true
}

fn body_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

/// The parts of a File that change only on request.
fn identity(file: &Value) -> Value {
    let keys = ["uuid", "filesize", "mimetype", "duration", "width", "height"];
    keys.iter().map(|key| file[*key].clone()).collect()
}

impl Upload {
    /// A file of this user; `end` and the random numbers decide which, and how it is sent.
    pub(crate) fn new(random: &mut Random, user: i64, end: End) -> Self {
        let photo = match random.below(3) {
            0 => Some(PHOTO),
            1 => Some(LARGE_PHOTO),
            _ => None,
        };
        let sent = photo.map_or_else(
            || {
                let length = 1 + random.below(60_000) as usize;
                random.bytes(length)
            },
            <[u8]>::to_vec,
        );
        let single = match end {
            End::Unfinished(_) => false,
            End::Renamed => true, // only a single file can be renamed by a done
            _ => random.below(3) == 0,
        };
        let chunk_size = (!single).then(|| sent.len().div_ceil(2 + random.below(4) as usize));
        let mut upload = Self::of(sent, user, chunk_size, end);
        upload.own_id = random.flip();
        upload.id = upload.id.filter(|_| upload.own_id);
        upload.file_first = random.below(3) == 0;
        if !single && random.below(3) == 0 {
            upload.by_tus();
            upload.in_pieces = random.flip();
        }
        upload
    }

    /// Sends it by forms, whatever the random numbers say.
    pub(crate) fn by_forms(mut self) -> Self {
        if self.by_tus {
            (self.by_tus, self.in_pieces, self.own_id) = (false, false, true);
            self.id = Some(UploadId::random().to_string());
        }
        self
    }

    /// Sends it by tus, in order.
    pub(crate) fn by_tus(&mut self) {
        (self.by_tus, self.own_id, self.id) = (true, false, None);
    }

    /// Sends it by tus, in pieces that are joined.
    pub(crate) fn in_pieces(&mut self) {
        self.by_tus();
        self.in_pieces = true;
    }

    /// The same file, of which nothing has been sent.
    fn copy(&self) -> Self {
        Self {
            token: self.token.clone(),
            by_tus: self.by_tus,
            in_pieces: self.in_pieces,
            served: self.served.clone(),
            ..Self::of(self.sent.clone(), self.user, self.chunk_size, self.end)
        }
    }

    /// These bytes, in chunks of this size or in one request, with a uuid chosen by the client.
    pub(crate) fn of(sent: Vec<u8>, user: i64, chunk_size: Option<usize>, end: End) -> Self {
        let served = crate::media::without_metadata(&sent);
        Self {
            user,
            token: String::new(),
            sent,
            served,
            chunk_size,
            end,
            id: Some(UploadId::random().to_string()),
            own_id: true,
            file_first: false,
            by_tus: false,
            in_pieces: false,
            ids: tus::Ids::default(),
            events: Vec::new(),
        }
    }

    /// Makes a token signed with the secret of the server on this data directory.
    pub(crate) fn sign_in(&mut self, data_dir: &Path) {
        let secret =
            std::fs::read_to_string(data_dir.join("jwt-secret")).expect("made at the start");
        let now = Clock::system().unix_secs();
        let caller = Caller::User(UserId::from(self.user));
        self.token = sign(secret.trim_end().as_bytes(), caller, now, 24 * 3600);
    }

    /// Finishes what was supposed to stay unfinished.
    pub(crate) fn finishes(&mut self) {
        self.end = End::Finished;
    }

    /// Deletes what was supposed to stay.
    pub(crate) fn deletes(&mut self) {
        self.end = End::Deleted;
    }

    fn note(&mut self, rig: &Rig, event: Event) {
        self.events.push((rig.now(), event));
    }

    fn send(&self, host: &str, request: Request) -> Result<Reply, Stopped> {
        let reply = request.token(&self.token).send(host)?;
        if reply.status < 300 {
            return Ok(reply);
        }
        Err(Stopped::Refused { status: reply.status, body: body_of(&reply) })
    }

    /// Continues to the end. If it stopped, calling it again makes it continue.
    pub(crate) fn drive(&mut self, rig: &Rig, host: &str) -> Result<(), Stopped> {
        let result = self.advance(rig, host);
        if let Err(Stopped::Refused { body, .. }) = &result
            && names_a_reset(body)
        {
            self.note(rig, Event::Reset);
        }
        result
    }

    fn advance(&mut self, rig: &Rig, host: &str) -> Result<(), Stopped> {
        if self.events.is_empty() {
            self.note(rig, Event::Begun);
        }
        let known = self.promised(u64::MAX);
        if known.deleted {
            return Ok(());
        }
        if known.file.is_none() && !known.delete_sent {
            let file = match self.chunk_size {
                None => self.single(rig, host)?,
                Some(_) if self.by_tus => match self.send_by_tus(rig, host)? {
                    Some(file) => file,
                    None => return Ok(()),
                },
                Some(_) => match self.chunks(rig, host)? {
                    Some(file) => file,
                    None => return Ok(()),
                },
            };
            self.keep(rig, host, file)?;
        }
        match self.end {
            End::Unfinished(_) | End::Finished => Ok(()),
            End::Renamed => {
                self.note(rig, Event::RenameSent);
                let done = json!({"uuid": self.id, "filename": "renamed.bin"});
                let file = self.send(host, Request::done(&done))?.json();
                self.keep(rig, host, file)
            }
            End::Illustrated => self.illustrate(rig, host),
            End::Deleted => self.delete(rig, host),
        }
    }

    fn single(&mut self, rig: &Rig, host: &str) -> Result<Value, Stopped> {
        let mut form = Multipart::default();
        if let (true, Some(id)) = (self.own_id, &self.id) {
            form = form.field("qquuid", id);
        }
        self.note(rig, Event::DoneSent);
        let request = Request::upload(form.file("qqfile", &self.sent));
        Ok(self.send(host, request)?.json())
    }

    /// Sends what is missing, and done. `None` if it isn't to be finished.
    fn chunks(&mut self, rig: &Rig, host: &str) -> Result<Option<Value>, Stopped> {
        let mut missing = self.missing(host)?;
        if let End::Unfinished(count) = self.end {
            missing.retain(|index| *index < count);
        }
        for index in missing {
            let reply = self.send(host, self.chunk(index))?.json();
            self.id = reply["file_uuid"].as_str().map(ToOwned::to_owned);
            self.note(rig, Event::Chunk(index));
        }
        if matches!(self.end, End::Unfinished(_)) {
            return Ok(None);
        }
        self.note(rig, Event::DoneSent);
        Ok(Some(self.send(host, self.done())?.json()))
    }

    fn done(&self) -> Request {
        let size = self.sent.len();
        Request::done(&json!({"uuid": self.id, "filename": "file.bin", "totalfilesize": size}))
    }

    fn chunk(&self, index: usize) -> Request {
        let size = self.chunk_size.expect("sent in chunks");
        let begin = index * size;
        let end = self.sent.len().min(begin + size);
        let mut form = Multipart::default();
        if self.file_first {
            form = form.file("file", &self.sent[begin..end]);
        }
        form = form
            .field("partindex", index)
            .field("totalparts", self.count())
            .field("partbyteoffset", begin);
        if let Some(id) = &self.id {
            form = form.field("uuid", id);
        }
        if !self.file_first {
            form = form.file("file", &self.sent[begin..end]);
        }
        Request::upload(form)
    }

    /// Starts to send more bytes than fit in place of the last chunk, and hangs up; the real chunk comes later. Only
    /// with a uuid chosen by the client.
    pub(crate) fn overshoot(&self, host: &str) -> io::Result<()> {
        let (true, Some(id), Some(size)) = (self.own_id, &self.id, self.chunk_size) else {
            return Ok(());
        };
        let last = self.count() - 1;
        let form = Multipart::default()
            .field("uuid", id)
            .field("partindex", last)
            .field("totalparts", self.count())
            .field("partbyteoffset", last * size)
            .file("file", &vec![0xEE; 3 * size]);
        let bytes = Request::upload(form).token(&self.token).bytes(host);
        let mut stream = connect(host)?;
        stream.write_all(&bytes[..bytes.len() - size])?;
        stream.shutdown(Shutdown::Write)?;
        let _ = stream.read(&mut [0]); // the end or a refusal, so everything was read
        Ok(())
    }

    /// Its bytes could not be kept, and the reply that says so may have been cut off.
    pub(crate) fn may_begin_again(&mut self, rig: &Rig) {
        let promised = self.promised(u64::MAX);
        if promised.done_sent && promised.file.is_none() {
            self.note(rig, Event::Reset);
        }
    }

    fn count(&self) -> usize {
        self.sent.len().div_ceil(self.chunk_size.unwrap_or(self.sent.len()))
    }

    /// What the server lacks, as it says itself.
    fn missing(&self, host: &str) -> Result<Vec<usize>, Stopped> {
        let Some(status) = self.status(host)? else {
            return Ok((0..self.count()).collect());
        };
        let present = present(&status, self.count());
        let known = self.promised(u64::MAX);
        if let Some(chunk) = known.chunks.iter().find(|chunk| !present[**chunk]) {
            return Err(Stopped::Broken(format!("{self}: chunk {chunk} is lost")));
        }
        Ok((0..self.count()).filter(|index| !present[*index]).collect())
    }

    /// The state of the upload; `None` if there is none.
    fn status(&self, host: &str) -> Result<Option<Value>, Stopped> {
        let Some(id) = &self.id else {
            return Ok(None);
        };
        match self.send(host, Request::new("GET", &format!("{UPLOAD}{id}/"))) {
            Ok(reply) => Ok(Some(reply.json())),
            Err(Stopped::Refused { status: 404, .. }) => Ok(None),
            Err(stopped) => Err(stopped),
        }
    }

    fn keep(&mut self, rig: &Rig, host: &str, file: Value) -> Result<(), Stopped> {
        self.id = file["uuid"].as_str().map(ToOwned::to_owned);
        let at = rig.now();
        let thumbnail = match file["thumbnail"].as_str() {
            Some(url) => Some(download(host, url)?).filter(|reply| reply.status == 200),
            None => None,
        };
        self.events.push((at, Event::File(file, thumbnail.map(|reply| reply.body))));
        Ok(())
    }

    fn illustrate(&mut self, rig: &Rig, host: &str) -> Result<(), Stopped> {
        let id = self.id.clone().expect("answered");
        self.note(rig, Event::ThumbnailSent);
        let form = Multipart::default().field("parentuuid", &id).file("file", PICTURE);
        let sent = self.send(host, Request::upload(form))?.json();
        let file = Request::new("GET", &format!("{UPLOAD}{id}/file/"));
        let file = self.send(host, file)?.json();
        let sent = sent["file_uuid"].as_str().expect("a uuid");
        let shown = file["thumbnail"].as_str().is_some_and(|link| link.contains(sent));
        self.keep(rig, host, file)?;
        if !shown {
            self.note(rig, Event::ThumbnailSent); // its picture may still be in progress, and may replace this one
        }
        Ok(())
    }

    fn delete(&mut self, rig: &Rig, host: &str) -> Result<(), Stopped> {
        let id = self.id.clone().expect("answered");
        let again = self.promised(u64::MAX).delete_sent;
        self.note(rig, Event::DeleteSent);
        match self.send(host, Request::new("DELETE", &format!("{UPLOAD}{id}/"))) {
            Ok(_) => {}
            Err(Stopped::Refused { status: 410, .. }) if again => {}
            Err(stopped) => return Err(stopped),
        }
        self.note(rig, Event::Deleted);
        Ok(())
    }

    /// What had been promised by the time the journal had this many bytes.
    fn promised(&self, by: u64) -> Promised<'_> {
        let mut promised = Promised::default();
        for (_, event) in self.events.iter().filter(|(at, _)| *at <= by) {
            match event {
                Event::Begun => {}
                Event::Chunk(index) => promised.chunks.push(*index),
                Event::Reset => promised.chunks.clear(),
                Event::DoneSent => promised.done_sent = true,
                Event::File(file, thumbnail) => {
                    promised.rename_sent = false;
                    promised.thumbnail_sent = false;
                    promised.file = Some(file);
                    promised.thumbnail = thumbnail.as_deref();
                }
                Event::RenameSent => promised.rename_sent = true,
                Event::ThumbnailSent => promised.thumbnail_sent = true,
                Event::DeleteSent => promised.delete_sent = true,
                Event::Deleted => promised.deleted = true,
            }
        }
        promised
    }

    /// Compares what had been promised by then with what the server at `host` has now, and finishes what was
    /// unfinished, as its client would.
    pub(crate) fn check(&self, host: &str, by: u64, level: Level, broken: &mut Broken) {
        let promised = self.promised(by);
        if !self.events.iter().any(|(at, _)| *at <= by) {
            return; // it had not begun
        }
        let mut lost = |what: String| broken.lost.push(format!("{self}: {what}"));
        if let Err(what) = self.check_list(host) {
            lost(what);
        }
        if promised.deleted {
            if let Err(what) = self.check_gone(host) {
                lost(what);
            }
        } else if let Some(file) = promised.file {
            let kept = self.check_file(host, file, &promised);
            let may_be_gone = promised.delete_sent && self.check_gone(host).is_ok();
            if let (Err(what), false) = (kept, may_be_gone) {
                lost(what);
            }
        } else if self.by_tus {
            if let Err(what) = self.check_by_tus(host, &promised, level) {
                lost(what);
            }
            match self.resume_by_tus(host) {
                Ok(()) => {}
                Err(Unresumed::Spoiled(what)) => broken.spoiled.push(what),
                Err(Unresumed::Stuck(what)) => broken.lost.push(what),
            }
        } else if self.chunk_size.is_some() && self.id.is_some() {
            match self.check_chunks(host, &promised, level) {
                Ok(()) => {}
                Err(what) => lost(what),
            }
            // A uuid that was never in a reply belongs to nobody.
            if self.own_id || promised.chunks.contains(&0) {
                match self.resume(host) {
                    Ok(()) => {}
                    Err(Unresumed::Spoiled(what)) => broken.spoiled.push(what),
                    Err(Unresumed::Stuck(what)) => broken.lost.push(what),
                }
            }
        }
    }

    /// Compares permanent promises with what there is now, and changes nothing.
    pub(crate) fn check_kept(&self, host: &str, broken: &mut Broken) {
        let promised = self.promised(u64::MAX);
        let kept = match promised.file {
            _ if promised.deleted => self.check_gone(host),
            _ if promised.delete_sent && self.check_gone(host).is_ok() => Ok(()), // there was no reply
            Some(file) => self.check_file(host, file, &promised),
            None => Ok(()),
        };
        broken.lost.extend(kept.err().map(|what| format!("{self}: {what}")));
    }

    fn ask(&self, host: &str, path: &str) -> Result<Reply, String> {
        let request = Request::new("GET", path).token(&self.token);
        request.send(host).map_err(|error| format!("{path}: {error}"))
    }

    fn path(&self) -> String {
        format!("{UPLOAD}{}/", self.id.as_deref().unwrap_or_default())
    }

    fn check_gone(&self, host: &str) -> Result<(), String> {
        match self.ask(host, &format!("{}file/", self.path()))?.status {
            410 => Ok(()),
            status => Err(format!("deleted, but {status}")),
        }
    }

    fn check_file(&self, host: &str, known: &Value, promised: &Promised<'_>) -> Result<(), String> {
        let reply = self.ask(host, &format!("{}file/", self.path()))?;
        let file = body_of(&reply);
        if reply.status != 200 || identity(&file) != identity(known) {
            return Err(format!("the File is not what it was: {} {file}", reply.status));
        }
        let renamed = promised.rename_sent && file["filename"] == "renamed.bin";
        if file["filename"] != known["filename"] && !renamed {
            return Err(format!("it has its old name: {file}"));
        }
        // Both the link from that time and a new one.
        for link in [&known["url"], &file["url"]] {
            let served = download(host, link.as_str().unwrap_or("http://host/none"));
            let served = served.map_err(|error| error.to_string())?;
            if served.status != 200 || served.body != self.served {
                return Err(format!("other bytes are served: {}", served.status));
            }
        }
        let Some(thumbnail) = promised.thumbnail else {
            return Ok(());
        };
        let link = file["thumbnail"].as_str().ok_or("its thumbnail is gone")?;
        let shown = download(host, link).map_err(|error| error.to_string())?;
        let same = shown.body == thumbnail || promised.thumbnail_sent;
        match shown.status {
            200 if same => Ok(()),
            // A picture made only now from a thumbnail that was sent has replaced the one that the File showed.
            410 if promised.thumbnail_sent && !self.shows(host, link)? => {
                self.check_file(host, known, promised)
            }
            status => Err(format!("its thumbnail is another: {status} {link}")),
        }
    }

    /// Whether the link still shows its thumbnail.
    fn shows(&self, host: &str, link: &str) -> Result<bool, String> {
        let file = body_of(&self.ask(host, &format!("{}file/", self.path()))?);
        Ok(file["thumbnail"] == link)
    }

    fn check_chunks(
        &self,
        host: &str,
        promised: &Promised<'_>,
        level: Level,
    ) -> Result<(), String> {
        if level == Level::Finish || promised.done_sent {
            return Ok(());
        }
        let status = self.status(host).map_err(|stopped| format!("{stopped:?}"))?;
        let present = status.map_or(vec![false; self.count()], |s| present(&s, self.count()));
        match promised.chunks.iter().find(|chunk| !present[**chunk]) {
            Some(chunk) => Err(format!("chunk {chunk} is lost")),
            None => Ok(()),
        }
    }

    /// Checks that every File on the user's list has the right bytes, acknowledged or not.
    fn check_list(&self, host: &str) -> Result<(), String> {
        let reply = self.ask(host, &format!("{UPLOAD}?cursor="))?;
        if reply.status != 200 {
            return Err(format!("no list: {}", reply.status));
        }
        let listed = reply.json();
        let entries = listed["results"].as_array().expect("a list");
        for file in entries.iter().filter(|entry| entry["state"] == "finished") {
            let served = download(host, file["url"].as_str().expect("a link"));
            let served = served.map_err(|error| error.to_string())?;
            if served.status != 200 || served.body != self.served {
                return Err(format!("listed with other bytes ({}): {file}", served.status));
            }
        }
        Ok(())
    }

    /// Finishes the upload as its client would: sends what the server says is missing, and done; from the beginning if
    /// the server says so.
    fn resume(&self, host: &str) -> Result<(), Unresumed> {
        const ATTEMPTS: usize = 3;
        let stuck = |what: &dyn std::fmt::Debug| Unresumed::Stuck(format!("{self}: {what:?}"));
        for _ in 0..ATTEMPTS {
            let status = self.status(host).map_err(|stopped| stuck(&stopped))?;
            let present = status.map_or(vec![false; self.count()], |s| present(&s, self.count()));
            for index in (0..self.count()).filter(|index| !present[*index]) {
                self.send(host, self.chunk(index)).map_err(|stopped| stuck(&stopped))?;
            }
            match self.send(host, self.done()) {
                Ok(reply) => {
                    let file = reply.json();
                    let served = download(host, file["url"].as_str().expect("a link"));
                    let served = served.map_err(|error| stuck(&error))?;
                    if served.status == 200 && served.body == self.served {
                        return Ok(());
                    }
                    let what =
                        format!("{self}: other bytes after a done: {} {file}", served.status);
                    return Err(Unresumed::Spoiled(what));
                }
                Err(Stopped::Refused { body, .. }) if names_a_reset(&body) => {}
                Err(stopped) => return Err(stuck(&stopped)),
            }
        }
        Err(stuck(&"reset again and again"))
    }
}

enum Unresumed {
    Spoiled(String),
    Stuck(String),
}

/// Which chunks are present according to a status.
fn present(status: &Value, count: usize) -> Vec<bool> {
    let mut present = vec![status["finished"] == true; count];
    for run in status["parts"].as_array().into_iter().flatten() {
        let at = |end: usize| run[end].as_u64().expect("an index") as usize;
        present[at(0)..=at(1)].fill(true);
    }
    present
}

impl std::fmt::Display for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { user, end, id, chunk_size, by_tus, in_pieces, .. } = self;
        let (size, id) = (self.sent.len(), id.as_deref().unwrap_or("-"));
        let how = match (by_tus, in_pieces) {
            (false, _) => "",
            (true, false) => " by tus",
            (true, true) => " by tus in pieces",
        };
        write!(f, "user {user}, {id}, {size} bytes by {chunk_size:?}{how}, {end:?}")
    }
}
