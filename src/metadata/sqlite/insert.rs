//! Inserts rows of uploads.

use rusqlite::{Connection, params};

use crate::filename::Filename;
use crate::metadata::packed::pack_role;
use crate::metadata::{NewUpload, Role};

/// Inserts an upload, or the record of a file that was sent in one request.
pub(super) fn insert(
    tx: &Connection,
    new: &NewUpload,
    role: Role,
    now: u64,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO uploads (id, user_id, state, role, blob, parent, total_parts, reserved, filename,
                              declared_type, created_at, changed_at, generation, append, total_size, wanted_md5)
         VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        new.id,
        new.user,
        pack_role(role, new.is_partial()),
        new.blob,
        new.parent,
        new.total_parts,
        new.reserved,
        new.filename.as_ref().map(Filename::as_str),
        new.declared_type,
        now,
        new.generation,
        new.append.is_some(),
        new.append.as_ref().and_then(|append| append.total_size),
        new.append.as_ref().and_then(|append| append.md5),
    ])?;
    Ok(())
}
