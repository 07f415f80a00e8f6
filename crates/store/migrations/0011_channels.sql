-- Channels and groups: what is known of them, who sends for them, and in which order.

-- One index answers for a user's titles: by user and by trigrams or words at once.
CREATE EXTENSION IF NOT EXISTS btree_gin;

ALTER TABLE telegram_channels
    ADD COLUMN username TEXT,
    ADD COLUMN photo TEXT,
    ADD COLUMN is_forum BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN slow_mode_seconds INT NOT NULL DEFAULT 0,
    ADD COLUMN status TEXT NOT NULL DEFAULT 'active'
        CONSTRAINT telegram_channels_status_check CHECK (status IN ('active', 'no_sender', 'gone', 'off')),
    ADD COLUMN status_reason TEXT,
    ADD COLUMN status_changed_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    -- Words of both languages: this configuration stems Latin words as English ones.
    ADD COLUMN search TSVECTOR GENERATED ALWAYS AS (
        to_tsvector('pg_catalog.russian'::regconfig, title || ' ' || COALESCE(username, ''))) STORED;
-- The same chat is one row of a user, also when it is connected twice at once.
CREATE UNIQUE INDEX telegram_channels_user_chat_key ON telegram_channels (user_id, channel_id);
CREATE INDEX telegram_channels_page_idx ON telegram_channels (user_id, id);
-- By an expression that no other index has: a search of one user's titles that names it is answered by this index alone.
CREATE INDEX telegram_channels_search_idx ON telegram_channels
    USING GIN ((user_id::bigint), title gin_trgm_ops, username gin_trgm_ops, search);

-- What changes often, apart from the row with its many indexes. The row here is also the lock under which the channel's senders change.
CREATE TABLE telegram_channel_checks (
    channel_id UUID PRIMARY KEY REFERENCES telegram_channels(id) ON DELETE CASCADE,
    checked_at TIMESTAMPTZ,
    next_check_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX telegram_channel_checks_next_idx ON telegram_channel_checks (next_check_at);

ALTER TABLE channel_senders
    -- How the sender stands in the chat: creator, administrator, member, restricted, left or banned.
    ADD COLUMN standing TEXT,
    -- `barred`: the chat does not let it post; `gone`: as far as it can tell, there is no such chat.
    ADD COLUMN state TEXT NOT NULL DEFAULT 'ok'
        CONSTRAINT channel_senders_state_check CHECK (state IN ('ok', 'barred', 'gone')),
    ADD COLUMN reason_code TEXT,
    ADD COLUMN reason TEXT,
    -- A message of it was refused then, whatever the chat says of its rights.
    ADD COLUMN refused_at TIMESTAMPTZ;

-- Since when the sender is held without a pause: a long hold makes others take over, a short one does not.
ALTER TABLE sender_leases ADD COLUMN held_from TIMESTAMPTZ;

-- What waits for a channel or is on its way to it, over all of its senders. Messages without a channel are not in it.
CREATE INDEX messages_channel_idx ON messages (channel_id, status, priority, seq)
    WHERE channel_id IS NOT NULL AND status IN ('scheduled', 'queued', 'sending');
