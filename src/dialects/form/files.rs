//! Files: one for its owner, or many for the application's backend.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;

use super::error::FormError;
use super::reply::{File, Replies};
use crate::auth::Caller;
use crate::http::body::LimitedBody;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::request::{Admitted, PathUuid, content_type, id};
use crate::ids::{UploadId, UserId};
use crate::metadata::StoredFile;

/// Maximum number of files per request.
const MAX_FILES: usize = 1000;
/// Maximum size of such a request in bytes.
const MAX_BODY: usize = 64 * 1024;

/// `GET /api/v2/pm/upload/{uuid}/file/`: the File object of a finished upload.
pub async fn one(
    State(context): State<Arc<Context>>,
    admitted: Admitted,
    uuid: PathUuid,
    request: Request,
) -> Result<Json<File>, FormError> {
    let user = admitted.lookup(&context).await?;
    let file = context.files.find(id(uuid)?, &user).await?;
    let replies = Replies::new(&context, request.headers(), request.extensions());
    Ok(Json(replies.file(&file)))
}

/// The body of [`many`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    uuids: Vec<String>,
    #[serde(default)]
    attach: bool,
    user_id: Option<i64>,
}

/// `POST /api/v2/pm/files/`: Files with fresh links, for the application's backend.
pub async fn many(
    State(context): State<Arc<Context>>,
    admitted: Admitted,
    request: Request,
) -> Result<Json<Vec<Option<File>>>, FormError> {
    let (head, body) = request.into_parts();
    if admitted.caller != Caller::Service {
        return Err(ApiError::forbidden("this needs a service token, not a user token").into());
    }
    if content_type(&head.headers) != "application/json" {
        return Err(ApiError::unsupported_media_type("send application/json").into());
    }
    let body = LimitedBody::new(body, context.options.body).collect(MAX_BODY).await?;
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|_| {
        let message =
            r#"send {"uuids": ["...", ...], "attach"?: true or false, "user_id"?: number}"#;
        ApiError::bad_request("malformed_json", message)
    })?;
    if wanted.uuids.len() > MAX_FILES {
        let message = format!("ask for at most {MAX_FILES} files at once");
        return Err(ApiError::bad_field("uuids", "too_many", message).into());
    }
    let ids: Vec<Option<UploadId>> =
        wanted.uuids.iter().map(|uuid| UploadId::parse(uuid)).collect();
    let mut files = find(&context, &ids, wanted.user_id).await?;
    if wanted.attach {
        context.files.attach(files.iter().flatten().map(|file| file.id).collect()).await?;
        files = find(&context, &ids, wanted.user_id).await?;
        for file in &mut files {
            file.take_if(|file| !file.attached); // attached or detached meanwhile
        }
    }
    let replies = Replies::new(&context, &head.headers, &head.extensions);
    let results = files.iter().map(|file| file.as_ref().map(|file| replies.file(file)));
    Ok(Json(results.collect()))
}

/// Returns the Files with these ids, in order; `None` for unknown ids and for files of users other than `user`.
async fn find(
    context: &Context,
    ids: &[Option<UploadId>],
    user: Option<i64>,
) -> Result<Vec<Option<StoredFile>>, FormError> {
    let (known, user) = (ids.iter().flatten().copied().collect(), user.map(UserId::from));
    let mut found = context.files.find_many(known).await?.into_iter();
    let files = ids.iter().map(|id| {
        let file = id.and_then(|_| found.next().flatten());
        file.filter(|file| user.as_ref().is_none_or(|user| file.user == *user))
    });
    Ok(files.collect())
}
