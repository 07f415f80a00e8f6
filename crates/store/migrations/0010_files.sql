-- Files: where their content lies, which messages need them, and under which names platforms know them already.

-- The name of the content in the store. No version has written rows before this one.
ALTER TABLE files ADD COLUMN object TEXT NOT NULL UNIQUE;
CREATE INDEX files_user_idx ON files (user_id, id) INCLUDE (size_bytes);
CREATE INDEX files_used_idx ON files (used_at);
CREATE INDEX files_name_idx ON files USING GIN (name gin_trgm_ops);

-- Objects that may be in the store and that no file stands for: uploads that still run or broke off, and what is to be removed.
-- The row is written before the object and goes after it, so that no crash leaves an object that nobody knows of.
CREATE TABLE file_remnants (
    object TEXT PRIMARY KEY,
    -- The id of a multipart upload at an S3 store: its parts go only by name.
    upload TEXT,
    remove_after TIMESTAMPTZ NOT NULL
);
CREATE INDEX file_remnants_due_idx ON file_remnants (remove_after);

-- Whoever deletes a file, also by deleting its user, leaves its object to be removed.
CREATE FUNCTION leave_file_object() RETURNS TRIGGER AS $$
BEGIN
    INSERT INTO file_remnants (object, remove_after) VALUES (OLD.object, now())
    ON CONFLICT (object) DO UPDATE SET remove_after = now();
    RETURN OLD;
END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER leave_file_object AFTER DELETE ON files FOR EACH ROW EXECUTE FUNCTION leave_file_object();

-- Which files a message needs; written by the statement that accepts it. The foreign key locks the file against its removal
-- until that commits.
CREATE TABLE message_files (
    message_id UUID NOT NULL,
    file_id UUID NOT NULL REFERENCES files(id) ON DELETE CASCADE,
    used_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (message_id, file_id)
);
CREATE INDEX message_files_file_idx ON message_files (file_id);

-- What a platform calls a file that a sender has uploaded as one kind of medium: it need not be uploaded again.
CREATE TABLE file_references (
    file_id UUID NOT NULL REFERENCES files(id) ON DELETE CASCADE,
    sender_id UUID NOT NULL,
    kind TEXT NOT NULL,
    reference JSONB NOT NULL,
    used_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (file_id, sender_id, kind)
);
CREATE INDEX file_references_sender_idx ON file_references (sender_id);
