-- What bots are told. Bots that are connected by an older version have no row here until the newer one needs it.

CREATE TABLE telegram_bot_updates (
    bot_id UUID PRIMARY KEY REFERENCES telegram_bots(id) ON DELETE CASCADE,
    -- What the bot's owner wants; `default` follows the service's setting.
    mode TEXT NOT NULL DEFAULT 'default' CHECK (mode IN ('default', 'off', 'polling', 'webhook')),
    -- How it goes.
    state TEXT NOT NULL DEFAULT 'off'
        CHECK (state IN ('off', 'polling', 'webhook', 'elsewhere', 'conflict', 'failing')),
    reason TEXT,
    changed_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    -- What Telegram says of the last delivery to the webhook that failed.
    last_error TEXT,
    last_error_at TIMESTAMPTZ,
    -- Where the next poll begins, and when that was last known: after a week of silence Telegram numbers anew.
    next_update_id BIGINT,
    taken_at TIMESTAMPTZ,
    -- Hashes of the webhook's secret, and of the one that is being set.
    secret_hash BYTEA,
    next_secret_hash BYTEA
);

-- Updates that were taken. Telegram keeps what it could not deliver for 24 hours. No foreign key: one bot that goes must not fail
-- the others of a grouped commit.
CREATE TABLE telegram_bot_updates_taken (
    bot_id UUID NOT NULL,
    update_id BIGINT NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (bot_id, update_id)
);
CREATE INDEX telegram_bot_updates_taken_at_idx ON telegram_bot_updates_taken (taken_at);
