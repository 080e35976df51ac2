-- What became of the metadata in a file's bytes: 1 removed, 2 there was none, 3 kept; null: not looked into, or
-- finished before it was put on record.
ALTER TABLE uploads ADD COLUMN embedded INTEGER;
