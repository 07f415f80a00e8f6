-- What seals credentials, who has agreed to it, and how far the rest is sealed anew with it.

CREATE TABLE sealing (
    one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    target TEXT NOT NULL CHECK (target IN ('local', 'vault')),
    -- Of the keyring file; Vault itself says which version wraps.
    version INT,
    changed_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- The processes that seal. One that has not been seen for a while is gone.
CREATE TABLE sealing_processes (
    id UUID PRIMARY KEY,
    host TEXT NOT NULL,
    pid INT NOT NULL,
    -- The newest version in its keyring file, and a mark of that key: two files may have different keys under one number.
    local_version INT NOT NULL,
    local_mark TEXT NOT NULL,
    -- The key at Vault that it can use; NULL where it cannot use any.
    vault_key TEXT,
    -- The `changed_at` that it goes by.
    follows TIMESTAMPTZ,
    seen_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- One row for each sealed column, as it was last gone through.
CREATE TABLE resealing (
    column_name TEXT PRIMARY KEY,
    -- The key that is current, as envelopes call it.
    key TEXT NOT NULL,
    -- Rows up to this one were looked at in this round.
    after UUID NOT NULL,
    done BIGINT NOT NULL DEFAULT 0,
    -- Rows that could not be opened; they stay as they are.
    failed BIGINT NOT NULL DEFAULT 0,
    -- What was done in this round: a round that finds nothing to do is the last.
    round_done BIGINT NOT NULL DEFAULT 0,
    started_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    finished_at TIMESTAMPTZ
);

-- An envelope names a bot's token until it is sealed anew: then these keep the name that the token had. They count as long as the envelope
-- is the one that was written with them, so that also a release that does not know them can replace the token.
ALTER TABLE telegram_bots
    ADD COLUMN token_version TEXT,
    ADD COLUMN token_envelope TEXT;
