//! Uploads: chunks, single files, thumbnails, done, status, list, delete.

use std::pin::pin;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::error::FormError;
use super::fields::Form;
use super::reader::FormReader;
use super::reply::{Gone, Page, Posted, Replies, Status};
use crate::auth::Caller;
use crate::http::body::{FORM_BYTES, LimitedBody};
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::multipart::{Boundary, BoundaryError};
use crate::http::request::{Admitted, PathUuid, content_type, id, reads_json, text};
use crate::http::requests::{Notes, Operation};
use crate::ids::UserId;
use crate::metadata::{Cursor, Role, State as RecordState};
use crate::uploads::ChunkRequest;

/// Maximum size in bytes of a body without a file, which is read as a whole.
const MAX_SMALL_BODY: usize = 256 * 1024;
/// Number of entries per page of the list.
const PAGE_ENTRIES: u32 = 50;

const MULTIPART_PLEASE: &str =
    "send a file as multipart/form-data; only ?done accepts application/json or URL-encoded bodies";

/// `POST /api/v2/pm/upload/`. The query and then the fields decide what kind of request it is (protocol, section 3).
pub async fn post(
    State(context): State<Arc<Context>>,
    admitted: Admitted,
    request: Request,
) -> Result<Json<Posted>, FormError> {
    let (head, body) = request.into_parts();
    let user = admitted.user()?;
    reads_json(&head.headers)?;
    if is_done(head.uri.query().unwrap_or_default()) {
        return done(&context, user, &head, body).await;
    }
    if content_type(&head.headers) == "application/x-www-form-urlencoded" {
        return post_delete(&context, user, &Notes::of(&head.extensions), body).await;
    }
    refuse_by_length(&context, &head.headers)?;
    let boundary = boundary(&head.headers)?;
    let form = Form::new(text(&head.headers, CONTENT_RANGE))?;
    context.uploads.check_total(form.total_size()?)?;
    let mut reader = FormReader::new(body, &boundary, form, context.options.body);
    let posted = receive(&context, user, &head, &mut reader).await;
    if posted.is_err()
        && let Ok(Some(id)) = reader.form.uuid()
    {
        context.uploads.withdraw(id).await; // if this request began it
    }
    posted.map(Json)
}

/// Receives fields, a file, and more fields.
async fn receive(
    context: &Context,
    user: UserId,
    head: &Parts,
    reader: &mut FormReader,
) -> Result<Posted, FormError> {
    if !reader.until_file().await? {
        return Err(
            ApiError::bad_field("file", "required", "the form has no field named file").into()
        );
    }
    context.uploads.check_total(reader.form.total_size()?)?;
    let notes = Notes::of(&head.extensions);
    let known = reader.form.chunk(&user)?;
    if let Some(chunk) = &known {
        note_chunk(&notes, chunk);
    }
    let length = length(&head.headers);
    let slot = if let Some(chunk) = &known {
        context.uploads.slot(chunk, length.unwrap_or(u64::MAX)).await?
    } else {
        let at_least = length.unwrap_or(0).saturating_sub(FORM_BYTES);
        context.uploads.slot_of_file(&user, reader.form.uuid()?, at_least).await?
    };
    let filled = slot.fill(pin!(reader.file())).await?;
    let more_fields = tokio::select! {
        rest = reader.rest() => rest?,
        refusal = filled.revoked() => return Err(refusal.into()),
    };
    let chunk = if more_fields { reader.form.chunk(&user)? } else { known };
    if let Some(chunk) = chunk {
        note_chunk(&notes, &chunk);
        let upload = context.uploads.accept_chunk(filled, chunk).await?;
        notes.upload(upload);
        return Ok(Posted::chunk(upload));
    }
    let single = reader.form.single(&user)?;
    let role = single.role;
    notes.operation(match role {
        Role::Media => Operation::File,
        Role::Thumbnail => Operation::Thumbnail,
    });
    let file = context.uploads.accept_single(filled, single).await?;
    notes.upload(file.id);
    let replies = Replies::new(context, &head.headers, &head.extensions);
    Ok(match role {
        Role::Media => replies.finished(&file),
        Role::Thumbnail => replies.thumbnail(&file),
    })
}

fn note_chunk(notes: &Notes, chunk: &ChunkRequest) {
    notes.operation(Operation::Chunk);
    if let Some(id) = chunk.id {
        notes.upload(id);
    }
}

async fn done(
    context: &Context,
    user: UserId,
    head: &Parts,
    body: Body,
) -> Result<Json<Posted>, FormError> {
    let notes = Notes::of(&head.extensions);
    notes.operation(Operation::Done);
    let request = done_form(context, head, body).await?.done(&user)?;
    notes.upload(request.id);
    let file = context.uploads.done(request).await?;
    Ok(Json(Replies::new(context, &head.headers, &head.extensions).finished(&file)))
}

/// Reads the fields of a done, in any of the encodings that clients use.
async fn done_form(context: &Context, head: &Parts, body: Body) -> Result<Form, FormError> {
    let mut form = Form::default();
    match content_type(&head.headers).as_str() {
        "multipart/form-data" => {
            let boundary = boundary(&head.headers)?;
            let mut reader = FormReader::new(body, &boundary, form, context.options.body);
            while reader.until_file().await? {} // a done stores no files
            form = reader.form;
        }
        "application/json" => {
            let body = LimitedBody::new(body, context.options.body).collect(MAX_SMALL_BODY).await?;
            let object = serde_json::from_slice(&body).map_err(|error| {
                ApiError::bad_request(
                    "malformed_json",
                    format!("the body is not a JSON object: {error}"),
                )
            })?;
            form.set_json(&object)?;
        }
        "application/x-www-form-urlencoded" | "" => {
            let body = LimitedBody::new(body, context.options.body).collect(MAX_SMALL_BODY).await?;
            form.set_urlencoded(&body)?;
        }
        other => {
            return Err(ApiError::unsupported_media_type(format!(
                "?done accepts multipart/form-data, application/x-www-form-urlencoded or \
                 application/json, not {other}"
            ))
            .into());
        }
    }
    Ok(form)
}

