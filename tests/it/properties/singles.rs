//! Files that come in one request.

use haversack::ids::UploadId;
use proptest::prelude::*;

use super::plan::{md5_of, plan};
use super::server::Server;
use crate::process::http::{Request, download};
use crate::process::ledger::Random;

#[test]
fn any_way_to_send_a_single_file_gives_the_same_file() {
    let server = Server::start();
    let sizes = prop_oneof![Just(0), 1..100_usize, 1..100_000_usize];
    let parts = (sizes, any::<u64>(), plan(), any::<bool>(), any::<bool>());
    proptest!(super::config(), |((size, seed, plan, own_id, says_md5) in parts)| {
        let (token, bytes) = (server.new_user(), Random(seed).bytes(size));
        let mut fields = vec![("filename", "single.bin".to_owned())];
        if own_id {
            fields.push(("uuid", UploadId::random().to_string()));
        }
        if plan.total {
            fields.push(("totalfilesize", size.to_string()));
        }
        if says_md5 {
            fields.push(("md5", md5_of(&bytes)));
        }
        let send = |bytes: &[u8]| {
            let request = Request::upload(plan.form(&fields, bytes)).token(&token);
            request.send_split(&server.host, &plan.writes).expect("a reply")
        };
        let file = send(&bytes).ok();
        prop_assert_eq!(&file["filesize"], size);
        prop_assert_eq!(&file["filename"], "single.bin");
        let served = download(&server.host, file["file_url"].as_str().expect("a link"));
        prop_assert!(served.expect("a reply").body == bytes, "other bytes are served");
        if own_id {
            prop_assert_eq!(send(&bytes).ok(), file, "one File, however often");
            let other = send(&[bytes.clone(), vec![0]].concat());
            let expected = if plan.total { 400 } else { 409 };
            prop_assert_eq!(other.status, expected, "{}", other.json());
            other.refusal();
        }
    });
}
