//! Whether a token is good, for whoever asks.

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

/// The token is good: there is nothing more to say.
#[derive(Serialize)]
pub struct Good {}

/// `POST /api/v2/jwt/verify_token/`: 200 when the signature holds and the token has not expired.
pub async fn verify(
    State(context): State<Arc<Context>>,
    stranger: Stranger,
    request: Request,
) -> Result<Json<Good>, FormError> {
    let body =
        LimitedBody::new(request.into_body(), context.options.body).collect(MAX_BODY).await?;
    // The parser's own message could quote the token.
    let Ok(question) = serde_json::from_slice::<Question>(&body) else {
        return Err(ApiError::bad_field("token", "required", r#"send {"token": "..."}"#).into());
    };
    stranger.checked(&context, context.auth.verify(&question.token))?;
    Ok(Json(Good {}))
}