/// Handles Fine Uploader's substitute for DELETE.
async fn post_delete(
    context: &Context,
    user: UserId,
    notes: &Notes,
    body: Body,
) -> Result<Json<Posted>, FormError> {
    let body = LimitedBody::new(body, context.options.body).collect(MAX_SMALL_BODY).await?;
    let mut form = Form::default();
    form.set_urlencoded(&body)?;
    if !form.is_delete() {
        return Err(ApiError::unsupported_media_type(MULTIPART_PLEASE).into());
    }
    let id = form.uuid()?.ok_or_else(|| {
        ApiError::bad_field("uuid", "required", "uuid is missing: say what to delete")
    })?;
    notes.upload(id);
    let erased = context.files.delete(id, Some(user)).await?;
    Ok(Json(Posted::Removed(Gone::new(id, erased))))
}

/// `GET /api/v2/pm/upload/{uuid}/`: what has been received, so that a client can resume.
pub async fn status(
    State(context): State<Arc<Context>>,
    admitted: Admitted,
    uuid: PathUuid,
) -> Result<Json<Status>, FormError> {
    let user = admitted.lookup(&context).await?;
    let id = id(uuid)?;
    match context.uploads.record_or_parent(id, &user).await?.state {
        RecordState::Receiving(unfinished) => {
            Ok(Json(Status::unfinished(&context.uploads, id, &unfinished)))
        }
        RecordState::Finished(file) => Ok(Json(Status::finished(id, &file))),
        _ => Err(ApiError::not_found().into()),
    }
}

/// `GET /api/v2/pm/upload/`: the caller's unfinished uploads and Files, newest first.
pub async fn list(
    State(context): State<Arc<Context>>,
    admitted: Admitted,
    request: Request,
) -> Result<Json<Page>, FormError> {
    let user = admitted.lookup(&context).await?;
    let before = cursor(request.uri().query().unwrap_or_default())?;
    let (entries, next) = context.files.list(user, before, PAGE_ENTRIES).await?;
    let replies = Replies::new(&context, request.headers(), request.extensions());
    let next = next.map(|cursor| cursor.to_string());
    Ok(Json(replies.page(&context.uploads, &entries, next)))
}

/// `DELETE /api/v2/pm/upload/{uuid}/`: cancels an upload or deletes a File.
pub async fn delete(
    State(context): State<Arc<Context>>,
    admitted: Admitted,
    uuid: PathUuid,
) -> Result<Json<Gone>, FormError> {
    let owner = match admitted.caller {
        Caller::User(user) => Some(user),
        Caller::Service => None,
    };
    let id = id(uuid)?;
    let erased = context.files.delete(id, owner).await?;
    Ok(Json(Gone::new(id, erased)))
}

/// Parses the cursor in a query.
fn cursor(query: &str) -> Result<Option<Cursor>, ApiError> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let values: Vec<_> = pairs.filter(|(name, _)| name == "cursor").collect();
    let cursor = match &values[..] {
        [] => return Ok(None),
        [(_, value)] if value.is_empty() => return Ok(None),
        [(_, value)] => value.parse().ok(),
        _ => None,
    };
    let message = "cursor must be the `next` of an earlier page, and given only once";
    cursor.map(Some).ok_or_else(|| ApiError::bad_field("cursor", "malformed", message))
}

/// Whether a query contains done: `?done`, `?done=`, `?done/` or `?done=anything`, possibly with other parameters.
fn is_done(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "done" || name == "done/")
}

fn boundary(headers: &HeaderMap) -> Result<Boundary, ApiError> {
    let value = text(headers, CONTENT_TYPE).unwrap_or_default();
    Boundary::from_content_type(value).map_err(|error| match error {
        BoundaryError::NotMultipart => ApiError::unsupported_media_type(MULTIPART_PLEASE),
        _ => ApiError::bad_request("malformed_content_type", error.to_string()),
    })
}

fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH)?.parse().ok()
}

/// Refuses a request by its length alone, before any of the body is read.
fn refuse_by_length(context: &Context, headers: &HeaderMap) -> Result<(), FormError> {
    match length(headers) {
        Some(length) if length > context.options.body.max_bytes => {
            let max = context.uploads.max_file_size();
            Err(crate::uploads::Refusal::FileTooLong { max }.into())
        }
        None if !headers.contains_key(TRANSFER_ENCODING) => Err(ApiError::new(
            StatusCode::LENGTH_REQUIRED,
            "length_required",
            "the request has neither a Content-Length nor a chunked body",
        )
        .into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_done;

    #[test]
    fn every_spelling_of_done_is_understood() {
        for query in ["done", "done=", "done/", "done=1", "a=b&done", "done=true&x"] {
            assert!(is_done(query), "{query}");
        }
        for query in ["", "undone", "a=done", "donee"] {
            assert!(!is_done(query), "{query}");
        }
    }
}
