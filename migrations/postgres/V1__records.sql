-- The records, as in migrations/sqlite, for PostgreSQL 14 or newer. All steps run at READ COMMITTED: a step decides
-- on rows that it has locked, or by a constraint. Times are unix seconds; ids are random uuids.
--
-- Steps lock rows in this order: a media, its thumbnails, `usage`, `total_usage`, `jobs`.
CREATE EXTENSION IF NOT EXISTS btree_gist; -- trusted since PostgreSQL 13: the owner of the database may create it

-- An upload, from its first byte to its tombstone. A finished upload is a File.
-- A uuid is never used twice, so the rows of removed uploads stay (without bytes and names).
CREATE TABLE uploads (
    seq           bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of creation; the cursor of the list
    id            uuid     NOT NULL UNIQUE,
    user_id       text     NOT NULL,
    state         smallint NOT NULL,                -- 0 receiving, 1 finished, 2 removed, 3 expired, 4 replaced
    role          smallint NOT NULL,                -- 0 media, 1 thumbnail, 2 partial upload
    generation    uuid     UNIQUE,                  -- new each time the upload begins; null once it isn't receiving
    epoch         bigint   NOT NULL DEFAULT 0,      -- +1 when parts are taken away, and when finalizing begins
    blob          uuid,                             -- contains all of its bytes, from the beginning; null: see extents
    parent        uuid,                             -- the media that a thumbnail or a scaled copy belongs to
    thumbnail     uuid,                             -- the media's current thumbnail
    append        boolean  NOT NULL DEFAULT false,  -- its bytes arrive in order; never changes
    wanted_md5    bytea,                            -- of such an upload: the expected MD5 of the file
    partials      bytea,                            -- if it was joined: uuids of the partial uploads, 16 bytes each
    total_parts   bigint   NOT NULL,                -- 0 if bytes arrive in order
    total_size    bigint,                           -- bytes, as declared
    even_size     bigint,                           -- bytes of every part but the last, once placement relied on it
    -- Further sums on which placement relies, updated by the statement that records a part.
    parts         bigint   NOT NULL DEFAULT 0,      -- number of recorded parts
    received      bigint   NOT NULL DEFAULT 0,      -- bytes of all parts
    max_end       bigint   NOT NULL DEFAULT 0,      -- the largest end of a part
    min_even      bigint,                           -- bytes of the smallest and the largest part, except the last one
    max_even      bigint,
    touched_at    bigint   NOT NULL,                -- the last time at which something of it was stored
    reserved      bigint   NOT NULL DEFAULT 0,      -- bytes; 0 for tombstones, and for pictures that the server made
    filename      text,
    named         boolean  NOT NULL DEFAULT false,  -- a done request has set the final filename
    declared_type text,
    media_type    text,
    duration_secs bigint,
    width         bigint,                           -- pixels, as displayed
    height        bigint,
    size          bigint,                           -- bytes, of the finished file
    crc32         bigint,                           -- of the finished file
    embedded      smallint,                         -- embedded metadata: 1 removed, 2 none, 3 kept; null: unknown
    received_parts bytea,                           -- sizes and checksums of its parts, to recognize repeated chunks
    received_md5  bytea,                            -- of the bytes as they were sent, if a client asked for it
    patches       bytea,                            -- while finalizing (state is still 0): the bytes to overwrite
    suspect       boolean  NOT NULL DEFAULT false,  -- written before the last boot, and not compared yet
    unsynced      boolean  NOT NULL DEFAULT false,  -- a finished file that was not synced
    attached      boolean  NOT NULL DEFAULT false,  -- a message shows it
    created_at    bigint   NOT NULL,
    changed_at    bigint   NOT NULL                 -- the last change of state
) WITH (fillfactor = 70); -- each part updates the row, in place while its page has room
CREATE INDEX uploads_listed ON uploads (user_id, seq) WHERE state IN (0, 1) AND role = 0;
CREATE INDEX uploads_of_user ON uploads (user_id, seq);
CREATE INDEX uploads_unfinished ON uploads (created_at) WHERE state = 0;
CREATE INDEX uploads_thumbnails ON uploads (parent) WHERE role = 1;
CREATE UNIQUE INDEX uploads_blobs ON uploads (blob) WHERE blob IS NOT NULL;
CREATE INDEX uploads_suspect ON uploads (seq) WHERE suspect;
CREATE INDEX uploads_unattached ON uploads (changed_at) WHERE state = 1 AND role = 0 AND NOT attached;

