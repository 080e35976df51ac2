//! What a receiver gets of a file that says where it was made, and what the File says about media.

use haversack::config::Settings;
use haversack::media;
use serde_json::{Value, json};

use super::without_metadata;
use crate::harness::{Client, Form, Server};

const PHOTO: &[u8] = include_bytes!("../../media/gps/everything.jpg");
const CLIP: &[u8] = include_bytes!("../../media/gps/clip.mp4");

/// All files in `tests/media/gps` with their names.
fn tagged() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/gps");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    });
    files.collect()
}

/// Sends a file in chunks of 1000 bytes, without done.
async fn send(user: &Client, bytes: &[u8]) -> String {
    let uuid = crate::harness::new_uuid();
    let count = bytes.chunks(1000).len() as u32;
    for (index, chunk) in bytes.chunks(1000).enumerate() {
        user.upload(Form::chunk(index as u32, count, chunk).uuid(&uuid)).await.ok();
    }
    uuid
}

async fn served(server: &Server, file: &Value) -> Vec<u8> {
    let reply = server.anonymous().get(file["url"].as_str().unwrap()).await;
    assert_eq!(reply.status, 200);
    reply.body.to_vec()
}

/// Whether the recorded checksum is that of the bytes.
async fn recorded(server: &Server, file: &Value, bytes: &[u8]) -> bool {
    let id = haversack::ids::UploadId::parse(file["uuid"].as_str().unwrap()).unwrap();
    let found = server.app.http.files.find_many(vec![id]).await.unwrap();
    found[0].as_ref().unwrap().crc32 == crc32fast::hash(bytes)
}

#[tokio::test]
async fn what_says_where_it_was_made_is_delivered_without_that_at_the_same_size() {
    let server = Server::start().await;
    let user = server.user(1);
    for (name, sent) in tagged() {
        let uuid = send(&user, &sent).await;
        let file = user.done_json(&json!({"uuid": uuid, "filename": name})).await.ok();
        let expected = without_metadata(&sent);
        assert!(expected != sent, "{name}");
        assert!(served(&server, &file).await == expected, "{name}: in chunks");
        assert!(recorded(&server, &file, &expected).await, "{name}");
        assert_eq!(file["filesize"], sent.len());
        let file = user.store(&name, &sent).await;
        assert!(served(&server, &file).await == expected, "{name}: in one request");
        assert!(recorded(&server, &file, &expected).await, "{name}");
    }
}

#[tokio::test]
async fn nothing_of_it_is_left_on_the_disk() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = send(&user, PHOTO).await;
    let file = user.done(&uuid).await.ok();
    user.store("photo.jpg", PHOTO).await;
    user.upload(Form::thumbnail(&uuid, PHOTO)).await.ok();
    let clean = without_metadata(PHOTO);
    let secret = PHOTO
        .windows(16)
        .zip(clean.windows(16))
        .find(|(sent, kept)| sent.iter().zip(*kept).all(|(sent, kept)| sent != kept && *kept == 0));
    let secret = secret.expect("something is removed").0;
    assert_eq!(file["mimetype"], "image/jpeg");
    for shard in std::fs::read_dir(server.blobs()).unwrap() {
        let shard = shard.unwrap().path();
        if shard.is_dir() {
            for blob in std::fs::read_dir(shard).unwrap() {
                let bytes = std::fs::read(blob.unwrap().path()).unwrap();
                assert!(!bytes.windows(16).any(|window| window == secret));
            }
        }
    }
}

#[tokio::test]
async fn metadata_behind_the_pixels_go_too() {
    let plain = include_bytes!("../../media/samples/picture.jpg");
    let tagged = include_bytes!("../../media/gps/exif.jpg");
    let (start, end) = plain.split_at(plain.len() - 2);
    let segment = &tagged[memchr::memmem::find(tagged, b"Exif").unwrap() - 4..];
    let length = usize::from(u16::from_be_bytes([segment[2], segment[3]])) + 2;
    let server = Server::start().await;
    for sent in [[plain, &tagged[..]].concat(), [start, &segment[..length], end].concat()] {
        let file = server.user(1).store("photo.jpg", &sent).await;
        let served = served(&server, &file).await;
        assert_eq!(served.len(), sent.len());
        let place = memchr::memmem::find(&sent, b"Exif").unwrap() + 100;
        let secret = sent[place..place + 200].windows(8).find(|w| w.iter().all(|b| *b != 0));
        let secret = secret.expect("something is said");
        assert!(memchr::memmem::find(&served, secret).is_none());
    }
}

