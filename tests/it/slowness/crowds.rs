//! Crowds of clients of the binary: slow and silent ones, which others must not notice, and uploads, which must not
//! take much memory each.
//!
//! `HAVERSACK_TEST_CROWD` sets the number of slow clients and of silent ones, `HAVERSACK_TEST_UPLOADS` that of
//! concurrent uploads.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::harness::{Form, eventually, new_uuid};
use crate::measured::{Limit, figures, setting};
use crate::process::program::{Server, serve, token};

const CROWD: usize = 100;
/// Enough that the process's own variation, some 15 MiB, is little per upload.
const UPLOADS: usize = 400;
/// What a real client sends at once.
const CHUNK: usize = 204_800;
/// Number of clients that must not be disturbed, and what each sends for a measurement.
const HEALTHY: i64 = 4;
const REQUESTS: u32 = 100;
/// Time between two requests of one of them.
const PAUSE: Duration = Duration::from_millis(40);
/// No slow or silent client keeps its connection longer.
const LONGEST: Duration = Duration::from_secs(30);

/// As many descriptors as the system allows, because each client takes one.
pub(super) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// The head of an upload.
fn head(user: i64, length: usize) -> String {
    format!(
        "POST /api/v2/pm/upload/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: {}\r\nContent-Length: {length}\r\n\r\n",
        token(user),
        Form::content_type(),
    )
}

/// A client that sends these bytes at once, and then one more each second, if any. Returns how long it stayed
/// connected.
async fn hold(host: &str, at_once: String, slowly: bool) -> JoinHandle<Duration> {
    let mut stream = TcpStream::connect(host).await.unwrap();
    tokio::spawn(async move {
        let begun = Instant::now();
        let (mut reading, mut writing) = stream.split();
        let mut answer = [0; 1024];
        let sending = async {
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            let mut sent = writing.write_all(at_once.as_bytes()).await.is_ok();
            while slowly && sent {
                seconds.tick().await;
                sent = writing.write_all(b"x").await.is_ok();
            }
            std::future::pending::<()>().await;
        };
        let end = async { while reading.read(&mut answer).await.is_ok_and(|count| count > 0) {} };
        tokio::select! {
            () = end => {}
            () = sending => {}
        }
        begun.elapsed()
    })
}

/// Slow and silent clients; half of each stop before the end of a head, half before the end of a body. They share as
/// few users as possible.
async fn crowd(host: &str, size: usize) -> Vec<JoinHandle<Duration>> {
    let mut clients = Vec::new();
    for number in 0..size {
        let user = 1000 + (number / 8) as i64;
        let at_once = if number % 2 == 0 { head(user, CHUNK) } else { String::new() };
        clients.push(hold(host, at_once.clone(), true).await);
        clients.push(hold(host, at_once, false).await);
    }
    clients
}

/// Times of undisturbed uploads, all successful, in ascending order.
async fn healthy(host: &str) -> Vec<Duration> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{host}/api/v2/pm/upload/");
    let clients = (0..HEALTHY).map(async |user| {
        let (uuid, token, mut times) = (new_uuid(), token(user), Vec::new());
        let mut pauses = tokio::time::interval(PAUSE);
        for index in 0..REQUESTS {
            pauses.tick().await;
            let form = Form::chunk(index, REQUESTS, vec![b'h'; CHUNK]).uuid(&uuid).encode();
            let request = http.post(&url).header("content-type", Form::content_type());
            let begun = Instant::now();
            let reply = request.bearer_auth(&token).body(form).send().await.unwrap();
            assert_eq!(reply.status(), 200, "{}", reply.text().await.unwrap());
            times.push(begun.elapsed());
        }
        times
    });
    let mut times = join_all(clients).await.concat();
    times.sort_unstable();
    times
}

