-- The records decide which parts an upload has. `blob` is new in each life of an upload; `epoch` counts what makes void
-- what was read of it. Users are named by text, as tokens name them: in a column of numbers "007" and "7" would be one
-- user. What SQLite can't change in place is made anew.

-- Chunks lie in the order of their indexes. Of those that don't no done ever made a file: they expire at the next look.
CREATE TEMP TABLE disordered AS
SELECT DISTINCT upload FROM
    (SELECT upload, offset, lag(offset + size) OVER (PARTITION BY upload ORDER BY idx) AS before FROM parts)
WHERE before > offset;
UPDATE uploads SET created_at = 0 WHERE state = 0 AND seq IN (SELECT upload FROM disordered);
UPDATE parts SET stored_at = 0 WHERE upload IN (SELECT upload FROM disordered);
DROP TABLE disordered;

-- The parts of unfinished uploads; finishing folds them into uploads.received. Those of an upload that receives nothing
-- any more mean nothing, and are deleted little by little.
CREATE TABLE new_parts (
    upload    INTEGER NOT NULL, -- uploads.seq, which is never used twice
    idx       INTEGER NOT NULL,
    offset    INTEGER NOT NULL, -- bytes; ascends with idx
    size      INTEGER NOT NULL, -- bytes
    crc32     INTEGER NOT NULL,
    stored_at INTEGER NOT NULL, -- unix seconds
    PRIMARY KEY (upload, idx)
) WITHOUT ROWID;
INSERT INTO new_parts SELECT upload, idx, offset, size, crc32, stored_at FROM parts;
DROP TABLE parts;
ALTER TABLE new_parts RENAME TO parts;

-- An upload from its first byte to its tombstone. A finished upload is a File.
-- A uuid is never used twice, so rows of removed uploads stay (without their bytes and names).
CREATE TABLE new_uploads (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT, -- order of creation; the cursor of the list
    id            BLOB    NOT NULL UNIQUE,           -- uuid, 16 bytes
    user_id       TEXT    NOT NULL,
    state         INTEGER NOT NULL,                  -- 0 receiving, 1 finished, 2 removed, 3 expired, 4 replaced
    role          INTEGER NOT NULL,                  -- 0 media, 1 thumbnail
    blob          BLOB,                              -- name of the bytes, 16 bytes; null once they are forgotten
    epoch         INTEGER NOT NULL DEFAULT 0,        -- +1 when parts are taken away, and when finalizing begins
    parent        BLOB,                              -- the media a thumbnail or a scaled copy belongs to
    thumbnail     BLOB,                              -- uuid of the media's current thumbnail
    total_parts   INTEGER NOT NULL,
    total_size    INTEGER,                           -- bytes, as declared
    even_size     INTEGER,                           -- bytes of every part but the last, once a rule relied on it
    reserved      INTEGER NOT NULL DEFAULT 0,        -- bytes; 0 once they are forgotten, and of pictures made here
    filename      TEXT,
    named         INTEGER NOT NULL DEFAULT 0,        -- 1: a done gave the final filename
    declared_type TEXT,
    media_type    TEXT,
    duration_secs INTEGER,
    width         INTEGER,                           -- pixels, as displayed
    height        INTEGER,
    size          INTEGER,                           -- bytes, of the finished file
    crc32         INTEGER,                           -- of the finished file
    embedded      INTEGER,                           -- metadata in its bytes: 1 removed, 2 there was none, 3 kept; null: unknown
    received      BLOB,                              -- sizes and checksums of its parts, for repeats
    received_md5  BLOB,                              -- of the bytes as they were sent, where it was asked for
    patches       BLOB,                              -- finalizing: what is being overwritten; state is still 0
    suspect       INTEGER NOT NULL DEFAULT 0,        -- 1: written before the last boot and not compared yet
    unsynced      INTEGER NOT NULL DEFAULT 0,        -- 1: a finished file that was never synced
    attached      INTEGER NOT NULL DEFAULT 0,        -- 1: a message shows it
    created_at    INTEGER NOT NULL,                  -- unix seconds
    changed_at    INTEGER NOT NULL                   -- unix seconds of the last change of state
);
INSERT INTO new_uploads (seq, id, user_id, state, role, blob, parent, thumbnail, total_parts, total_size, even_size,
                         reserved, filename, named, declared_type, media_type, duration_secs, width, height, size, crc32,
                         embedded, received, received_md5, patches, suspect, unsynced, attached, created_at, changed_at)
