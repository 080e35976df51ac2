//! The page at `/`: how browsers are told to treat it, and when it is off.

use haversack::config::{Config, Settings, Switch};
use http::Method;

use crate::harness::{Reply, Server};

/// A server with this setting for the page.
async fn with_page(page: Switch) -> Server {
    Server::with(Settings { page, ..Settings::default() }).await
}

/// The names of files that a page loads.
fn named(text: &str) -> Vec<String> {
    let after = text.split("page/").skip(1);
    let names = after.map(|rest| rest.split(['"', '#']).next().unwrap().to_owned());
    names.collect()
}

/// The names of modules that a script imports.
fn imported(text: &str) -> Vec<String> {
    let after = text.split("from './").skip(1);
    after.map(|rest| rest.split('\'').next().unwrap().to_owned()).collect()
}

fn body(reply: &Reply) -> String {
    String::from_utf8(reply.body.to_vec()).unwrap()
}

#[tokio::test]
async fn everything_that_the_page_asks_for_is_there_under_its_type() {
    let server = Server::start().await;
    let anybody = server.anonymous();
    let index = anybody.get("/").await;
    assert_eq!(index.status, 200);
    assert_eq!(index.header("content-type"), "text/html; charset=utf-8");
    let mut wanted = named(&body(&index));
    let mut seen = Vec::new();
    while let Some(name) = wanted.pop() {
        if seen.contains(&name) {
            continue;
        }
        let reply = anybody.get(&format!("/page/{name}")).await;
        assert_eq!(reply.status, 200, "{name}");
        let expected = match name.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(reply.header("content-type"), expected, "{name}");
        wanted.extend(imported(&body(&reply)));
        seen.push(name);
    }
    for name in ["app.js", "upload.js", "style.css", "icon.svg"] {
        assert!(seen.contains(&name.to_owned()), "{name}: {seen:?}");
    }
}

#[tokio::test]
async fn nothing_but_its_own_files_may_run_or_be_asked() {
    let server = Server::start().await;
    for path in ["/", "/page/app.js"] {
        let reply = server.anonymous().get(path).await;
        let policy = reply.header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|given| given == directive), "{directive}: {policy}");
        }
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("cache-control"), "no-cache");
    }
}

#[tokio::test]
async fn pictures_may_come_from_where_links_point() {
    let public_url = "https://media.example.org:8443/files".parse().unwrap();
    let server = Server::with(Settings { public_url, ..Settings::default() }).await;
    let reply = server.anonymous().get("/").await;
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("img-src 'self' blob: https://media.example.org:8443;"), "{policy}");
    assert!(policy.contains("media-src 'self' blob: https://media.example.org:8443;"), "{policy}");
    assert!(policy.contains("connect-src 'self';"), "{policy}");
}

#[tokio::test]
async fn pages_of_other_origins_may_not_read_it() {
    let server = Server::start().await;
    let elsewhere = server.anonymous().with("origin", "https://evil.example");
    for path in ["/", "/page/app.js"] {
        let reply = elsewhere.get(path).await;
        assert!(!reply.headers.contains_key("access-control-allow-origin"), "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin");
        let preflight =
            elsewhere.request(Method::OPTIONS, path).header("access-control-request-method", "GET");
        let reply = elsewhere.send(preflight).await;
        assert_eq!(reply.status, 405, "{path}");
        assert!(!reply.headers.contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test]
async fn it_is_read_and_nothing_else() {
    let server = Server::start().await;
    let anybody = server.anonymous();
    for path in ["/", "/page/style.css"] {
        let reply = anybody.head(path).await;
        assert_eq!(reply.status, 200);
        assert!(reply.body.is_empty());
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let reply = anybody.send(anybody.request(method, path)).await;
            assert_eq!(reply.status, 405);
            assert_eq!(reply.header("allow"), "GET, HEAD");
        }
    }
}

#[tokio::test]
async fn a_browser_that_has_it_already_is_told_so() {
    let server = Server::start().await;
    let etag = server.anonymous().get("/page/app.js").await.header("etag").to_owned();
    let again = server.anonymous().with("if-none-match", &etag).get("/page/app.js").await;
    assert_eq!(again.status, 304);
    assert!(again.body.is_empty());
    let other = server.anonymous().with("if-none-match", &etag).get("/page/api.js").await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_file_that_is_no_part_of_it_is_not_found() {
    let server = Server::start().await;
    for path in ["/page/nothing.js", "/page", "/page/", "/page/%2e%2e%2fCargo.toml", "/page/%ff"] {
        assert_eq!(server.anonymous().get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn where_it_is_off_there_is_nothing() {
    let server = with_page(Switch::Off).await;
    for path in ["/", "/page/app.js"] {
        server.anonymous().get(path).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn it_is_on_where_only_this_machine_can_connect_unless_it_is_set() {
    let on = |listen: &str, page: Switch| {
        let listen = listen.parse().unwrap();
        Config::new(Settings { listen, page, ..Settings::default() }).unwrap().page
    };
    for (listen, expected) in [
        ("127.0.0.1:8080", true),
        ("127.9.9.9:8080", true),
        ("[::1]:8080", true),
        ("[::ffff:127.0.0.1]:8080", true),
        ("0.0.0.0:8080", false),
        ("[::]:8080", false),
        ("192.0.2.1:8080", false),
    ] {
        assert_eq!(on(listen, Switch::Auto), expected, "{listen}");
        assert!(on(listen, Switch::On), "{listen}");
        assert!(!on(listen, Switch::Off), "{listen}");
    }
}