/// The time within which 99 of 100 are answered.
fn p99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_clients_do_not_notice_a_crowd_of_slow_and_silent_ones() {
    raise_limit();
    let full = setting("HAVERSACK_TEST_CROWD");
    let size = full.unwrap_or(CROWD);
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    if full.is_none() {
        command.args(["--header-timeout=5s", "--body-idle-timeout=5s"]);
    }
    let server = Server::start(&mut command);
    healthy(&server.host).await; // once, to allocate its buffers
    let before = server.descriptors();
    let mut slower = Limit::of("p99 beside the crowd");
    let mut stays = Limit::of("the longest that one of the crowd stayed");
    loop {
        let alone = p99(&healthy(&server.host).await);
        let crowd = crowd(&server.host, size).await;
        let connected = before + 2 * size - 2 * HEALTHY as usize; // the undisturbed clients' connections may be closed
        eventually("all of them are there", async || server.descriptors() >= connected).await;
        let beside = p99(&healthy(&server.host).await);
        let held = crowd.iter().filter(|client| !client.is_finished()).count();
        let longest = join_all(crowd).await.into_iter().map(Result::unwrap).max().unwrap();
        eventually("their places are free", async || server.descriptors() <= before + 8).await;
        let alone = alone.min(p99(&healthy(&server.host).await));
        figures(format_args!(
            "p99 alone {alone:.1?}, beside {held} of {} clients {beside:.1?}",
            2 * size
        ));
        let kept = slower.is_kept(beside, 2 * alone);
        if stays.is_kept(longest, LONGEST) && kept {
            break;
        }
    }
    let stderr = server.stop().stderr;
    assert!(!stderr.contains("ERROR"), "{stderr}");
}

/// Sends an upload up to its last bytes.
async fn send_most(host: &str, user: i64, form: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(head(user, form.len()).as_bytes()).await.unwrap();
    stream.write_all(&form[..form.len() - 10]).await.unwrap();
    stream
}

async fn send_rest(mut stream: TcpStream, form: &[u8]) {
    stream.write_all(&form[form.len() - 10..]).await.unwrap();
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_uploads_at_once_take_little_memory_and_few_descriptors_each() {
    raise_limit();
    let count = setting("HAVERSACK_TEST_UPLOADS").unwrap_or(UPLOADS);
    let dir = tempfile::tempdir().unwrap();
    // On a busy machine, the first of them waits long for the last.
    let server = Server::start(serve(dir.path()).arg("--body-idle-timeout=10m"));
    let form = |_| Form::chunk(0, 2, vec![b'u'; 3 * CHUNK]).uuid(&new_uuid()).encode();
    let first = form(0);
    send_rest(send_most(&server.host, 0, &first).await, &first).await;
    let ((base, _), descriptors) = (server.memory(), server.descriptors());
    let forms: Vec<_> = (0..count).map(form).collect();
    let sending = (0..).zip(&forms).map(|(user, form)| send_most(&server.host, user, form));
    let streams = join_all(sending).await;
    let files = count + 1;
    eventually("all their bytes are there", async || stored(dir.path(), files, 3 * CHUNK - 4096))
        .await;
    let open = server.descriptors() - descriptors;
    join_all(streams.into_iter().zip(&forms).map(|(stream, form)| send_rest(stream, form))).await;
    let (_, most) = server.memory();
    let each = most.saturating_sub(base) / count;
    figures(format_args!(
        "{count} uploads: {base} KiB before, {each} KiB and {open} / {count} descriptors each"
    ));
    assert!(each <= 256, "{each} KiB");
    assert!(open <= 3 * count, "{open} descriptors");
}

/// Whether this many blobs have this many bytes.
fn stored(data: &std::path::Path, count: usize, bytes: usize) -> bool {
    let entries = |path: &std::path::Path| std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let shards = entries(&data.join("blobs")).filter(|entry| entry.path().is_dir());
    let blobs = shards.flat_map(|shard| entries(&shard.path()).collect::<Vec<_>>());
    blobs.filter(|blob| blob.metadata().unwrap().len() >= bytes as u64).count() >= count
}
