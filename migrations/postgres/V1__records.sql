-- The records, as in migrations/sqlite, for PostgreSQL 14 or newer. All steps run at READ COMMITTED: what a step decides
-- from is a row that it has locked, or a constraint. Times are unix seconds; ids are random uuids.
--
-- Order in which steps lock rows: a media, its thumbnails, `usage`, `total_usage`, `jobs`.
CREATE EXTENSION IF NOT EXISTS btree_gist; -- trusted since 13: the owner of a database may create it

-- An upload from its first byte to its tombstone. A finished upload is a File.
-- A uuid is never used twice, so rows of removed uploads stay (without their bytes and names).
CREATE TABLE uploads (
    seq           bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of creation; the cursor of the list
    id            uuid     NOT NULL UNIQUE,
    user_id       text     NOT NULL,
    state         smallint NOT NULL,                -- 0 receiving, 1 finished, 2 removed, 3 expired, 4 replaced
    role          smallint NOT NULL,                -- 0 media, 1 thumbnail, 2 a piece of an upload to come
    generation    uuid     UNIQUE,                  -- which life of an unfinished upload this is; null once it receives nothing
    epoch         bigint   NOT NULL DEFAULT 0,      -- +1 when parts are taken away, and when finalizing begins
    blob          uuid,                             -- the only one with its bytes, from its beginning; null: see extents
    parent        uuid,                             -- the media a thumbnail or a scaled copy belongs to
    thumbnail     uuid,                             -- the media's current thumbnail
    append        boolean  NOT NULL DEFAULT false,  -- its bytes come in order; none changes its kind
    wanted_md5    bytea,                            -- of such an upload: what the whole must have
    partials      bytea,                            -- of one joined from others: their uuids, 16 bytes each
    total_parts   bigint   NOT NULL,                -- 0 where bytes come in order
    total_size    bigint,                           -- bytes, as declared
    even_size     bigint,                           -- bytes of every part but the last, once a rule relied on it
    -- What placing a part relies on beside these, kept by the statement that records it.
    parts         bigint   NOT NULL DEFAULT 0,      -- how many are on record
    received      bigint   NOT NULL DEFAULT 0,      -- bytes of all of them
    max_end       bigint   NOT NULL DEFAULT 0,      -- where the furthest one ends
    min_even      bigint,                           -- bytes of the smallest and the largest part but the last
    max_even      bigint,
    touched_at    bigint   NOT NULL,                -- the last time something of it was stored
    reserved      bigint   NOT NULL DEFAULT 0,      -- bytes; 0 once they are forgotten, and of pictures made here
    filename      text,
    named         boolean  NOT NULL DEFAULT false,  -- a done gave the final filename
    declared_type text,
    media_type    text,
    duration_secs bigint,
    width         bigint,                           -- pixels, as displayed
    height        bigint,
    size          bigint,                           -- bytes, of the finished file
    crc32         bigint,                           -- of the finished file
    embedded      smallint,                         -- metadata in its bytes: 1 removed, 2 there was none, 3 kept; null: unknown
    received_parts bytea,                           -- sizes and checksums of its parts, for repeats
    received_md5  bytea,                            -- of the bytes as they were sent, where it was asked for
    patches       bytea,                            -- finalizing: what is being overwritten; state is still 0
    suspect       boolean  NOT NULL DEFAULT false,  -- written before the last boot and not compared yet
    unsynced      boolean  NOT NULL DEFAULT false,  -- a finished file that was never synced
    attached      boolean  NOT NULL DEFAULT false,  -- a message shows it
    created_at    bigint   NOT NULL,
    changed_at    bigint   NOT NULL                 -- the last change of state
) WITH (fillfactor = 70); -- the row changes with each part, in place while its page has room
CREATE INDEX uploads_listed ON uploads (user_id, seq) WHERE state IN (0, 1) AND role = 0;
CREATE INDEX uploads_of_user ON uploads (user_id, seq);
CREATE INDEX uploads_unfinished ON uploads (created_at) WHERE state = 0;
CREATE INDEX uploads_thumbnails ON uploads (parent) WHERE role = 1;
CREATE UNIQUE INDEX uploads_blobs ON uploads (blob) WHERE blob IS NOT NULL;
CREATE INDEX uploads_suspect ON uploads (seq) WHERE suspect;
CREATE INDEX uploads_unattached ON uploads (changed_at) WHERE state = 1 AND role = 0 AND NOT attached;

-- The parts of unfinished uploads; finishing folds them into uploads.received_parts. Those of an upload that receives
-- nothing any more mean nothing, and are deleted little by little.
CREATE TABLE parts (
    upload  bigint NOT NULL, -- uploads.seq, which is never used twice
    idx     bigint NOT NULL,
    off     bigint NOT NULL, -- bytes; ascends with idx
    size    bigint NOT NULL, -- bytes
    crc32   bigint NOT NULL,
    attempt uuid   NOT NULL, -- of whoever recorded it: so a lost reply is told from another one's part
    PRIMARY KEY (upload, idx),
    CONSTRAINT parts_apart EXCLUDE USING gist (upload WITH =, int8range(off, off + size) WITH &&)
);

