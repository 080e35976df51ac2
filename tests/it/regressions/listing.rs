//! The list says how far an upload has got, not which parts it consists of.

use std::pin::pin;

use bytes::Bytes;
use futures_util::stream;
use haversack::ids::{UploadId, UserId};
use haversack::part::Declaration;
use haversack::uploads::ChunkRequest;
use serde_json::json;

use crate::harness::{Server, new_uuid};

#[tokio::test]
async fn an_upload_of_thousands_of_parts_is_listed_without_them() {
    const PARTS: u32 = 3000;
    let server = Server::start().await;
    let uuid = new_uuid();
    for index in 0..PARTS {
        let request = ChunkRequest {
            user: UserId::from(1),
            id: UploadId::parse(&uuid),
            // Every other one, so that they don't form a single range.
            declared: Declaration {
                index: index * 2,
                total_parts: Some(PARTS * 2),
                offset: Some(u64::from(index) * 2),
                ..Declaration::default()
            },
            filename: None,
            declared_type: None,
            parent: None,
        };
        let body = stream::iter([Ok(Bytes::from("x"))]);
        let slot = server.app.uploads.slot(&request, 1).await.unwrap();
        let filled = slot.fill(pin!(body)).await.unwrap();
        server.app.uploads.accept_chunk(filled, request).await.unwrap();
    }
    let reply = server.user(1).list("").await;
    assert!(reply.body.len() < 1000, "{} bytes", reply.body.len());
    let list = reply.ok();
    let entry = &list["results"][0];
    assert_eq!(entry["file_uuid"], uuid);
    assert_eq!(entry["received"], PARTS);
    assert_eq!(entry["totalparts"], PARTS * 2);
    assert!(entry.get("parts").is_none(), "{entry}");
    assert_eq!(list["next"], json!(null));
}

#[tokio::test]
async fn a_repeated_delete_is_told_that_it_is_gone() {
    let server = Server::start().await;
    let user = server.user(1);
    let unfinished = user.begin(2, "abc").await;
    let finished = user.store_any().await;
    for uuid in [unfinished, finished] {
        user.delete(&uuid).await.ok();
        for _ in 0..2 {
            user.delete(&uuid).await.refused(410, "gone");
            user.post_delete(&uuid).await.refused(410, "gone");
        }
    }
}
