//! Malicious pictures and containers: the original is delivered, without a thumbnail or a duration. `hostile::memory`
//! tests their cost.

use serde_json::Value;

use crate::harness::Server;

/// A GIF with one pixel and very many frames.
pub(crate) fn gif_of_frames(count: usize) -> Vec<u8> {
    let head = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF";
    let frame = b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x4C\x01\0";
    [head.as_slice(), &frame.repeat(count), b";"].concat()
}

/// A JPEG that claims 65,535 x 65,535 pixels.
pub(crate) fn huge_jpeg() -> Vec<u8> {
    let mut bytes = crate::harness::jpeg();
    let frame = memchr::memmem::find(&bytes, &[0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].fill(0xFF);
    bytes
}

/// A PNG that claims the same.
fn huge_png() -> Vec<u8> {
    let mut bytes = crate::harness::png();
    bytes[16..24].copy_from_slice(&[0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF]);
    let crc = crc32fast::hash(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// A video that consists of empty boxes.
fn endless_boxes() -> Vec<u8> {
    let mut bytes = crate::harness::mp4();
    bytes.truncate(24);
    bytes.extend(b"\0\0\0\x08free".repeat(500_000));
    bytes
}

/// Nested boxes.
pub(crate) fn nested_boxes() -> Vec<u8> {
    let mut bytes = crate::harness::mp4();
    bytes.truncate(24);
    let depth: u32 = 100_000;
    for level in 0..depth {
        let kind: &[u8] = if level == 0 { b"moov" } else { b"trak" };
        bytes.extend(((depth - level) * 8).to_be_bytes());
        bytes.extend(kind);
    }
    bytes
}

/// An audio file that claims a duration of 2^64 - 1 units.
pub(crate) fn endless_sound() -> Vec<u8> {
    let mvhd =
        [&[1, 0, 0, 0], &[0; 16][..], &1_u32.to_be_bytes(), &u64::MAX.to_be_bytes(), &[0; 80]]
            .concat();
    let mut bytes = crate::harness::mp4();
    bytes.truncate(24);
    bytes.extend((mvhd.len() as u32 + 16).to_be_bytes());
    bytes.extend(b"moov");
    bytes.extend((mvhd.len() as u32 + 8).to_be_bytes());
    bytes.extend(b"mvhd");
    bytes.extend(mvhd);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_means_harm_is_delivered_and_nothing_more() {
    let server = Server::start().await;
    let user = server.user(1);
    for (name, bytes) in [
        ("huge.jpg", huge_jpeg()),
        ("huge.png", huge_png()),
        ("boxes.mp4", endless_boxes()),
        ("nested.mp4", nested_boxes()),
        ("sound.mp4", endless_sound()),
        ("cut.webm", include_bytes!("../../media/durations/film.webm")[..300].to_vec()),
    ] {
        let file = user.store(name, &bytes).await;
        assert_eq!(file["thumbnail"], Value::Null, "{name}");
        assert_eq!(file["duration"], Value::Null, "{name}");
        let reply = user.get(file["url"].as_str().unwrap()).await;
        assert!(reply.body == super::without_metadata(&bytes), "{name}: the original is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_frames_the_first_is_drawn() {
    let server = Server::start().await;
    let bytes = gif_of_frames(100_000);
    let file = server.user(1).store_picture("frames.gif", &bytes).await;
    let shown = server.anonymous().get(file["thumbnail"].as_str().unwrap()).await;
    assert_eq!(crate::harness::dimensions(&shown.body), (1, 1));
}
