//! Every route, one line each.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post};

use crate::config::Config;
use crate::dialects::form::{files, tokens, uploads};
use crate::dialects::tus;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::requests::{Routes, Traffic};
use crate::http::{cors, delivery, ops, page};

/// A path, what goes over it, and what answers there.
type Route = (&'static str, Traffic, MethodRouter<Arc<Context>>);

/// The whole HTTP interface (protocol, section 1), for [`crate::http::answer`].
pub(super) fn routes(config: &Config, context: Arc<Context>) -> Routes {
    use Traffic::{Download, Other, Upload};

    let page = if config.page { page_routes() } else { Vec::new() };
    let upload = get(uploads::status).delete(uploads::delete);
    let api: [Route; 8] = [
        ("/api/v2/pm/upload", Upload, only("GET, POST", get(uploads::list).post(uploads::post))),
        ("/api/v2/pm/upload/{uuid}", Other, only("GET, DELETE", upload)),
        ("/api/v2/pm/upload/{uuid}/file", Other, only("GET", get(files::one))),
        ("/api/v2/pm/files", Other, only("POST", post(files::many))),
        ("/api/v2/jwt/verify_token", Other, only("POST", post(tokens::verify))),
        ("/media/{uuid}/{variant}", Download, only("GET, HEAD", get(delivery::get))),
        ("/health/live", Other, only("GET", get(ops::live))),
        ("/health/ready", Other, only("GET", get(ops::ready))),
    ];
    let (mut router, mut patterns) = (Router::new(), Vec::new());
    for (path, traffic, methods) in api {
        let with_slash = format!("{path}/"); // means the same
        router = router.route(path, methods.clone()).route(&with_slash, methods);
        patterns.extend([(path.to_owned(), path, traffic), (with_slash, path, traffic)]);
    }
    let cors = cors::layer(&config.cors);
    router = router.fallback(|| async { ApiError::not_found() }).layer(cors.clone());
    // Outside CORS, which answers a client that asks what the server can do as if it were a preflight.
    let announce = from_fn_with_state(Arc::clone(&context), tus::announce::announce);
    for (path, methods) in tus_routes() {
        let methods = methods.layer(cors.clone()).layer(announce.clone());
        let with_slash = format!("{path}/");
        router = router.route(path, methods.clone()).route(&with_slash, methods);
        patterns.extend([(path.to_owned(), path, Upload), (with_slash, path, Upload)]);
    }
    // After CORS: pages of other origins have no business with it.
    for (path, traffic, methods) in page {
        router = router.route(path, methods);
        patterns.push((path.to_owned(), path, traffic));
    }
    Routes::new(router.with_state(context), patterns)
}

/// The tus dialect. Its handlers look at the method themselves, because a header may override it.
fn tus_routes() -> [(&'static str, MethodRouter<Arc<Context>>); 2] {
    [("/api/v2/tus", any(tus::uploads::all)), ("/api/v2/tus/{uuid}", any(tus::uploads::one_upload))]
}

/// The page.
fn page_routes() -> Vec<Route> {
    vec![
        ("/", Traffic::Other, only("GET, HEAD", get(page::index))),
        ("/page/{file}", Traffic::Other, only("GET, HEAD", get(page::file))),
    ]
}

/// The methods of a path. Any other gets an error reply.
fn only(allowed: &'static str, methods: MethodRouter<Arc<Context>>) -> MethodRouter<Arc<Context>> {
    methods.fallback(move || async move { ApiError::method_not_allowed(allowed) })
}
