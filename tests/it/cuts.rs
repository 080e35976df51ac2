//! A network that cuts connections at random bytes, in either direction, and a sender by tus who goes on as the protocol
//! says: what it gets is the same file, or a clear refusal, and never other bytes.
//!
//! `HAVERSACK_TEST_TUS_CUTS` sets the number of files, `HAVERSACK_TEST_SEED` repeats a trial.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, copy};
use tokio::net::{TcpListener, TcpStream};

use crate::faults::seed;
use crate::harness::{OFFSET_OCTET_STREAM, Reply, SECRET, Server, TUS, noise, uuid_in};
use crate::measured::{figures, setting};

const FILES: u64 = 30;
/// More attempts than any file needs.
const ATTEMPTS: u32 = 200;

/// Numbers that are the same for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit.max(1)
    }
}

/// A proxy that cuts each connection after so many bytes from the client, or so many from the server.
struct Proxy {
    address: SocketAddr,
    limits: Arc<[AtomicU64; 2]>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Arc::new([AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)]);
        let used = Arc::clone(&limits);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let [up, down] = [0, 1].map(|at: usize| used[at].load(Ordering::Relaxed));
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(to).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        () = forward(from_client, to_server, up) => {}
                        () = forward(from_server, to_client, down) => {}
                    }
                });
            }
        });
        Self { address, limits }
    }

    /// The connections that are made from now on end after so many bytes.
    fn cut_after(&self, up: u64, down: u64) {
        self.limits[0].store(up, Ordering::Relaxed);
        self.limits[1].store(down, Ordering::Relaxed);
    }
}

async fn forward(from: impl AsyncRead, to: impl AsyncWrite, limit: u64) {
    let (from, mut to) = (std::pin::pin!(from.take(limit)), std::pin::pin!(to));
    let mut from = from;
    let _ = copy(&mut from, &mut to).await;
}

/// How a file is sent.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Bytes of a PATCH.
    chunk: usize,
    checksum: bool,
    deferred: bool,
    with_creation: bool,
}

/// A sender whose connections are cut.
struct Sender<'a> {
    http: reqwest::Client,
    proxy: &'a Proxy,
    token: String,
    random: &'a mut Random,
    cuts: u64,
}