-- The parts of unfinished uploads. Finishing packs them into uploads.received_parts. The parts of an upload that is no
-- longer receiving are never read, and are deleted in batches.
CREATE TABLE parts (
    upload  bigint NOT NULL, -- uploads.seq, which is never reused
    idx     bigint NOT NULL,
    off     bigint NOT NULL, -- bytes; ascends with idx
    size    bigint NOT NULL, -- bytes
    crc32   bigint NOT NULL,
    attempt uuid   NOT NULL, -- the call that recorded it: recognizes a repeat after a lost reply
    PRIMARY KEY (upload, idx),
    CONSTRAINT parts_apart EXCLUDE USING gist (upload WITH =, int8range(off, off + size) WITH &&)
);

-- The constraint ensures that parts don't overlap. This trigger ensures that offsets ascend with indexes: it compares a
-- new part with its two neighbours. The step that adds a part has locked the upload's row, and each query of a function
-- sees everything that was committed before it.
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

-- Where the bytes of an upload or File without a blob are stored, as in a store that doesn't write in place. An upload
-- with a blob has no rows here: the blob contains its bytes, from the beginning.
CREATE TABLE extents (
    upload bigint NOT NULL, -- uploads.seq
    at     bigint NOT NULL, -- offset in the file
    size   bigint NOT NULL, -- bytes
    blob   uuid,            -- null: zeros
    off    bigint NOT NULL, -- offset in the blob
    PRIMARY KEY (upload, at)
);
CREATE INDEX extents_blobs ON extents (blob) WHERE blob IS NOT NULL;

-- How much of the quotas users have used: finished files count with their size, unfinished ones with their
-- reservation. A step that checks a quota locks the user's row.
CREATE TABLE usage (
    user_id    text   PRIMARY KEY,
    bytes      bigint NOT NULL DEFAULT 0,
    files      bigint NOT NULL DEFAULT 0, -- including unfinished ones, without thumbnails
    unfinished bigint NOT NULL DEFAULT 0  -- uploads that are receiving
) WITH (fillfactor = 70);
-- The sum of all users, in shards so that steps of different users don't wait for each other. So the server's
-- limit is enforced only approximately.
CREATE TABLE total_usage (
    shard smallint PRIMARY KEY,
    bytes bigint   NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO total_usage (shard) SELECT generate_series(0, 31);

-- A trigger updates both, so that no step can forget it.
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

-- Work that remains after the transaction that made it necessary. Whoever takes a job holds a lease.
CREATE TABLE jobs (
    n            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of recording; the cursor of the list
    id           uuid    NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    kind         text    NOT NULL,
    subject      uuid    NOT NULL,           -- an upload's uuid, the name of bytes, or a number
    user_id      text,                       -- the user whose turn it takes
    payload      bytea   NOT NULL,
    run_at       bigint  NOT NULL,           -- earliest time at which it runs
    round        bigint  NOT NULL DEFAULT 0, -- users take turns: one job of each user in a round
    lease        uuid,                       -- null: nobody holds it
    leased_until bigint,
    node         text,                       -- its holder; leases of a node end when the node starts again
    deaths       bigint  NOT NULL DEFAULT 0, -- leases that ended without an outcome
    failures     bigint  NOT NULL DEFAULT 0,
    error        text,                       -- of the last failure
    set_aside    boolean NOT NULL DEFAULT false, -- nobody takes it until the operator retries it
    UNIQUE (kind, subject)
);
CREATE INDEX jobs_due ON jobs (kind, round, n) WHERE NOT set_aside;
CREATE INDEX jobs_of_user ON jobs (kind, user_id, round) WHERE NOT set_aside;

-- Committed steps, each with a random name. After a lost reply, the name tells whether the commit was made.
CREATE TABLE steps (
    name     uuid        PRIMARY KEY,
    taken_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX steps_taken ON steps (taken_at);

-- One row: the byte store that these records describe.
CREATE TABLE store (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    id   uuid    NOT NULL,
    node text,   -- only for a store on a disk: the one server that uses it
    boot text    -- only for a store on a disk: the machine's boot in which records were last written
);

-- Keys of links; the newest one signs. Ids are random, so that the id of a key lost in a failover is never reused.
CREATE TABLE link_keys (
    n              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id             bigint NOT NULL UNIQUE,
    secret         bytea  NOT NULL,
    created_at     bigint NOT NULL,
    accepted_until bigint -- null: the key that signs
);

-- What remains of an erased user's uploads, because a uuid is never used twice.
CREATE TABLE erased (
    id uuid PRIMARY KEY
);