SELECT seq, id, CAST(user_id AS TEXT), state, role, blob, parent, thumbnail, total_parts, total_size, even_size,
       reserved, filename, named, declared_type, media_type, duration_secs, width, height, size, crc32,
       embedded, received, received_md5, patches, suspect, unsynced, attached, created_at, changed_at
FROM uploads ORDER BY seq;
DELETE FROM sqlite_sequence WHERE name = 'new_uploads';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_uploads', seq FROM sqlite_sequence WHERE name = 'uploads';
DROP TABLE uploads;
ALTER TABLE new_uploads RENAME TO uploads;
CREATE INDEX uploads_listed ON uploads (user_id, seq) WHERE state IN (0, 1) AND role = 0;
CREATE INDEX uploads_unfinished ON uploads (user_id, created_at) WHERE state = 0;
CREATE INDEX uploads_thumbnails ON uploads (parent) WHERE role = 1;
CREATE UNIQUE INDEX uploads_blobs ON uploads (blob) WHERE blob IS NOT NULL;
CREATE INDEX uploads_suspect ON uploads (seq) WHERE suspect = 1;
CREATE INDEX uploads_unattached ON uploads (changed_at) WHERE state = 1 AND role = 0 AND attached = 0;

CREATE TABLE new_usage (
    user_id TEXT    PRIMARY KEY,
    bytes   INTEGER NOT NULL,
    files   INTEGER NOT NULL -- unfinished ones included, thumbnails not
) WITHOUT ROWID;
INSERT INTO new_usage SELECT CAST(user_id AS TEXT), bytes, files FROM usage;
DROP TABLE usage;
ALTER TABLE new_usage RENAME TO usage;
CREATE TRIGGER uploads_begun AFTER INSERT ON uploads
WHEN new.state IN (0, 1)
BEGIN
    INSERT INTO usage (user_id, bytes, files) VALUES (new.user_id, new.reserved, new.role = 0)
    ON CONFLICT (user_id) DO UPDATE SET bytes = bytes + excluded.bytes, files = files + excluded.files;
    UPDATE total_usage SET bytes = bytes + new.reserved;
END;
CREATE TRIGGER uploads_changed AFTER UPDATE OF reserved, state ON uploads
WHEN old.reserved <> new.reserved OR (old.state IN (0, 1)) <> (new.state IN (0, 1))
BEGIN
    UPDATE usage
    SET bytes = bytes + new.reserved - old.reserved,
        files = files + (new.role = 0) * ((new.state IN (0, 1)) - (old.state IN (0, 1)))
    WHERE user_id = new.user_id;
    UPDATE total_usage SET bytes = bytes + new.reserved - old.reserved;
END;

CREATE TABLE new_jobs (
    n            INTEGER PRIMARY KEY AUTOINCREMENT, -- order of recording; the cursor of the list
    id           BLOB    NOT NULL UNIQUE,           -- 16 random bytes
    kind         TEXT    NOT NULL,
    subject      BLOB    NOT NULL,                  -- an upload's uuid or the name of bytes, 16 bytes
    user_id      TEXT,                              -- whose turn it takes
    payload      BLOB    NOT NULL,
    run_at       INTEGER NOT NULL,                  -- unix seconds; not before then
    round        INTEGER NOT NULL DEFAULT 0,        -- users take turns: one job of each in a round
    lease        BLOB,                              -- 16 random bytes; null: nobody holds it
    leased_until INTEGER,                           -- unix seconds
    deaths       INTEGER NOT NULL DEFAULT 0,        -- leases that ended with no outcome
    failures     INTEGER NOT NULL DEFAULT 0,
    error        TEXT,                              -- of the last failure
    set_aside    INTEGER NOT NULL DEFAULT 0,        -- 1: nobody takes it until the operator says so
    UNIQUE (kind, subject)
);
INSERT INTO new_jobs
SELECT n, id, kind, subject, CAST(user_id AS TEXT), payload, run_at, round, lease, leased_until, deaths, failures, error,
       set_aside
FROM jobs ORDER BY n;
DELETE FROM sqlite_sequence WHERE name = 'new_jobs';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_jobs', seq FROM sqlite_sequence WHERE name = 'jobs';
DROP TABLE jobs;
ALTER TABLE new_jobs RENAME TO jobs;
CREATE INDEX jobs_due ON jobs (kind, round, n) WHERE set_aside = 0;
CREATE INDEX jobs_of_user ON jobs (kind, user_id, round) WHERE set_aside = 0;
