//! Health checks, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::request::Stranger;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::telemetry::chain;

/// `GET /health/live`: the process is running.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "live"}))
}

/// `GET /health/ready`: the stores can take uploads; if not, the reply says why and what to do.
pub async fn ready(
    State(context): State<Arc<Context>>,
    _: Stranger,
) -> Result<Json<Value>, ApiError> {
    context.uploads.check().await.map_err(|unready| {
        let error = chain(&unready);
        tracing::warn!(error, "not ready");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", unready.to_string())
    })?;
    Ok(Json(json!({"status": "ready"})))
}
