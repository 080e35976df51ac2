-- An upload from its first byte to its tombstone. A finished upload is a File.
-- A uuid is never used twice, so rows of removed uploads stay (without their bytes and names).
CREATE TABLE uploads (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT, -- order of creation; the cursor of the list
    id            BLOB    NOT NULL UNIQUE,           -- uuid, 16 bytes
    user_id       INTEGER NOT NULL,
    state         INTEGER NOT NULL,                  -- 0 receiving, 1 finished, 2 removed, 3 expired, 4 replaced
    role          INTEGER NOT NULL,                  -- 0 media, 1 thumbnail
    blob          BLOB,                              -- name of the bytes, 16 bytes; null once they are forgotten
    parent        BLOB,                              -- the media a thumbnail or a scaled copy belongs to
    thumbnail     BLOB,                              -- uuid of the media's current thumbnail
    total_parts   INTEGER NOT NULL,
    total_size    INTEGER,                           -- bytes, as declared
    even_size     INTEGER,                           -- bytes of every part but the last, once a rule relied on it
    filename      TEXT,
    named         INTEGER NOT NULL DEFAULT 0,        -- 1: a done gave the final filename
    declared_type TEXT,
    media_type    TEXT,
    duration_secs INTEGER,
    size          INTEGER,                           -- bytes, of the finished file
    crc32         INTEGER,                           -- of the finished file
    received      BLOB,                              -- sizes and checksums of its parts, for repeats
    attached      INTEGER NOT NULL DEFAULT 0,        -- 1: a message shows it
    created_at    INTEGER NOT NULL,                  -- unix seconds
    changed_at    INTEGER NOT NULL                   -- unix seconds of the last change of state
);
CREATE INDEX uploads_listed ON uploads (user_id, seq) WHERE state IN (0, 1) AND role = 0;
CREATE INDEX uploads_unfinished ON uploads (user_id, created_at) WHERE state = 0;
CREATE INDEX uploads_thumbnails ON uploads (parent) WHERE role = 1;
CREATE UNIQUE INDEX uploads_blobs ON uploads (blob) WHERE blob IS NOT NULL;

-- The parts of unfinished uploads; finishing folds them into uploads.received.
CREATE TABLE parts (
    upload    INTEGER NOT NULL REFERENCES uploads (seq),
    idx       INTEGER NOT NULL,
    offset    INTEGER NOT NULL, -- bytes
    size      INTEGER NOT NULL, -- bytes
    crc32     INTEGER NOT NULL,
    stored_at INTEGER NOT NULL, -- unix seconds
    PRIMARY KEY (upload, idx)
) WITHOUT ROWID;

-- One row: the byte store these records speak of.
CREATE TABLE store (
    id BLOB NOT NULL
);

-- Keys that sign links; the newest signs.
CREATE TABLE link_keys (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    secret     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
);
