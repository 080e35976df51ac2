//! Health checks, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::request::Stranger;
use crate::http::context::Context;
use crate::http::error::ApiError;

/// `GET /health/live`: the process is running.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "live"}))
}

/// `GET /health/ready`: uploads can be taken; if not, the reply says what isn't ready, why, and what to do.
pub async fn ready(
    State(context): State<Arc<Context>>,
    _: Stranger,
) -> Result<Json<Value>, ApiError> {
    let mut checks = Map::new();
    let mut problem = None;
    for (what, outcome) in context.uploads.checks().await {
        let Err(unready) = outcome else {
            checks.insert(what.to_owned(), json!("ready"));
            continue;
        };
        let (error, message) = (unready.cause(), unready.to_string());
        tracing::warn!(what, error, "not ready");
        checks.insert(what.to_owned(), json!(message));
        problem.get_or_insert(message);
    }
    match problem {
        None => Ok(Json(json!({"status": "ready"}))),
        Some(message) => {
            let refused = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message);
            Err(refused.with("checks", checks.into()))
        }
    }
}
