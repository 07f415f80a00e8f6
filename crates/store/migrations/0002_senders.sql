-- What the service needs to know about the document's tables beyond their own columns.

ALTER TABLE telegram_bots
    ADD COLUMN telegram_bot_id BIGINT NOT NULL,
    ADD COLUMN name TEXT NOT NULL DEFAULT '',
    ADD COLUMN status TEXT NOT NULL DEFAULT 'active'
        CONSTRAINT telegram_bots_status_check CHECK (status IN ('active', 'token_revoked', 'off')),
    ADD COLUMN status_reason TEXT,
    ADD COLUMN status_changed_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP;
-- One bot is connected once in the whole service: two owners would fight over its updates.
ALTER TABLE telegram_bots ADD CONSTRAINT telegram_bots_telegram_bot_id_key UNIQUE (telegram_bot_id);

ALTER TABLE telegram_sessions
    ADD COLUMN telegram_user_id BIGINT,
    ADD COLUMN name TEXT NOT NULL DEFAULT '',
    ADD COLUMN username TEXT,
    ADD COLUMN status TEXT NOT NULL DEFAULT 'connecting'
        CONSTRAINT telegram_sessions_status_check
        CHECK (status IN ('active', 'connecting', 'limited', 'needs_login', 'banned', 'off')),
    ADD COLUMN status_reason TEXT,
    ADD COLUMN status_until TIMESTAMPTZ,
    ADD COLUMN status_changed_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN settings JSONB;
ALTER TABLE telegram_sessions ADD CONSTRAINT telegram_sessions_telegram_user_id_key UNIQUE (telegram_user_id);

-- Every sender of every platform in one shape: the delivery engine joins this and knows no platform's table.
CREATE VIEW senders AS
    SELECT id, user_id, 'bot'::text AS kind, COALESCE(is_active, FALSE) AS is_active, status FROM telegram_bots
    UNION ALL
    SELECT id, user_id, 'account'::text AS kind, COALESCE(is_active, FALSE) AS is_active, status FROM telegram_sessions;

-- Numeric ids of `@names`, per sender (an account's access hashes differ between accounts).
CREATE TABLE telegram_peers (
    sender_id UUID NOT NULL,
    name TEXT NOT NULL,
    chat_id BIGINT NOT NULL,
    resolved_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (sender_id, name)
);

-- Erased users: a token that still lives must not make the mirror row again.
CREATE TABLE erased_users (
    user_id INT PRIMARY KEY,
    erased_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Who sends for a channel, in order of preference.
CREATE TABLE channel_senders (
    channel_id UUID NOT NULL REFERENCES telegram_channels(id) ON DELETE CASCADE,
    sender_id UUID NOT NULL,
    position INT NOT NULL,
    rights JSONB,
    checked_at TIMESTAMPTZ,
    PRIMARY KEY (channel_id, sender_id)
);
CREATE INDEX channel_senders_sender_idx ON channel_senders (sender_id);

-- Logins in progress; `state` is a sealed envelope.
CREATE TABLE logins (
    id UUID PRIMARY KEY,
    user_id INT NOT NULL,
    platform TEXT NOT NULL,
    method TEXT NOT NULL,
    status TEXT NOT NULL,
    step JSONB NOT NULL,
    state JSONB,
    phone TEXT,
    sender_id UUID,
    worker_id UUID,
    expires_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);
CREATE INDEX logins_user_idx ON logins (user_id, id);
