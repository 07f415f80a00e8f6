-- Broadcasts: one message to many chats, fed into the queues of their senders little by little.

ALTER TABLE broadcasts
    DROP CONSTRAINT broadcasts_status_check,
    ADD CONSTRAINT broadcasts_status_check CHECK (status IN ('scheduled', 'running', 'paused', 'done', 'cancelled')),
    ADD COLUMN name TEXT,
    -- Of its messages: 0 high, 1 mid, 2 low.
    ADD COLUMN priority SMALLINT NOT NULL DEFAULT 2 CHECK (priority BETWEEN 0 AND 2),
    ADD COLUMN scheduled_at TIMESTAMPTZ,
    ADD COLUMN request_id TEXT,
    ADD COLUMN traceparent TEXT,
    -- What is done afterwards to what was sent already; NULL where nothing is.
    ADD COLUMN follow_up TEXT CHECK (follow_up IN ('correct', 'recall'));
-- Those that still move.
CREATE INDEX broadcasts_open_idx ON broadcasts (id) WHERE finished_at IS NULL OR follow_up IS NOT NULL;

-- In the order of their ids. A target gets its message when its turn comes.
CREATE TABLE broadcast_targets (
    id UUID PRIMARY KEY,
    broadcast_id UUID NOT NULL REFERENCES broadcasts(id) ON DELETE CASCADE,
    -- Through what: a bot, an account or a channel, by its id.
    route TEXT NOT NULL CHECK (route IN ('bot', 'account', 'channel')),
    via UUID NOT NULL,
    -- The destination, but for a channel.
    chat_id BIGINT,
    chat_name TEXT,
    variables JSONB,
    -- `queued` as long as its message is on its way; then as its message ended.
    status TEXT NOT NULL DEFAULT 'waiting'
        CHECK (status IN ('waiting', 'queued', 'sent', 'failed', 'unknown', 'cancelled')),
    message_id UUID,
    error_code TEXT,
    error_message TEXT,
    -- Whether it was corrected or recalled; NULL where that was not asked for.
    follow_up TEXT CHECK (follow_up IN ('waiting', 'done', 'failed')),
    follow_up_code TEXT,
    follow_up_message TEXT
);
-- Which files its message needs, as long as it moves.
CREATE TABLE broadcast_files (
    broadcast_id UUID NOT NULL REFERENCES broadcasts(id) ON DELETE CASCADE,
    file_id UUID NOT NULL REFERENCES files(id) ON DELETE CASCADE,
    PRIMARY KEY (broadcast_id, file_id)
);
CREATE INDEX broadcast_files_file_idx ON broadcast_files (file_id);

CREATE INDEX broadcast_targets_broadcast_idx ON broadcast_targets (broadcast_id, id);
CREATE INDEX broadcast_targets_waiting_idx ON broadcast_targets (broadcast_id, id) WHERE status = 'waiting';
CREATE INDEX broadcast_targets_queued_idx ON broadcast_targets (broadcast_id, via) WHERE status = 'queued';
CREATE INDEX broadcast_targets_follow_up_idx ON broadcast_targets (broadcast_id, id) WHERE follow_up = 'waiting';
