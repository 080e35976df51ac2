-- Which life of an unfinished upload this is: random, another one each time it begins; null once it receives nothing.
ALTER TABLE uploads ADD COLUMN generation BLOB;
UPDATE uploads SET generation = blob WHERE state = 0;

-- Where the bytes of an upload or File lie whose blob is null, as in a store that doesn't write in place. With a blob
-- they lie in it, from its beginning: of such there are no rows here.
CREATE TABLE extents (
    upload INTEGER NOT NULL, -- uploads.seq, which is never used twice
    at     INTEGER NOT NULL, -- where they begin in the file
    size   INTEGER NOT NULL, -- bytes
    blob   BLOB,             -- name of the bytes, 16 bytes; null: zeros
    offset INTEGER NOT NULL, -- where they begin in the blob
    PRIMARY KEY (upload, at)
) WITHOUT ROWID;
CREATE INDEX extents_blobs ON extents (blob) WHERE blob IS NOT NULL;
