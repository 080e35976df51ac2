-- Uploads whose bytes come in order, each request's at the end of the one before (docs/tus.md). Their parts are pieces of
-- some MiB, numbered as they come; `total_parts` is 0 and means nothing.
ALTER TABLE uploads ADD COLUMN append INTEGER NOT NULL DEFAULT 0; -- 1: such an upload; none changes its kind
ALTER TABLE uploads ADD COLUMN wanted_md5 BLOB;                   -- what the whole must have, as it was said at the start
ALTER TABLE uploads ADD COLUMN partials BLOB;                     -- of one joined from others: their uuids, 16 bytes each
-- `role` 2: a piece of an upload to come, which is no file of its own: no list shows it, and it counts with its bytes
-- alone. Joined with others it becomes state 4: then it stands for its parent, the upload that has its bytes.
