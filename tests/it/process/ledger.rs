//! A client that keeps a ledger of what the server acknowledged, and resumes whenever it is cut off.
//!
//! Everything it checks is promised by the protocol: what got a 2xx stays.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use haversack::ids::UploadId;
use serde_json::{Value, json};

use super::http::{Multipart, Reply, Request, download};
use super::program::token;

/// A small random number generator (`SplitMix64`, Steele et al. 2014): the same seed gives the same trial.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        words.take(length.div_ceil(8)).flatten().take(length).collect()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// How a client sends its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// In one request.
    Single,
    /// One chunk after the other.
    Series,
    /// Several chunks concurrently, in any order.
    Parallel,
    /// By tus, one chunk after the other.
    InOrder,
    /// By tus, each chunk a piece of its own; joined in the end.
    Pieces,
}

/// One file of one user, and what the server said about it.
#[derive(Debug)]
pub(crate) struct Client {
    token: String,
    bytes: Vec<u8>,
    /// What is served of them. The bytes differ only if a photo says where it was made.
    served: Vec<u8>,
    chunk_size: usize,
    way: Way,
    /// Whether each chunk states its offset; otherwise it follows from the chunks' equal size.
    says_offset: bool,
    /// The file's uuid: chosen by the client, or by the server in its first reply.
    id: Option<String>,
    own_id: bool,
    acknowledged: Mutex<Vec<bool>>,
    /// The addresses of what was begun by tus.
    pieces: Vec<Option<String>>,
    done_sent: bool,
    /// Whether it deletes its file in the end, and how far that has got.
    deletes: bool,
    delete_sent: bool,
    delete_acknowledged: bool,
    /// The File, once it was acknowledged.
    file: Option<Value>,
    /// Its links may be compared: the same bytes, name and type, at any time.
    seed: u64,
}

/// A connection to a server; acknowledged requests are counted for the trial, which kills the server by that count.
pub(crate) struct Line<'a> {
    pub(crate) host: &'a str,
    pub(crate) acknowledged: Sender<()>,
    /// Whether the server may say that its database is away: then, too, nothing is known about a request.
    pub(crate) may_be_away: bool,
}

impl Line<'_> {
    /// Sends and counts. An error means that the connection was cut or refused, and nothing is known about the request.
    fn send(&self, request: &Request) -> io::Result<Reply> {
        let reply = self.unless_away(request.send(self.host)?)?;
        if reply.status < 300 {
            let _ = self.acknowledged.send(());
        }
        Ok(reply)
    }

    fn unless_away(&self, reply: Reply) -> io::Result<Reply> {
        if !self.may_be_away || reply.status != 503 {
            return Ok(reply);
        }
        assert_eq!(reply.header("retry-after"), Some("2"), "{reply:?}");
        Err(io::Error::other("its database is away"))
    }
}

/// A photo as it is sent, and as it is served.
fn photo() -> (Vec<u8>, Vec<u8>) {
    let sent = include_bytes!("../../media/gps/motion.jpg").to_vec();
    let served = crate::media::without_metadata(&sent);
    assert!(sent != served);
    (sent, served)
}

/// Arbitrary bytes, in about this many chunks.
fn anything(random: &mut Random, chunks: usize) -> (Vec<u8>, Vec<u8>) {
    let chunk_size = 1 + random.below(32 * 1024);
    let length = (chunks as u64 - 1) * chunk_size + 1 + random.below(chunk_size);
    let bytes = random.bytes(length as usize);
    (bytes.clone(), bytes)
}

/// What identifies a File for ever; links change with the server's port and with the day.
fn identity(file: &Value) -> Value {
    let keys = ["uuid", "filename", "filesize", "mimetype", "duration", "width"];
    keys.iter().map(|key| file[*key].clone()).collect()
}

