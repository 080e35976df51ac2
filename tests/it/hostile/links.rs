//! Links that this server didn't make. `protocol::delivery` tests altered links, and `process::rotation` those of old
//! keys.

use crate::harness::{Client, Server, jpeg};

/// A link's path without its query, and the query's three values.
fn taken_apart(link: &str) -> (String, [String; 3]) {
    let (path, query) = link.split_once('?').unwrap();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let value = |name: &str| pairs.iter().find(|(n, _)| n == name).unwrap().1.to_string();
    (path.to_owned(), ["expires", "key", "signature"].map(value))
}

async fn bad(client: &Client, link: &str) {
    for reply in [client.get(link).await, client.with("range", "bytes=0-0").get(link).await] {
        let refused = reply.refused(403, "bad_link");
        assert_eq!(refused.header("etag"), "", "{link}");
    }
}

#[tokio::test]
async fn no_other_spelling_of_a_signature_is_taken() {
    let server = Server::start().await;
    let file = server.user(1).store("a.txt", "abc").await;
    let nobody = server.anonymous();
    let link = file["url"].as_str().unwrap();
    let (path, [expires, key, signature]) = taken_apart(link);
    let with = |expires: &str, key: &str, signature: &str| {
        format!("{path}?expires={expires}&key={key}&signature={signature}")
    };
    assert_eq!(nobody.get(&with(&expires, &key, &signature)).await.status, 200);
    // The last of 43 digits has two unused bits, which must be zero.
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = digits.iter().position(|d| signature.as_bytes()[42] == *d).unwrap();
    let padded = |bits: usize| format!("{}{}", &signature[..42], digits[last + bits] as char);
    for other in [
        padded(1),
        padded(2),
        padded(3),
        format!("{signature}="),
        format!("{signature}A"),
        format!("{signature}%00"),
        format!("%20{signature}"),
        signature.to_lowercase(),
        signature.replace('-', "%2B").replace('_', "%2F") + "%0A",
        "A".repeat(43),
        "A".repeat(100_000 - 60_000),
        String::new(),
    ] {
        bad(&nobody, &with(&expires, &key, &other)).await;
    }
}

#[tokio::test]
async fn no_other_number_is_taken_for_a_date_or_a_key() {
    let server = Server::start().await;
    let file = server.user(1).store("a.txt", "abc").await;
    let nobody = server.anonymous();
    let (path, [expires, key, signature]) = taken_apart(file["url"].as_str().unwrap());
    let end = format!("signature={signature}");
    for query in [
        format!("expires=-1&key={key}&{end}"),
        format!("expires={}&key={key}&{end}", u64::MAX),
        format!("expires=18446744073709551616&key={key}&{end}"),
        format!("expires=1e400&key={key}&{end}"),
        format!("expires={expires}.0&key={key}&{end}"),
        format!("expires={expires}&key=-1&{end}"),
        format!("expires={expires}&key={}&{end}", u64::MAX),
        format!("expires={expires}&key=&{end}"),
        format!("expires=%2B{expires}&key={key}&{end}"),
        format!("expires=+{expires}&key={key}&{end}"),
        format!("expires=0{expires}&key={key}&{end}"),
        format!("expires=%3{expires}&key={key}&{end}"),
        format!("expires={expires}&key=%2B{key}&{end}"),
        format!("expires={expires}&key=00{key}&{end}"),
        format!("expires={expires}&key=%3{key}&{end}"),
        format!("expires={expires}&expires={}&key={key}&{end}", u64::MAX),
        format!("expires={expires}&key={key}&{end}&{end}"),
        format!("expires[]={expires}&key={key}&{end}"),
        format!("Expires={expires}&key={key}&{end}"),
        format!("expires={expires}%26key={key}&{end}"),
        format!("expires={expires};key={key};{end}"),
    ] {
        bad(&nobody, &format!("{path}?{query}")).await;
    }
}

#[tokio::test]
async fn a_links_query_has_one_spelling() {
    let server = Server::start().await;
    let file = server.user(1).store("a.txt", "abc").await;
    let nobody = server.anonymous();
    let (path, [expires, key, signature]) = taken_apart(file["url"].as_str().unwrap());
    let right = format!("expires={expires}&key={key}&signature={signature}");
    for query in [
        format!("key={key}&expires={expires}&signature={signature}"),
        format!("%65xpires={expires}&key={key}&signature={signature}"),
        format!(
            "expires={expires}&key={key}&signature=%{:02X}{}",
            signature.as_bytes()[0],
            &signature[1..]
        ),
        format!("&{right}"),
        format!("{right}&"),
        format!("{right}&x=1"),
        format!("x=1&{right}"),
        format!("download&{right}"),
        format!("{right}&download&download"),
        format!("{right}&download=1&x=1"),
        format!("{right}&downloads"),
        format!("{right}&Download"),
    ] {
        bad(&nobody, &format!("{path}?{query}")).await;
    }
    assert_eq!(nobody.get(&format!("{path}?{right}&download=a.txt")).await.status, 200);
}

#[tokio::test]
async fn a_signature_is_good_for_nothing_but_its_own_file_and_variant() {
    let server = Server::start().await;
    let mine = server.user(1).store_picture("a.jpg", jpeg()).await;
    let other = server.user(2).store_picture("b.jpg", jpeg()).await;
    let nobody = server.anonymous();
    let links = [&mine["url"], &mine["thumbnail"], &other["url"], &other["thumbnail"]];
    for path in links {
        for query in links {
            let (path, query) = (path.as_str().unwrap(), query.as_str().unwrap());
            let crossed =
                format!("{}?{}", path.split_once('?').unwrap().0, query.split_once('?').unwrap().1);
            if path == query {
                assert_eq!(nobody.get(&crossed).await.status, 200);
            } else {
                bad(&nobody, &crossed).await;
            }
        }
    }
}

/// The reply must not reveal whether the file exists.
#[tokio::test]
async fn a_bad_link_is_the_same_of_any_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let (there, gone) = (user.store("a.txt", "abc").await, user.store("b.txt", "abc").await);
    user.delete(gone["uuid"].as_str().unwrap()).await.ok();
    let mut answers = Vec::new();
    for uuid in [&there["uuid"], &gone["uuid"], &crate::harness::new_uuid().into()] {
        let link =
            format!("/media/{}/file?expires=9999999999&key=1&signature=x", uuid.as_str().unwrap());
        answers.push(server.anonymous().get(&link).await.comparable());
    }
    assert_eq!(answers[0].0, 403);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}