impl Sender<'_> {
    /// Sends a request on a connection that may be cut; `None` when it was.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Option<Reply> {
        let length = body.len() as u64 + 600;
        let (up, down) = match self.random.below(4) {
            0 => (u64::MAX, u64::MAX),
            1 => (u64::MAX, self.random.below(400)),
            _ => (self.random.below(length), u64::MAX),
        };
        self.proxy.cut_after(up, down);
        let url = format!("http://{}{path}", self.proxy.address);
        let mut request = self
            .http
            .request(method, url)
            .header("authorization", format!("Bearer {}", self.token))
            .header("tus-resumable", "1.0.0")
            .header("connection", "close");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let reply = async {
            let response = request.body(body).send().await.ok()?;
            let (status, headers) = (response.status(), response.headers().clone());
            Some(Reply { status, headers, body: response.bytes().await.ok()? })
        };
        let reply = reply.await;
        self.cuts += u64::from(reply.is_none());
        reply
    }

    /// Sends a file until it is there; the path of its upload.
    async fn upload(&mut self, bytes: &[u8], way: Way) -> String {
        let mut path = None;
        let mut offset = 0;
        let mut asks = false;
        for _ in 0..ATTEMPTS {
            let Some(at) = path.clone() else {
                (path, offset) = self.create(bytes, way).await;
                continue;
            };
            let at: String = at;
            if asks {
                let Some(told) = self.send(Method::HEAD, &at, &[], Vec::new()).await else {
                    continue;
                };
                assert_eq!(told.status, 200, "{told:?}");
                offset = told.header("upload-offset").parse().unwrap();
                assert!(offset <= bytes.len());
                if told.header("file-state") == "finished" {
                    return at;
                }
            }
            let reply = self.patch(&at, bytes, offset, way).await;
            match reply {
                Some(reply) if reply.status == 204 => {
                    offset = reply.header("upload-offset").parse().unwrap();
                    asks = offset == bytes.len();
                }
                Some(reply) => {
                    assert!([400, 409].contains(&reply.status.as_u16()), "{reply:?}");
                    asks = true;
                }
                None => asks = true,
            }
        }
        panic!("{bytes} bytes did not get through, {way:?}", bytes = bytes.len());
    }

    async fn create(&mut self, bytes: &[u8], way: Way) -> (Option<String>, usize) {
        let mut headers = if way.deferred {
            vec![("upload-defer-length", "1".to_owned())]
        } else {
            vec![("upload-length", bytes.len().to_string())]
        };
        let mut first = Vec::new();
        if way.with_creation {
            headers.push(("content-type", OFFSET_OCTET_STREAM.to_owned()));
            first.extend(&bytes[..bytes.len().min(way.chunk)]);
        }
        match self.send(Method::POST, TUS, &headers, first).await {
            Some(reply) if reply.status == 201 => {
                let path = format!("{TUS}{}", uuid_in(reply.header("location")));
                (Some(path), reply.header("upload-offset").parse().unwrap())
            }
            Some(reply) => panic!("{reply:?}"),
            None => (None, 0),
        }
    }

    async fn patch(&mut self, at: &str, bytes: &[u8], offset: usize, way: Way) -> Option<Reply> {
        let end = bytes.len().min(offset.saturating_add(way.chunk));
        let chunk = &bytes[offset..end];
        let mut headers = vec![
            ("upload-offset", offset.to_string()),
            ("content-type", OFFSET_OCTET_STREAM.to_owned()),
        ];
        if way.checksum {
            use base64::Engine as _;
            let crc32 = crc32fast::hash(chunk).to_be_bytes();
            let crc32 = base64::engine::general_purpose::STANDARD.encode(crc32);
            headers.push(("upload-checksum", format!("crc32 {crc32}")));
        }
        if way.deferred && end == bytes.len() {
            headers.push(("upload-length", bytes.len().to_string()));
        }
        self.send(Method::PATCH, at, &headers, chunk.to_vec()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_anywhere_lead_to_the_same_file() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address).await;
    let mut random = Random(seed() | 1);
    let files = setting("HAVERSACK_TEST_TUS_CUTS").unwrap_or(FILES);
    let caller = haversack::auth::Caller::User(haversack::ids::UserId::from(1));
    let now = haversack::clock::Clock::system().unix_secs();
    let token = haversack::auth::sign(SECRET.as_bytes(), caller, now, 365 * crate::harness::DAY);
    let (noise, mut cuts) = (noise(12 << 20), 0);
    for _ in 0..files {
        let size = match random.below(4) {
            0 => random.below(3),
            1 => random.below(12 << 20),
            _ => random.below(600_000),
        } as usize;
        let from = random.below((noise.len() - size) as u64 + 1) as usize;
        let bytes = &noise[from..from + size];
        let way = Way {
            chunk: [usize::MAX, 1 + size / 3, 200_000.max(size / 20)][random.below(3) as usize],
            checksum: random.below(4) == 0,
            deferred: random.below(4) == 0,
            with_creation: random.below(4) == 0,
        };
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
        let http = http.pool_max_idle_per_host(0).build().unwrap();
        let mut sender =
            Sender { http, proxy: &proxy, token: token.clone(), random: &mut random, cuts: 0 };
        let path = sender.upload(bytes, way).await;
        cuts += sender.cuts;
        let user = server.user(1);
        assert!(user.behind(&path).await == bytes, "other bytes, {way:?}");
        user.tus(Method::DELETE, &path, &[], "").await;
    }
    figures(format_args!("{files} files, {cuts} cuts"));
}