impl Client {
    pub(crate) fn new(random: &mut Random, user: i64) -> Self {
        let way = [Way::Single, Way::Series, Way::Parallel, Way::InOrder, Way::Pieces]
            [random.below(5) as usize];
        let chunks = match way {
            Way::Single => 1,
            _ => 1 + random.below(10) as usize,
        };
        let (bytes, served) = if random.flip() { photo() } else { anything(random, chunks) };
        let chunk_size = bytes.len().div_ceil(chunks);
        let chunks = bytes.len().div_ceil(chunk_size);
        let own_id = random.flip() && !matches!(way, Way::InOrder | Way::Pieces);
        Self {
            token: token(user),
            bytes,
            served,
            chunk_size,
            way,
            says_offset: random.flip(),
            id: own_id.then(|| UploadId::random().to_string()),
            own_id,
            acknowledged: Mutex::new(vec![false; chunks]),
            pieces: vec![None; chunks],
            done_sent: false,
            deletes: random.below(4) == 0,
            delete_sent: false,
            delete_acknowledged: false,
            file: None,
            seed: random.next(),
        }
    }

    /// Number of requests if nothing goes wrong.
    pub(crate) fn requests(&self) -> u64 {
        self.bytes.len().div_ceil(self.chunk_size) as u64 + 1
    }

    /// Continues from wherever it was cut off. An error is another cut; a broken promise fails the test.
    pub(crate) fn drive(&mut self, line: &Line<'_>) -> io::Result<()> {
        if !self.delete_sent {
            match self.way {
                Way::Single => self.single(line)?,
                Way::Series | Way::Parallel => self.chunks(line)?,
                Way::InOrder => self.in_order(line)?,
                Way::Pieces => self.in_pieces(line)?,
            }
            self.check_file(line)?;
        }
        if self.deletes { self.delete(line) } else { Ok(()) }
    }

    /// Deletes the file. Once that was acknowledged, it is gone for ever.
    fn delete(&mut self, line: &Line<'_>) -> io::Result<()> {
        let path = format!("/api/v2/pm/upload/{}/", self.id.as_deref().expect("answered"));
        let request = Request::new("DELETE", &path).token(&self.token);
        let again = std::mem::replace(&mut self.delete_sent, true);
        match line.send(&request)?.status {
            200 => assert!(!self.delete_acknowledged, "{self:?}: it came back"),
            status => assert!(status == 410 && again, "{self:?}: {status}"),
        }
        self.delete_acknowledged = true;
        let status = Request::new("GET", &path).token(&self.token);
        assert_eq!(line.send(&status)?.status, 410);
        Ok(())
    }

    fn single(&mut self, line: &Line<'_>) -> io::Result<()> {
        if self.file.is_some() && !self.own_id {
            return Ok(()); // without a uuid, sending it again would make another file
        }
        let mut form = Multipart::default();
        if let (true, Some(id)) = (self.own_id, &self.id) {
            form = form.field("qquuid", id);
        }
        let request = Request::upload(form.file("qqfile", &self.bytes)).token(&self.token);
        let file = line.send(&request)?.ok();
        self.remember(file);
        Ok(())
    }

    /// A request by tus.
    fn tus(&self, method: &str, path: &str) -> Request {
        Request::new(method, path).token(&self.token).header("Tus-Resumable", "1.0.0")
    }

    /// Creates an upload with these headers; its path.
    fn create(&self, line: &Line<'_>, headers: &[(&str, &str)]) -> io::Result<String> {
        let request =
            self.tus("POST", "/api/v2/tus/").header("Upload-Metadata", "filename ZmlsZS5iaW4=");
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let reply = line.send(&request)?;
        assert_eq!(reply.status, 201, "{reply:?}");
        let location = reply.header("location").expect("an address");
        Ok(format!("/{}", location.splitn(4, '/').nth(3).expect("an absolute address")))
    }

