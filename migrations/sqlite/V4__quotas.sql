-- What users have taken of their quotas: finished files with their size, unfinished ones with what they reserved.
ALTER TABLE uploads ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0; -- bytes; 0 once they are forgotten, and of pictures made here

CREATE TABLE usage (
    user_id INTEGER PRIMARY KEY,
    bytes   INTEGER NOT NULL,
    files   INTEGER NOT NULL -- unfinished ones included, thumbnails not
);
-- One row: all users'.
CREATE TABLE total_usage (
    bytes INTEGER NOT NULL
);
INSERT INTO total_usage (bytes) VALUES (0);

-- Counted here, so that no step can forget it.
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

-- What the release before this one put on record.
INSERT INTO usage (user_id, bytes, files) SELECT user_id, 0, sum(role = 0) FROM uploads WHERE state IN (0, 1) GROUP BY user_id;
UPDATE uploads SET reserved = size WHERE state = 1 AND role = 0;
UPDATE uploads
SET reserved = coalesce(total_size, (SELECT max(offset + size) FROM parts WHERE upload = seq), 0)
WHERE state = 0;