#[tokio::test]
async fn an_operator_may_keep_it() {
    let settings = Settings { keep_metadata: true, ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let uuid = send(&user, PHOTO).await;
    for file in [user.done(&uuid).await.ok(), user.store("photo.jpg", PHOTO).await] {
        assert!(served(&server, &file).await == PHOTO);
        assert_eq!(file["metadata"], "kept");
        let file = user.illustrated(file["uuid"].as_str().unwrap()).await;
        let shown = server.anonymous().get(file["thumbnail"].as_str().unwrap()).await.body;
        assert!(!shown.windows(4).any(|window| window == b"Exif"), "a thumbnail has none anyway");
    }
}

#[tokio::test]
async fn the_file_tells_what_became_of_metadata() {
    let server = Server::start().await;
    let user = server.user(1);
    let compressed_index = b"\0\0\0\x14ftypqt  \0\0\x02\0qt  \0\0\0\x12moov\0\0\0\x0Acmovzz";
    let cleaned = without_metadata(PHOTO);
    let cases: [(&[u8], &str); 4] = [
        (PHOTO, "removed"),
        (&cleaned, "none"),
        (compressed_index, "kept"),
        (b"%PDF-1.7\n%\xE2\xE3\xCF\xD3\n1 0 obj\n", "unknown"),
    ];
    for (sent, expected) in cases {
        let uuid = send(&user, sent).await;
        assert_eq!(user.done(&uuid).await.ok()["metadata"], expected);
        assert_eq!(user.done(&uuid).await.ok()["metadata"], expected, "a repeated done");
        assert_eq!(user.file(&uuid).await.ok()["metadata"], expected);
        let single = user.store("file", sent).await;
        assert_eq!(single["metadata"], expected);
    }
}

#[tokio::test]
async fn what_was_sent_is_recognised_when_it_is_sent_again() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = send(&user, PHOTO).await;
    user.done(&uuid).await.ok();
    assert_eq!(send_again(&user, &uuid, PHOTO).await, 200);
    let clean = without_metadata(PHOTO);
    assert_eq!(send_again(&user, &uuid, &clean).await, 409, "these were never sent");

    let uuid = crate::harness::new_uuid();
    let single = |bytes: &[u8]| user.upload(Form::single(bytes).uuid(&uuid));
    let first = single(PHOTO).await.ok();
    assert_eq!(single(PHOTO).await.ok()["uuid"], first["uuid"]);
    single(&clean).await.refused(409, "file_conflict");
}

/// Sends the first chunk of a finished upload again.
async fn send_again(user: &Client, uuid: &str, bytes: &[u8]) -> u16 {
    let count = bytes.chunks(1000).len() as u32;
    let form = Form::chunk(0, count, &bytes[..1000]).uuid(uuid);
    user.upload(form).await.status.as_u16()
}

#[tokio::test]
async fn an_md5_is_that_of_what_was_sent() {
    use md5::{Digest, Md5};
    let sum = |bytes: &[u8]| {
        Md5::digest(bytes).iter().fold(String::new(), |s, b| s + &format!("{b:02x}"))
    };
    let server = Server::start().await;
    let user = server.user(1);
    let clean = without_metadata(PHOTO);
    let uuid = send(&user, PHOTO).await;
    let done = async |uuid: &str, md5| user.done_json(&json!({"uuid": uuid, "md5": md5})).await;
    done(&uuid, sum(&clean)).await.refused(400, "md5_mismatch");
    done(&uuid, sum(PHOTO)).await.ok();
    done(&uuid, sum(PHOTO)).await.ok();
    done(&uuid, sum(&clean)).await.refused(400, "md5_mismatch");

    let form = |md5: String| Form::single(PHOTO).field("md5", md5);
    user.upload(form(sum(&clean))).await.refused(400, "md5_mismatch");
    let file = user.upload(form(sum(PHOTO))).await.ok();
    let uuid = file["uuid"].as_str().unwrap();
    done(uuid, sum(&clean)).await.refused(400, "md5_mismatch");
    done(uuid, sum(PHOTO)).await.ok();
}

#[tokio::test]
async fn a_clip_tells_how_long_and_how_large_it_is() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = send(&user, CLIP).await;
    let file = user.done(&uuid).await.ok();
    let facts = media::probe(
        std::io::Cursor::new(CLIP),
        CLIP.len() as u64,
        &media::MediaType::parse("video/mp4").unwrap(),
    );
    assert!(facts.duration_secs.is_some() && facts.width.is_some());
    assert_eq!(file["mimetype"], "video/mp4");
    assert_eq!(file["duration"], json!(facts.duration_secs));
    assert_eq!((&file["width"], &file["height"]), (&json!(facts.width), &json!(facts.height)));
}

#[tokio::test]
async fn a_recording_of_a_browser_tells_its_length_and_that_it_is_sound() {
    let server = Server::start().await;
    let user = server.user(1);
    let recorded = include_bytes!("../../media/durations/recorded-sound.webm");
    for claim in [None, Some("Infinity"), Some("999")] {
        let form = Form::single(recorded).named("voice.webm");
        let form = claim.into_iter().fold(form, |form, claim| form.field("duration", claim));
        let file = user.upload(form).await.ok();
        assert_eq!(file["mimetype"], "audio/webm");
        let duration = file["duration"].as_u64().unwrap();
        assert!((1..60).contains(&duration), "{duration}: from the bytes, whatever is claimed");
    }
}

#[tokio::test]
async fn what_a_sender_claims_of_the_duration_counts_where_the_bytes_can_not_tell() {
    let server = Server::start().await;
    let user = server.user(1);
    let claim = |bytes: Vec<u8>| user.upload(Form::single(bytes).field("duration", 7));
    assert_eq!(claim(crate::harness::mp4()).await.ok()["duration"], 7);
    assert_eq!(claim(crate::harness::jpeg()).await.ok()["duration"], Value::Null);
}

#[tokio::test]
async fn a_picture_tells_its_size_as_it_is_shown() {
    let server = Server::start().await;
    let user = server.user(1);
    let turned = include_bytes!("../../media/durations/turned.jpg");
    let plain = include_bytes!("../../media/durations/plain.jpg");
    let turned = user.store_picture("turned.jpg", turned).await;
    let plain = user.store("plain.jpg", plain).await;
    assert_eq!((&turned["width"], &turned["height"]), (&plain["height"], &plain["width"]));
    let shown = server.anonymous().get(turned["thumbnail"].as_str().unwrap()).await.body;
    let (width, height) = crate::harness::dimensions(&shown);
    assert_eq!((&turned["width"], &turned["height"]), (&json!(width), &json!(height)), "upright");
}
