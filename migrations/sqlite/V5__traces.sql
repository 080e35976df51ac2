-- What is left of what is gone. Of an erased person's uploads that is the uuid alone: it is never used twice.
CREATE TABLE erased (
    id BLOB PRIMARY KEY -- uuid, 16 bytes
) WITHOUT ROWID;

-- Of the thumbnails that clients sent for one media the release before this one kept all of which it could make no
-- picture. The newest stays, and what the media shows; a sweep finds the bytes of the others.
UPDATE uploads
SET state = 4, blob = NULL, filename = NULL, declared_type = NULL, media_type = NULL, received = NULL,
    received_md5 = NULL, crc32 = NULL, drawing_tries = NULL, suspect = 0, unsynced = 0, reserved = 0
WHERE role = 1 AND state = 1 AND received IS NOT NULL
  AND id IS NOT (SELECT thumbnail FROM uploads media WHERE media.id = uploads.parent)
  AND EXISTS (SELECT 1 FROM uploads newer
              WHERE newer.parent = uploads.parent AND newer.role = 1 AND newer.state = 1
                AND newer.received IS NOT NULL AND newer.seq > uploads.seq);
