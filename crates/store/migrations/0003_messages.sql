-- Messages and their delivery. Growing tables are partitioned by range of their UUIDv7 `id`, whose first 48 bits are the
-- milliseconds since 1970, so that keys stay one column. They carry no foreign keys: a check for each row costs more than the
-- insert, and dropping an old partition must not scan the others.

CREATE SEQUENCE message_seq;

CREATE TABLE messages (
    id UUID NOT NULL PRIMARY KEY,
    user_id INT NOT NULL,
    -- The route that was called, which is the metric's `type`: bot, account or channel.
    route TEXT NOT NULL CHECK (route IN ('bot', 'account', 'channel')),
    sender_id UUID NOT NULL,
    -- The row of telegram_channels for channel sends.
    channel_id UUID,
    -- The destination: a numeric chat id, or a name until it is resolved.
    chat_id BIGINT,
    chat_name TEXT,
    kind TEXT NOT NULL,
    content JSONB NOT NULL,
    -- The place among the due messages of one sender, destination and priority.
    seq BIGINT NOT NULL DEFAULT nextval('message_seq'),
    status TEXT NOT NULL
        CHECK (status IN ('scheduled', 'queued', 'sending', 'sent', 'failed', 'unknown', 'cancelled')),
    -- 0 high, 1 mid, 2 low.
    priority SMALLINT NOT NULL CHECK (priority BETWEEN 0 AND 2),
    scheduled_at TIMESTAMPTZ,
    -- Not to be tried before: a retry or a wait that the platform imposed.
    not_before TIMESTAMPTZ,
    -- MTProto deduplicates on it; every retry sends the same one.
    random_id BIGINT NOT NULL,
    platform_message_id BIGINT,
    attempts INT NOT NULL DEFAULT 0,
    -- The attempt that runs or ran last.
    attempt_id UUID,
    error_code TEXT,
    error_message TEXT,
    -- Milliseconds of waits that the platform imposed: kept apart from our own delay.
    imposed_wait_ms BIGINT NOT NULL DEFAULT 0,
    request_id TEXT,
    traceparent TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    -- When it last became due.
    queued_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    CHECK (chat_id IS NOT NULL OR chat_name IS NOT NULL)
) PARTITION BY RANGE (id);
CREATE INDEX messages_user_idx ON messages (user_id, id);
CREATE INDEX messages_sender_idx ON messages (sender_id, id);
CREATE INDEX messages_queue_idx ON messages (sender_id, priority, seq) INCLUDE (id, chat_id, not_before)
    WHERE status = 'queued';
CREATE INDEX messages_sending_idx ON messages (sender_id) WHERE status = 'sending';
CREATE INDEX messages_scheduled_idx ON messages (scheduled_at, seq) WHERE status = 'scheduled';

-- Albums and splits only: their further parts have their own random and platform ids.
CREATE TABLE message_parts (
    id UUID NOT NULL PRIMARY KEY,
    message_id UUID NOT NULL,
    part INT NOT NULL,
    random_id BIGINT NOT NULL,
    platform_message_id BIGINT
) PARTITION BY RANGE (id);
CREATE INDEX message_parts_message_idx ON message_parts (message_id, part);

CREATE TABLE message_attempts (
    id UUID NOT NULL PRIMARY KEY,
    message_id UUID NOT NULL,
    sender_id UUID NOT NULL,
    worker_id UUID NOT NULL,
    epoch BIGINT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    finished_at TIMESTAMPTZ,
    -- NULL while it runs.
    outcome TEXT CHECK (outcome IN ('sent', 'refused', 'unknown')),
    code TEXT,
    description TEXT,
    retry_after_ms BIGINT
) PARTITION BY RANGE (id);
CREATE INDEX message_attempts_message_idx ON message_attempts (message_id);

-- `response` is NULL while the first request with the key still runs; it may be taken over after `locked_until`.
CREATE TABLE idempotency_keys (
    user_id INT NOT NULL,
    key TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    resource_id UUID,
    response_status SMALLINT,
    response JSONB,
    locked_until TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_expires_idx ON idempotency_keys (expires_at);

-- One row in the transaction that changes a state. The order of the stream is (xid, id): a reader that stays below the
-- oldest running transaction can never skip an event that commits later.
CREATE TABLE events (
    id UUID NOT NULL PRIMARY KEY,
    xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
    user_id INT NOT NULL,
    type TEXT NOT NULL,
    resource_id UUID NOT NULL,
    data JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
) PARTITION BY RANGE (id);
CREATE INDEX events_stream_idx ON events (xid, id);
CREATE INDEX events_user_idx ON events (user_id, xid, id);

-- Processes that send; a row is valid while it is renewed.
CREATE TABLE workers (
    id UUID PRIMARY KEY,
    host TEXT NOT NULL,
    pid INT NOT NULL,
    version TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    valid_until TIMESTAMPTZ NOT NULL
);

-- Which worker speaks for a sender. The epoch grows with each move and guards the start of every attempt.
CREATE TABLE sender_leases (
    sender_id UUID PRIMARY KEY,
    worker_id UUID,
    epoch BIGINT NOT NULL,
    acquired_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX sender_leases_worker_idx ON sender_leases (worker_id);