    /// Sends bytes in chunks, until all are there. What was acknowledged before must be there: the first `known`.
    fn append(&self, line: &Line<'_>, path: &str, bytes: &[u8], known: usize) -> io::Result<()> {
        let told = line.send(&self.tus("HEAD", path))?;
        assert_eq!(told.status, 200, "{self:?}: {told:?}");
        let offset = |reply: &Reply| reply.header("upload-offset")?.parse().ok();
        let mut at: usize = offset(&told).expect("an offset");
        assert!(at >= known, "{self:?}: {at} of {known} bytes are left");
        while at < bytes.len() {
            let end = bytes.len().min(at + self.chunk_size);
            let request = self
                .tus("PATCH", path)
                .header("Upload-Offset", &at.to_string())
                .header("Content-Type", "application/offset+octet-stream")
                .body(bytes[at..end].to_vec());
            let reply = line.send(&request)?;
            assert_eq!(reply.status, 204, "{self:?}: {reply:?}");
            at = offset(&reply).expect("an offset");
            assert_eq!(at, end);
            (0..self.count())
                .filter(|index| (index + 1) * self.chunk_size <= at)
                .for_each(|index| self.acknowledge(index));
        }
        Ok(())
    }

    /// One upload by tus; with its last byte it is a File.
    fn in_order(&mut self, line: &Line<'_>) -> io::Result<()> {
        if self.pieces[0].is_none() {
            let length = self.bytes.len().to_string();
            self.pieces[0] = Some(self.create(line, &[("Upload-Length", &length)])?);
        }
        let path = self.pieces[0].clone().expect("created");
        let acknowledged = self.acknowledged.lock().expect("no panic").clone();
        let known = acknowledged.iter().take_while(|known| **known).count();
        self.append(line, &path, &self.bytes, (known * self.chunk_size).min(self.bytes.len()))?;
        self.known_by(line, &path)
    }

    /// Each chunk as a piece of its own, then all joined.
    fn in_pieces(&mut self, line: &Line<'_>) -> io::Result<()> {
        let chunks: Vec<Vec<u8>> = self.bytes.chunks(self.chunk_size).map(<[u8]>::to_vec).collect();
        if self.file.is_none() {
            for (index, chunk) in chunks.iter().enumerate() {
                if self.pieces[index].is_none() {
                    let length = chunk.len().to_string();
                    let headers = [("Upload-Length", &*length), ("Upload-Concat", "partial")];
                    self.pieces[index] = Some(self.create(line, &headers)?);
                }
                let path = self.pieces[index].clone().expect("created");
                // Once they were joined, a piece stands for the whole.
                self.append(line, &path, chunk, 0)?;
            }
        }
        let pieces: Vec<&str> = self.pieces.iter().flatten().map(String::as_str).collect();
        let path =
            self.create(line, &[("Upload-Concat", &format!("final;{}", pieces.join(" ")))])?;
        self.known_by(line, &path)
    }

    /// Remembers the File that an upload by tus became.
    fn known_by(&mut self, line: &Line<'_>, path: &str) -> io::Result<()> {
        self.done_sent = true;
        let uuid = path.rsplit('/').next().expect("a uuid");
        let file = line.send(&Request::done(&json!({ "uuid": uuid })).token(&self.token))?.ok();
        self.remember(file);
        Ok(())
    }

    fn chunks(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut missing = self.missing(line)?;
        if self.id.is_none() {
            // Only the first chunk may come without a uuid.
            let reply = line.send(&self.chunk(0))?.ok();
            self.id = Some(reply["file_uuid"].as_str().expect("a uuid").to_owned());
            self.acknowledge(0);
            missing.retain(|index| *index != 0);
        }
        let mut random = Random(self.seed);
        self.seed = random.next();
        let mut sent: Vec<usize> = missing.clone();
        if self.file.is_none() {
            // Sends acknowledged ones again from time to time, as clients do if a reply is lost.
            let known = (0..self.count()).filter(|index| !missing.contains(index));
            sent.extend(known.filter(|_| random.below(4) == 0));
        }
        if self.way == Way::Parallel {
            random.shuffle(&mut sent);
            self.send_at_once(line, &sent)?;
        } else {
            for index in sent {
                self.send_chunk(line, index)?;
            }
        }
        self.done_sent = true;
        let done = json!({
            "uuid": self.id, "filename": "file.bin", "totalfilesize": self.bytes.len(),
        });
        let file = line.send(&Request::done(&done).token(&self.token))?.ok();
        self.remember(file);
        Ok(())
    }

