//! Disk space reserved for bytes to come: never more than the bytes that have been stored.

use std::os::unix::fs::MetadataExt;

use crate::harness::{Form, Server, new_uuid};

const MIB: u64 = 1 << 20;

/// Disk space in bytes that all stored blobs take, including reserved space.
fn taken(server: &Server) -> u64 {
    let entries = |path: &std::path::Path| std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let shards = entries(&server.blobs()).filter(|shard| shard.path().is_dir());
    let blobs = shards.flat_map(|shard| entries(&shard.path()).collect::<Vec<_>>());
    blobs.map(|blob| blob.metadata().unwrap().blocks() * 512).sum()
}

#[tokio::test]
async fn a_large_chunk_is_no_license_to_reserve_as_much_at_every_offset() {
    let server = Server::start().await;
    let (user, uuid) = (server.user(1), new_uuid());
    let chunk = |index: u32, bytes: &[u8]| {
        let offset = u64::from(index) * 16 * MIB;
        Form::new()
            .uuid(&uuid)
            .field("partindex", index)
            .field("totalparts", 64)
            .field("partbyteoffset", offset)
            .file("file", Some("blob"), bytes)
    };
    user.upload(chunk(0, &vec![b'x'; 4 << 20])).await.ok();
    for index in 1..64 {
        user.upload(chunk(index, b"x")).await.ok();
    }
    let (stored, blocks) = (4 * MIB, 63 * 4096);
    assert!(taken(&server) <= 2 * (stored + blocks), "{} MiB", taken(&server) / MIB);
}
