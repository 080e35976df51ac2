//! Clients that read a file slowly, or request it and read nothing.
//!
//! `HAVERSACK_TEST_DOWNLOADS` sets the number of concurrent downloads that nobody reads, `HAVERSACK_TEST_SEND_TIMEOUT`
//! the send time-out in seconds for the slow reader.

use std::time::Duration;

use futures_util::future::join_all;
use haversack::config::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use super::crowds::raise_limit;
use crate::harness::{PATIENCE, Server as InProcess};
use crate::measured::{figures, setting};
use crate::process::http::{Multipart, Request};
use crate::process::program::{Server, serve, token};

/// Many times as much as a download may take in memory.
const FILE: usize = 4 << 20;
const DOWNLOADS: usize = 400;
/// Maximum memory of one download, and of all of them, in the process and in the system's buffers.
const EACH: usize = 256 << 10;
const ALL: usize = 256 << 20;

/// Requests the bytes at a link.
async fn ask(host: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The path of a link.
fn path(file: &serde_json::Value) -> &str {
    let link = file["url"].as_str().unwrap();
    &link[link.find("/media/").unwrap()..]
}

/// Number of bytes that the system holds for each connection to this port (proc_net_tcp(5), `tx_queue`).
fn queued(host: &str) -> Vec<usize> {
    let port: u16 = host.rsplit_once(':').unwrap().1.parse().unwrap();
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let of_port = connections.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields[1].split_once(':')?;
        let (sending, _) = fields[4].split_once(':')?;
        let number = |hex| usize::from_str_radix(hex, 16).unwrap();
        (number(local) == usize::from(port)).then(|| number(sending))
    });
    of_port.collect()
}

/// Memory of the process and of the system's buffers, once it has been stable for a while.
async fn settled(server: &Server) -> (usize, usize) {
    let mut looks = interval(Duration::from_millis(200));
    let (mut known, mut same) = ((0, 0), 0);
    while same < 3 {
        looks.tick().await;
        let now = (server.memory().0 << 10, queued(&server.host).iter().sum());
        same = if now == known { same + 1 } else { 0 };
        known = now;
    }
    known
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_downloads_that_nobody_reads_take_bounded_memory() {
    raise_limit();
    let count = setting("HAVERSACK_TEST_DOWNLOADS").unwrap_or(DOWNLOADS);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&mut serve(dir.path()));
    let form = Multipart::default().file("file", &vec![b'd'; FILE]);
    let file = Request::upload(form).token(&token(1)).send(&server.host).unwrap().ok();
    let mut first = ask(&server.host, path(&file)).await;
    first.read_to_end(&mut Vec::new()).await.unwrap(); // so that nothing happens for the first time below
    let (base, _) = settled(&server).await;
    let asking = (0..count).map(|_| ask(&server.host, path(&file)));
    let readers = join_all(asking).await;
    for reader in &readers {
        timeout(6 * PATIENCE, reader.readable()).await.expect("nobody is refused").unwrap();
    }
    let (process, system) = settled(&server).await;
    let most = queued(&server.host).into_iter().max().unwrap();
    let grown = process.saturating_sub(base);
    figures(format_args!(
        "{count} downloads that nobody reads: {} KiB each of the process, {} KiB of the system, {} KiB at most",
        (grown / count) >> 10,
        (system / count) >> 10,
        most >> 10
    ));
    assert!(grown + system <= ALL.min(count * EACH), "{grown} and {system} bytes");
    assert!(most <= EACH, "{most} bytes of one connection are queued");
    let mut last = readers.into_iter().next_back().unwrap();
    let mut reply = Vec::new();
    timeout(PATIENCE, last.read_to_end(&mut reply)).await.expect("the file").unwrap();
    assert!(reply.ends_with(&vec![b'd'; FILE]), "the last one gets all of it");
}

/// How much a slow reader reads at a time, and how often per send time-out: 1.5 times the minimum that is never cut
/// off; with a time-out of 60 s, 1 KiB per second.
const STEP: usize = 6 << 10;
const FULL_STEP: usize = 4 << 10;
const STEPS: u32 = 16;
/// Number of time-outs for which it reads.
const TIMEOUTS: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_let_while_one_who_takes_nothing_is_cut_off() {
    let full = setting("HAVERSACK_TEST_SEND_TIMEOUT");
    let (send, step) = full.map_or((4, STEP), |secs| (secs, FULL_STEP));
    let send_timeout = format!("{send}s").parse().unwrap();
    let server = InProcess::with(Settings { send_timeout, ..Settings::default() }).await;
    let file = server.user(1).store("long.txt", vec![b'x'; 2 * FILE]).await;
    let host = server.address.to_string();
    let mut silent = ask(&host, path(&file)).await;
    let mut slow = ask(&host, path(&file)).await;
    let send = Duration::from_secs(send as u64);
    let (begun, mut steps, mut step) = (Instant::now(), interval(send / STEPS), vec![0; step]);
    while begun.elapsed() < TIMEOUTS * send {
        steps.tick().await;
        let taken = slow.read_exact(&mut step).await;
        taken.unwrap_or_else(|error| panic!("cut off after {:?}: {error}", begun.elapsed()));
    }
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"xxx") && rest.len() > FILE, "{} bytes are the rest", rest.len());
    let mut received = Vec::new();
    let _ = timeout(PATIENCE, silent.read_to_end(&mut received)).await.expect("it was cut off");
    assert!(received.len() < FILE, "{} bytes came to who took nothing", received.len());
}
