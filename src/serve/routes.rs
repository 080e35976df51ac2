//! Every route, one line each.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};

use crate::config::Config;
use crate::dialects::form::{files, tokens, uploads};
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::{cors, delivery, ops, page};

/// The whole HTTP interface (protocol, section 1), for [`crate::http::answer`].
pub(super) fn router(config: &Config, context: Arc<Context>) -> Router {
    let cors = cors::layer(&config.cors);
    let page = if config.page { page_routes() } else { Router::new() };
    let upload = get(uploads::status).delete(uploads::delete);
    let api = [
        ("/api/v2/pm/upload", only("GET, POST", get(uploads::list).post(uploads::post))),
        ("/api/v2/pm/upload/{uuid}", only("GET, DELETE", upload)),
        ("/api/v2/pm/upload/{uuid}/file", only("GET", get(files::one))),
        ("/api/v2/pm/files", only("POST", post(files::many))),
        ("/api/v2/jwt/verify_token", only("POST", post(tokens::verify))),
        ("/media/{uuid}/{variant}", only("GET, HEAD", get(delivery::get))),
        ("/health/live", only("GET", get(ops::live))),
        ("/health/ready", only("GET", get(ops::ready))),
    ];
    let mut router = Router::new();
    for (path, methods) in api {
        let with_slash = format!("{path}/"); // means the same
        router = router.route(path, methods.clone()).route(&with_slash, methods);
    }
    router
        .fallback(|| async { ApiError::not_found() })
        .layer(cors)
        .merge(page) // after CORS: pages of other origins have no business with it
        .with_state(context)
}

/// The page, if it is on.
fn page_routes() -> Router<Arc<Context>> {
    Router::new()
        .route("/", only("GET, HEAD", get(page::index)))
        .route("/page/{file}", only("GET, HEAD", get(page::file)))
}

/// The methods of a path. Any other gets an error reply.
fn only(allowed: &'static str, methods: MethodRouter<Arc<Context>>) -> MethodRouter<Arc<Context>> {
    methods.fallback(move || async move { ApiError::method_not_allowed(allowed) })
}
