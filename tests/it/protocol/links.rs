//! Section 6: the addresses that links begin with.

use haversack::config::Settings;

use crate::harness::{Client, Raw, Server};

/// What the links in this client's replies begin with, up to the path.
async fn base(client: &Client) -> String {
    let file = client.store("a.txt", "abc").await;
    let url = file["file_url"].as_str().unwrap();
    let (base, _) = url.split_once("/media/").unwrap();
    base.to_owned()
}

async fn behind(proxies: &str) -> Server {
    let settings =
        Settings { trusted_proxies: vec![proxies.parse().unwrap()], ..Settings::default() };
    Server::with(settings).await
}

#[tokio::test]
async fn links_begin_with_the_host_of_the_request() {
    let server = Server::start().await;
    let user = server.user(1);
    assert_eq!(base(&user).await, format!("http://{}", server.address));
    for host in ["media.example.org", "media.example.org:8443", "[::1]:80"] {
        let user = user.with("host", host);
        assert_eq!(base(&user).await, format!("http://{host}"));
    }
}

/// RFC 9112, section 3.2.2.
#[tokio::test]
async fn a_host_in_the_requests_target_counts_instead_of_its_header() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    for host in ["a.example.org", "a.example.org:8443", "[::1]:80"] {
        let what = format!("GET http://{host}//api/v2/pm/upload/{uuid}/file/");
        let mut raw = Raw::connect(&server).await;
        raw.send(Raw::head(&what, &user, "").as_bytes()).await; // with another Host
        let url = raw.reply().await.ok()["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&format!("http://{host}/media/")), "{url}");
    }
}

#[tokio::test]
async fn links_begin_with_the_public_url_whatever_the_request_says() {
    let settings = Settings {
        public_url: "https://media.example.org/x/".parse().unwrap(),
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let user = server.user(1).with("host", "other.example.org");
    let user = user.with("x-forwarded-host", "third.example.org");
    assert_eq!(base(&user).await, "https://media.example.org/x");
}

#[tokio::test]
async fn a_trusted_proxy_says_scheme_and_host() {
    let server = behind("127.0.0.0/8").await;
    let user = server.user(1).with("x-forwarded-host", "a.example.org");
    assert_eq!(base(&user).await, "http://a.example.org");
    let user = user.with("x-forwarded-proto", "https");
    assert_eq!(base(&user).await, "https://a.example.org");
}

#[tokio::test]
async fn a_trusted_proxy_may_say_the_scheme_alone() {
    let server = behind("127.0.0.0/8").await;
    let user = server.user(1).with("x-forwarded-proto", "https");
    assert_eq!(base(&user).await, format!("https://{}", server.address));
}

#[tokio::test]
async fn of_a_chain_of_proxies_the_first_one_counts() {
    let server = behind("127.0.0.0/8").await;
    let user = server.user(1).with("x-forwarded-host", "a.example, b.example");
    let user = user.with("x-forwarded-proto", "https, http");
    assert_eq!(base(&user).await, "https://a.example");
}

#[tokio::test]
async fn an_untrusted_proxy_says_nothing() {
    for server in [Server::start().await, behind("10.0.0.0/8").await] {
        let user = server.user(1).with("x-forwarded-host", "evil.example");
        let user = user.with("x-forwarded-proto", "https");
        assert_eq!(base(&user).await, format!("http://{}", server.address));
    }
}

#[tokio::test]
async fn what_is_no_host_never_becomes_part_of_a_link() {
    let server = behind("127.0.0.0/8").await;
    for wrong in ["evil.example/x?", "user@evil.example", "a b", "\"><script>"] {
        let user = server.user(1).with("x-forwarded-host", wrong);
        let expected = format!("http://{}", server.address);
        assert_eq!(base(&user).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn every_link_of_a_file_is_absolute() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let form = crate::harness::Form::thumbnail(&parent, crate::harness::png());
    let thumbnail = user.upload(form).await.ok();
    let file = user.illustrated(&parent).await;
    let begin = format!("http://{}/media/", server.address);
    for link in [&thumbnail["file_url"], &file["url"], &file["thumbnail"]] {
        assert!(link.as_str().unwrap().starts_with(&begin), "{link}");
    }
}
