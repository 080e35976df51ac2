//! A file whose size exceeds 31 bits. `HAVERSACK_TEST_FILE_MIB` sets its size in MiB; the default is 3.

use haversack::ids::UploadId;
use serde_json::json;

use super::http::{Multipart, Request, download};
use super::program::{Server, serve, token};
use crate::measured::setting;

/// Size of a chunk in bytes.
const CHUNK: u64 = 32 << 20;

/// The byte at this offset. The sequence has no period that could hide a wrong offset.
fn byte(offset: u64) -> u8 {
    let page = offset >> 12;
    (page ^ page >> 8 ^ page >> 16 ^ offset) as u8
}

fn bytes(range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(byte).collect()
}

#[test]
fn a_large_file_is_stored_and_served() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let mib = setting("HAVERSACK_TEST_FILE_MIB").unwrap_or(3);
    let size: u64 = (mib << 20) + 1;
    let (id, total) = (UploadId::random().to_string(), size.div_ceil(CHUNK));
    for index in (0..total).rev() {
        let start = index * CHUNK;
        let form = Multipart::default().field("uuid", &id).field("partindex", index);
        let form = form.field("totalparts", total).field("partbyteoffset", start);
        let form = form.file("file", &bytes(start..(start + CHUNK).min(size)));
        Request::upload(form).token(&token(1)).send(&server.host).expect("a reply").ok();
    }
    let done = Request::done(&json!({"uuid": id, "totalfilesize": size}));
    let file = done.token(&token(1)).send(&server.host).expect("a reply").ok();
    assert_eq!(file["filesize"], size);
    let url = file["url"].as_str().expect("a link");
    let path = format!("/{}", url.splitn(4, '/').nth(3).expect("absolute"));
    for middle in [1, 1 << 20, 1 << 31, (1 << 32) - 1, size - 1] {
        let range = middle.min(size - 1).saturating_sub(1000)..(middle + 1000).min(size);
        if range.start < range.end {
            let header = format!("bytes={}-{}", range.start, range.end - 1);
            let reply = Request::new("GET", &path).header("Range", &header).send(&server.host);
            let reply = reply.expect("a reply");
            assert_eq!(reply.status, 206);
            assert!(reply.body == bytes(range), "{header}");
        }
    }
    if mib < 100 {
        assert!(download(&server.host, url).expect("a reply").body == bytes(0..size));
    }
}
