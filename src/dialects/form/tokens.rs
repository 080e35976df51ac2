//! Checks tokens for anyone who asks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};

use super::error::FormError;
use crate::http::body::LimitedBody;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::request::Stranger;

const MAX_BODY: usize = 16 * 1024;

#[derive(Deserialize)]
struct Question {
    token: String,
}

/// The reply for a valid token: an empty object.
#[derive(Serialize)]
pub struct Good {}

/// `POST /api/v2/jwt/verify_token/`: 200 if the signature is right and the token has not expired.
pub async fn verify(
    State(context): State<Arc<Context>>,
    _: Stranger,
    request: Request,
) -> Result<Json<Good>, FormError> {
    let body =
        LimitedBody::new(request.into_body(), context.options.body).collect(MAX_BODY).await?;
    // The parser's message could contain the token.
    let Ok(question) = serde_json::from_slice::<Question>(&body) else {
        return Err(ApiError::bad_field("token", "required", r#"send {"token": "..."}"#).into());
    };
    context.auth.verify(&question.token).map_err(ApiError::from)?;
    Ok(Json(Good {}))
}
