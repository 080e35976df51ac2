//! Section 9: pages on other origins.

use haversack::config::Settings;
use http::Method;

use crate::harness::{Client, Form, Reply, Server};

const ORIGIN: &str = "https://chat.example.org";

/// What a browser asks before it sends a request with this method.
async fn preflight(page: &Client, path: &str, method: &str) -> Reply {
    let request = page
        .request(Method::OPTIONS, path)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization");
    page.send(request).await
}

/// A server that pages of two origins may call.
async fn listed() -> Server {
    let origins = [ORIGIN, "http://localhost:3000"];
    let settings = Settings {
        cors_origins: origins.map(|origin| origin.parse().unwrap()).into(),
        ..Settings::default()
    };
    Server::with(settings).await
}

fn names(reply: &Reply, header: &str) -> Vec<String> {
    let all = reply.headers.get_all(header).iter();
    let text = all.map(|value| value.to_str().unwrap().to_lowercase());
    let joined = text.collect::<Vec<_>>().join(",");
    joined.split(',').map(|name| name.trim().to_owned()).collect()
}

#[tokio::test]
async fn an_applications_own_headers_are_allowed_where_the_operator_lists_them() {
    let settings = Settings {
        cors_headers: ["X-Client-Version", "x-tenant"].map(|name| name.parse().unwrap()).into(),
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let page = server.anonymous().with("origin", ORIGIN);
    let reply = preflight(&page, "/api/v2/pm/upload/", "POST").await;
    let allowed = names(&reply, "access-control-allow-headers");
    for header in ["x-client-version", "x-tenant", "authorization", "traceparent"] {
        assert!(allowed.contains(&header.to_owned()), "{allowed:?}");
    }
}

#[tokio::test]
async fn a_preflight_allows_every_method_and_header_of_the_contract() {
    let server = Server::start().await;
    let page = server.anonymous().with("origin", ORIGIN);
    for method in ["POST", "GET", "HEAD", "DELETE", "OPTIONS"] {
        for path in ["/api/v2/pm/upload/", "/api/v2/pm/files/", "/media/x/file"] {
            let reply = preflight(&page, path, method).await;
            assert!(reply.status.is_success(), "{path}: {}", reply.status);
            assert_eq!(reply.header("access-control-allow-origin"), "*");
            let methods = names(&reply, "access-control-allow-methods");
            assert!(methods.contains(&method.to_lowercase()), "{methods:?}");
            let headers = names(&reply, "access-control-allow-headers");
            for header in [
                "authorization",
                "content-range",
                "content-type",
                "range",
                "x-requested-with",
                "cache-control",
                "accept",
                "traceparent",
                "tracestate",
                "baggage",
                "sentry-trace",
            ] {
                assert!(headers.contains(&header.to_owned()), "{headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_preflight_may_be_remembered() {
    let server = Server::start().await;
    let page = server.anonymous().with("origin", ORIGIN);
    let reply = preflight(&page, "/api/v2/pm/upload/", "POST").await;
    let secs: u32 = reply.header("access-control-max-age").parse().unwrap();
    assert!(secs > 0);
}

#[tokio::test]
async fn a_preflight_needs_no_token() {
    let server = Server::start().await;
    let page = server.anonymous().with("origin", ORIGIN);
    let reply = preflight(&page, "/api/v2/pm/upload/", "DELETE").await;
    assert!(reply.status.is_success());
}

#[tokio::test]
async fn by_default_every_origin_may_read_and_none_with_credentials() {
    let server = Server::start().await;
    let page = server.user(1).with("origin", ORIGIN);
    let file = page.store("a.txt", "abc").await;
    for reply in [
        page.list("").await,
        page.get(file["url"].as_str().unwrap()).await,
        server.anonymous().list("").await,
        page.get("/nowhere").await,
    ] {
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(reply.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test]
async fn a_listed_origin_is_reflected_with_vary() {
    let server = listed().await;
    for origin in [ORIGIN, "http://localhost:3000"] {
        let page = server.user(1).with("origin", origin);
        let file = page.store("a.txt", "abc").await;
        for reply in [
            page.list("").await,
            page.get(file["url"].as_str().unwrap()).await,
            preflight(&page, "/api/v2/pm/upload/", "POST").await,
        ] {
            assert_eq!(reply.header("access-control-allow-origin"), origin);
            assert!(names(&reply, "vary").contains(&"origin".to_owned()));
            assert_ne!(reply.header("access-control-allow-credentials"), "true");
        }
    }
}

#[tokio::test]
async fn an_origin_that_is_not_listed_is_not_reflected() {
    let server = listed().await;
    for origin in ["https://evil.example", "https://chat.example.org.evil.example", "null"] {
        let page = server.user(1).with("origin", origin);
        for reply in [page.list("").await, preflight(&page, "/api/v2/pm/upload/", "POST").await] {
            let allowed = reply.headers.get("access-control-allow-origin");
            assert_eq!(allowed, None, "{origin}");
            assert!(names(&reply, "vary").contains(&"origin".to_owned()));
        }
    }
}

#[tokio::test]
async fn a_listed_origin_may_read_refusals() {
    let server = listed().await;
    let page = server.anonymous().with("origin", ORIGIN);
    for reply in [
        page.list("").await,
        page.upload(Form::chunk(0, 1, "abc")).await,
        page.get("/nowhere").await,
        page.send(page.request(Method::PUT, "/api/v2/pm/upload/")).await,
    ] {
        assert!(reply.status.is_client_error());
        assert_eq!(reply.header("access-control-allow-origin"), ORIGIN);
    }
}

#[tokio::test]
async fn media_links_expose_what_a_player_reads() {
    let server = Server::start().await;
    let file = server.user(1).store("a.txt", "abc").await;
    let page = server.anonymous().with("origin", ORIGIN);
    let reply = page.get(file["url"].as_str().unwrap()).await;
    let exposed = names(&reply, "access-control-expose-headers");
    for header in ["accept-ranges", "content-range", "content-length", "content-encoding"] {
        assert!(exposed.contains(&header.to_owned()), "{exposed:?}");
    }
}
