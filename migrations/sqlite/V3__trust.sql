-- After a boot of the machine, what was not synced before it may be gone: it is compared with the bytes before it
-- is believed.
ALTER TABLE store ADD COLUMN boot TEXT;                            -- the machine's boot in which records were last written
ALTER TABLE uploads ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0; -- 1: written before that boot and not compared yet
ALTER TABLE uploads ADD COLUMN unsynced INTEGER NOT NULL DEFAULT 0; -- 1: a finished file that was never synced
CREATE INDEX uploads_suspect ON uploads (seq) WHERE suspect = 1;

-- Files that no message shows, for an operator who wants them removed some day.
CREATE INDEX uploads_unattached ON uploads (changed_at) WHERE state = 1 AND role = 0 AND attached = 0;
