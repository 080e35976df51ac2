-- What comes back: sizes of pictures, files on their way through the removal of metadata, thumbnails that are
-- still to be made, and keys of links that are accepted until a date.
ALTER TABLE uploads ADD COLUMN width INTEGER;          -- pixels, as displayed
ALTER TABLE uploads ADD COLUMN height INTEGER;
ALTER TABLE uploads ADD COLUMN received_md5 BLOB;      -- of the bytes as they were sent, where it was asked for
ALTER TABLE uploads ADD COLUMN patches BLOB;           -- finalizing: what is being overwritten; state is still 0
ALTER TABLE uploads ADD COLUMN drawing_tries INTEGER;  -- not null: a thumbnail is to be made of these bytes
CREATE INDEX uploads_finalizing ON uploads (seq) WHERE patches IS NOT NULL;
CREATE INDEX uploads_drawing ON uploads (seq) WHERE drawing_tries IS NOT NULL;

ALTER TABLE link_keys ADD COLUMN accepted_until INTEGER; -- unix seconds; null: for ever

-- Files of the release before this one get theirs too.
UPDATE uploads SET drawing_tries = 0
WHERE state = 1 AND media_type IN ('image/jpeg', 'image/png', 'image/gif', 'image/webp')
  AND (role = 1 OR thumbnail IS NULL);
