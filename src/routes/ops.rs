//! For whoever runs the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::request::Stranger;
use crate::app::App;
use crate::wire::error::ApiError;

/// `GET /health/live`: the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "live"}))
}

/// `GET /health/ready`: the stores can take bytes and records.
pub async fn ready(State(app): State<Arc<App>>, _: Stranger) -> Result<Json<Value>, ApiError> {
    app.uploads.check().await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the server is not ready");
        let message = "files or records can't be written; the log says why";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)
    })?;
    Ok(Json(json!({"status": "ready"})))
}
