-- What remains to be done after the transaction that made it necessary. Whoever takes a job holds a lease.
CREATE TABLE jobs (
    n            INTEGER PRIMARY KEY AUTOINCREMENT, -- order of recording; the cursor of the list
    id           BLOB    NOT NULL UNIQUE,           -- 16 random bytes
    kind         TEXT    NOT NULL,
    subject      BLOB    NOT NULL,                  -- an upload's uuid or the name of bytes, 16 bytes
    user_id      INTEGER,                           -- whose turn it takes
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
CREATE INDEX jobs_due ON jobs (kind, round, n) WHERE set_aside = 0;
CREATE INDEX jobs_of_user ON jobs (kind, user_id, round) WHERE set_aside = 0;

-- What releases before this one left to be done.
INSERT INTO jobs (id, kind, subject, user_id, payload, run_at, deaths)
SELECT randomblob(16), 'thumbnail', id, user_id, x'', 0, min(drawing_tries, 2)
FROM uploads WHERE drawing_tries IS NOT NULL AND state = 1 AND (role = 1 OR thumbnail IS NULL);
INSERT INTO jobs (id, kind, subject, payload, run_at)
SELECT randomblob(16), 'finish', id, x'', 0 FROM uploads WHERE patches IS NOT NULL;
INSERT INTO jobs (id, kind, subject, payload, run_at)
SELECT randomblob(16), 'compare', zeroblob(16), x'', 0 WHERE EXISTS (SELECT 1 FROM uploads WHERE suspect = 1);
DROP INDEX uploads_drawing;
DROP INDEX uploads_finalizing;
ALTER TABLE uploads DROP COLUMN drawing_tries;
