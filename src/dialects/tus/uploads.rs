//! Requests that create an upload, send its bytes, query its progress, or end it.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::announce::add_abilities;
use super::concat::Concat;
use super::error::TusError;
use super::headers::{self, check_version, one};
use super::metadata::Metadata;
use super::names::UPLOAD_METADATA;
use super::reply::Replies;
use crate::auth::Caller;
use crate::http::body::LimitedBody;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::request::{Admitted, PathUuid, content_type, id};
use crate::http::requests::{Notes, Operation};
use crate::http::values::body_length;
use crate::ids::{UploadId, UserId};
use crate::uploads::{AppendRequest, Creation, Progress};

/// The media type with which bytes of an upload are sent.
const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";

/// Requests to `/api/v2/tus/`.
pub async fn all(
    State(context): State<Arc<Context>>,
    admitted: Admitted,
    request: Request,
) -> Result<Response, TusError> {
    let (head, body) = request.into_parts();
    match headers::method(&head.method, &head.headers) {
        Method::POST => post(&context, &admitted, &head, body).await,
        Method::OPTIONS => Ok(options(&context)),
        _ => Err(ApiError::method_not_allowed("POST, OPTIONS").into()),
    }
}

/// Requests to `/api/v2/tus/{uuid}`.
pub async fn one_upload(
    State(context): State<Arc<Context>>,
    admitted: Admitted,
    uuid: PathUuid,
    request: Request,
) -> Result<Response, TusError> {
    let (head, body) = request.into_parts();
    let id = id(uuid)?;
    match headers::method(&head.method, &head.headers) {
        Method::HEAD => status(&context, &admitted, &head, id).await,
        Method::PATCH => patch(&context, &admitted, &head, id, body).await,
        Method::DELETE => delete(&context, &admitted, &head, id).await,
        Method::GET => redirect(&context, &admitted, &head, id).await,
        Method::OPTIONS => Ok(options(&context)),
        _ => Err(ApiError::method_not_allowed("HEAD, PATCH, DELETE, GET, OPTIONS").into()),
    }
}

/// Returns what the server supports. An `OPTIONS` request without an override gets the reply to a preflight instead.
fn options(context: &Context) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    add_abilities(response.headers_mut(), context.uploads.max_file_size());
    response
}

/// Creates an upload, and stores its first bytes if they are sent with the request.
async fn post(
    context: &Context,
    admitted: &Admitted,
    head: &Parts,
    body: Body,
) -> Result<Response, TusError> {
    check_version(&head.headers)?;
    let user = admitted.user()?;
    let concat = Concat::parse(&head.headers)?;
    let metadata = one(&head.headers, &UPLOAD_METADATA, "Upload-Metadata")?;
    let Metadata { filename, declared_type, md5 } = Metadata::parse(metadata.unwrap_or_default())?;
    let brings_bytes = brings_bytes(&head.headers)?;
    if let Concat::Final(pieces) = concat {
        if brings_bytes || headers::length(&head.headers)?.is_some() {
            let wrong = "is final, so size and bytes come from the partial uploads: send no Upload-Length and no bytes";
            return Err(TusError::header("Upload-Concat", "differs", wrong));
        }
        let creation =
            Creation { user, total_size: None, filename, declared_type, md5, is_partial: false };
        let progress = context.uploads.join(creation, pieces).await?;
        Notes::of(&head.extensions).upload(progress.id);
        return Ok(Replies::new(context, head).created(progress.id, &progress));
    }
    let total_size = headers::declared_length(&head.headers)?;
    let checksum = headers::checksum(&head.headers)?;
    let is_partial = concat == Concat::Partial;
    let creation =
        Creation { user: user.clone(), total_size, filename, declared_type, md5, is_partial };
    let id = context.uploads.create(creation).await?;
    let notes = Notes::of(&head.extensions);
    notes.upload(id);
    if brings_bytes {
        notes.operation(Operation::Append);
    }
    let length = if brings_bytes { body_length(&head.headers) } else { Some(0) };
    let checksum = checksum.filter(|_| brings_bytes);
    let request =
        AppendRequest { user: user.clone(), id, offset: 0, total_size: None, length, checksum };
    let begun = if brings_bytes {
        let body = pin!(LimitedBody::new(body, context.options.body));
        context.uploads.append(request, body).await
    } else {
        // An upload of an empty file is complete with this.
        context.uploads.append(request, pin!(stream::empty())).await
    };
    match begun {
        Ok(progress) => Ok(Replies::new(context, head).created(id, &progress)),
        Err(refusal) => {
            // The client doesn't know its address and can't continue it.
            if let Err(error) = context.files.delete(id, Some(user)).await {
                tracing::debug!(%id, %error, "can't remove an upload whose first bytes were refused; it will expire");
            }
            Err(refusal.into())
        }
    }
}

/// Whether a request that creates an upload also contains bytes of it.
fn brings_bytes(headers: &HeaderMap) -> Result<bool, TusError> {
    match content_type(headers).as_str() {
        OFFSET_OCTET_STREAM => Ok(true),
        _ if body_length(headers) == Some(0) => Ok(false),
        other => Err(wrong_type(other)),
    }
}

fn wrong_type(sent: &str) -> TusError {
    let sent = if sent.is_empty() { "no Content-Type" } else { sent };
    let message = format!("send bytes as {OFFSET_OCTET_STREAM}, not as {sent}");
    ApiError::unsupported_media_type(message).into()
}

/// Appends bytes to an upload.
async fn patch(
    context: &Context,
    admitted: &Admitted,
    head: &Parts,
    id: UploadId,
    body: Body,
) -> Result<Response, TusError> {
    check_version(&head.headers)?;
    let user = admitted.user()?;
    let content_type = content_type(&head.headers);
    if content_type != OFFSET_OCTET_STREAM {
        return Err(wrong_type(&content_type));
    }
    let request = AppendRequest {
        user,
        id,
        offset: headers::offset(&head.headers)?,
        total_size: headers::length(&head.headers)?,
        length: body_length(&head.headers),
        checksum: headers::checksum(&head.headers)?,
    };
    Notes::of(&head.extensions).operation(Operation::Append);
    let body = pin!(LimitedBody::new(body, context.options.body));
    let progress = context.uploads.append(request, body).await?;
    Ok(Replies::new(context, head).appended(&progress))
}

/// Returns the progress of an upload.
async fn status(
    context: &Context,
    admitted: &Admitted,
    head: &Parts,
    id: UploadId,
) -> Result<Response, TusError> {
    check_version(&head.headers)?;
    let progress = progress(context, admitted, id).await?;
    Ok(Replies::new(context, head).status(&progress))
}

async fn progress(
    context: &Context,
    admitted: &Admitted,
    id: UploadId,
) -> Result<Progress, TusError> {
    let user: UserId = admitted.lookup(context).await?;
    Ok(context.uploads.progress(id, &user).await?)
}

/// Cancels an upload or deletes a File.
async fn delete(
    context: &Context,
    admitted: &Admitted,
    head: &Parts,
    id: UploadId,
) -> Result<Response, TusError> {
    check_version(&head.headers)?;
    let owner = match &admitted.caller {
        Caller::User(user) => Some(user.clone()),
        Caller::Service => None,
    };
    context.files.delete(id, owner).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Redirects to the bytes of a File. Browsers that follow its address don't speak tus, so no version is required.
async fn redirect(
    context: &Context,
    admitted: &Admitted,
    head: &Parts,
    id: UploadId,
) -> Result<Response, TusError> {
    let user = admitted.lookup(context).await?;
    let file = context.files.find(id, &user).await?;
    Ok(Replies::new(context, head).redirect(&file))
}