-- No two parts share a byte: the constraint. That offsets ascend with indexes is seen in the two parts beside a new one;
-- whoever adds one holds the upload's row, and each query of a function sees what was committed before it.
CREATE FUNCTION parts_ascend() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT off + size FROM parts WHERE upload = new.upload AND idx < new.idx ORDER BY idx DESC LIMIT 1) > new.off
       OR (SELECT off FROM parts WHERE upload = new.upload AND idx > new.idx ORDER BY idx LIMIT 1) < new.off + new.size
    THEN
        RAISE EXCEPTION 'offsets of parts ascend with their indexes' USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER parts_ascend BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION parts_ascend();

-- Where the bytes of an upload or File lie whose blob is null, as in a store that doesn't write in place. With a blob
-- they lie in it, from its beginning: of such there are no rows here.
CREATE TABLE extents (
    upload bigint NOT NULL, -- uploads.seq
    at     bigint NOT NULL, -- where they begin in the file
    size   bigint NOT NULL, -- bytes
    blob   uuid,            -- null: zeros
    off    bigint NOT NULL, -- where they begin in the blob
    PRIMARY KEY (upload, at)
);
CREATE INDEX extents_blobs ON extents (blob) WHERE blob IS NOT NULL;

-- What users have taken of their quotas: finished files with their size, unfinished ones with what they reserved. Whoever
-- decides whether something fits holds the user's row.
CREATE TABLE usage (
    user_id    text   PRIMARY KEY,
    bytes      bigint NOT NULL DEFAULT 0,
    files      bigint NOT NULL DEFAULT 0, -- unfinished ones included, thumbnails not
    unfinished bigint NOT NULL DEFAULT 0  -- uploads that receive
) WITH (fillfactor = 70);
-- All users', in shards, so that their steps don't wait for each other: the limit of the server is met only about.
CREATE TABLE total_usage (
    shard smallint PRIMARY KEY,
    bytes bigint   NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO total_usage (shard) SELECT generate_series(0, 31);

-- Counted here, so that no step can forget it.
CREATE FUNCTION count_upload() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_counts  boolean := new.state IN (0, 1);
    more_bytes  bigint := new.reserved;
    more_files  bigint := (now_counts AND new.role = 0)::int;
    more_unfinished bigint := (new.state = 0)::int;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        more_bytes := more_bytes - old.reserved;
        more_files := more_files - (old.state IN (0, 1) AND old.role = 0)::int;
        more_unfinished := more_unfinished - (old.state = 0)::int;
    END IF;
    INSERT INTO usage AS u (user_id, bytes, files, unfinished)
    VALUES (new.user_id, more_bytes, more_files, more_unfinished)
    ON CONFLICT (user_id) DO UPDATE
    SET bytes = u.bytes + excluded.bytes, files = u.files + excluded.files,
        unfinished = u.unfinished + excluded.unfinished;
    IF more_bytes <> 0 THEN
        UPDATE total_usage SET bytes = bytes + more_bytes WHERE shard = hashtext(new.user_id) & 31;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER uploads_begun AFTER INSERT ON uploads FOR EACH ROW
WHEN (new.state IN (0, 1)) EXECUTE FUNCTION count_upload();
CREATE TRIGGER uploads_changed AFTER UPDATE OF reserved, state ON uploads FOR EACH ROW
WHEN (old.reserved <> new.reserved OR old.state <> new.state) EXECUTE FUNCTION count_upload();

-- What remains to be done after the transaction that made it necessary. Whoever takes a job holds a lease.
CREATE TABLE jobs (
    n            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of recording; the cursor of the list
    id           uuid    NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    kind         text    NOT NULL,
    subject      uuid    NOT NULL,           -- an upload's uuid or the name of bytes
    user_id      text,                       -- whose turn it takes
    payload      bytea   NOT NULL,
    run_at       bigint  NOT NULL,           -- not before then
    round        bigint  NOT NULL DEFAULT 0, -- users take turns: one job of each in a round
    lease        uuid,                       -- null: nobody holds it
    leased_until bigint,
    node         text,                       -- who holds it: leases of a node that starts again have ended
    deaths       bigint  NOT NULL DEFAULT 0, -- leases that ended with no outcome
    failures     bigint  NOT NULL DEFAULT 0,
    error        text,                       -- of the last failure
    set_aside    boolean NOT NULL DEFAULT false, -- nobody takes it until the operator says so
    UNIQUE (kind, subject)
);
CREATE INDEX jobs_due ON jobs (kind, round, n) WHERE NOT set_aside;
CREATE INDEX jobs_of_user ON jobs (kind, user_id, round) WHERE NOT set_aside;

-- Steps that were taken, each under a random name: whoever has lost the reply to a commit sees here whether it was made.
CREATE TABLE steps (
    name     uuid        PRIMARY KEY,
    taken_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX steps_taken ON steps (taken_at);

-- One row: the byte store these records speak of.
CREATE TABLE store (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    id   uuid    NOT NULL,
    node text,   -- of a store on a disk: the only server that uses it
    boot text    -- of such a one: the machine's boot in which records were last written
);

-- Keys that sign links; the newest signs. Their numbers are random: after a fail-over that lost one, no other key has it.
CREATE TABLE link_keys (
    n              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id             bigint NOT NULL UNIQUE,
    secret         bytea  NOT NULL,
    created_at     bigint NOT NULL,
    accepted_until bigint -- null: the one that signs
);

-- What is left of an erased user's uploads: a uuid is never used twice.
CREATE TABLE erased (
    id uuid PRIMARY KEY
);
