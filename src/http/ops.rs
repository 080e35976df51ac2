//! For whoever runs the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::request::Stranger;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::telemetry::chain;

/// `GET /health/live`: the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "live"}))
}

/// `GET /health/ready`: the stores can take bytes and records; if not, why, and what to do.
pub async fn ready(
    State(context): State<Arc<Context>>,
    _: Stranger,
) -> Result<Json<Value>, ApiError> {
    context.uploads.check().await.map_err(|unready| {
        let error = chain(&unready);
        tracing::warn!(error, "the server is not ready");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", unready.to_string())
    })?;
    Ok(Json(json!({"status": "ready"})))
}