    /// What the server says is missing; it must have everything that it acknowledged.
    fn missing(&self, line: &Line<'_>) -> io::Result<Vec<usize>> {
        let all = (0..self.count()).collect();
        let Some(id) = &self.id else {
            return Ok(all);
        };
        let status = Request::new("GET", &format!("/api/v2/pm/upload/{id}/"));
        let reply = line.send(&status.token(&self.token))?;
        let acknowledged = self.acknowledged.lock().expect("no panic").clone();
        if reply.status == 404 {
            assert!(!acknowledged.contains(&true), "{self:?}: forgotten");
            return Ok(all);
        }
        let status = reply.ok();
        if status["finished"] == true {
            assert!(self.done_sent, "{self:?}: finished by itself");
            return Ok(Vec::new());
        }
        assert!(self.file.is_none(), "{self:?}: a File became an upload again");
        let mut present = vec![false; self.count()];
        for run in status["parts"].as_array().expect("runs of indexes") {
            let end = |at: usize| run[at].as_u64().expect("an index") as usize;
            present[end(0)..=end(1)].fill(true);
        }
        for (index, acknowledged) in acknowledged.into_iter().enumerate() {
            assert!(present[index] || !acknowledged, "{self:?}: chunk {index} is lost");
        }
        Ok((0..self.count()).filter(|index| !present[*index]).collect())
    }

    fn send_at_once(&self, line: &Line<'_>, indexes: &[usize]) -> io::Result<()> {
        const CONNECTIONS: usize = 3;
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(index) = indexes.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.send_chunk(line, *index)?;
            }
            io::Result::Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))
        })
    }

    fn send_chunk(&self, line: &Line<'_>, index: usize) -> io::Result<()> {
        let reply = line.send(&self.chunk(index))?.ok();
        assert_eq!(reply["file_uuid"].as_str(), self.id.as_deref());
        self.acknowledge(index);
        Ok(())
    }

    fn chunk(&self, index: usize) -> Request {
        let begin = index * self.chunk_size;
        let end = self.bytes.len().min(begin + self.chunk_size);
        let mut form =
            Multipart::default().field("partindex", index).field("totalparts", self.count());
        if let Some(id) = &self.id {
            form = form.field("uuid", id);
        }
        form = match self.says_offset {
            true => form.field("partbyteoffset", begin),
            false => form.field("totalfilesize", self.bytes.len()),
        };
        Request::upload(form.file("file", &self.bytes[begin..end])).token(&self.token)
    }

    /// Checks that the File and its bytes are the same as ever.
    fn check_file(&self, line: &Line<'_>) -> io::Result<()> {
        let id = self.id.as_deref().expect("answered");
        let path = format!("/api/v2/pm/upload/{id}/file/");
        let request = Request::new("GET", &path).token(&self.token);
        let file = line.send(&request)?.ok();
        let known = self.file.as_ref().map(identity);
        assert_eq!(Some(identity(&file)), known, "{id}");
        let served = download(line.host, file["url"].as_str().expect("a link"))?;
        let served = line.unless_away(served)?;
        assert_eq!(served.status, 200);
        assert!(served.body == self.served, "{id}: other bytes are served");
        Ok(())
    }

    fn remember(&mut self, file: Value) {
        let id = file["file_uuid"].as_str().expect("a uuid").to_owned();
        assert_eq!(file["filesize"], self.bytes.len());
        if let Some(known) = &self.file {
            assert_eq!(identity(known), identity(&file), "one File for ever");
        }
        self.id = Some(id);
        self.file = Some(file);
    }

    fn acknowledge(&self, index: usize) {
        self.acknowledged.lock().expect("no panic")[index] = true;
    }

    fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.chunk_size)
    }
}
