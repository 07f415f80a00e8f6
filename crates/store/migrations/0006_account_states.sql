-- Waits that Telegram imposed on accounts end by themselves: those that are over are looked for each second.
CREATE INDEX telegram_sessions_waits_idx ON telegram_sessions (status_until) WHERE status_until IS NOT NULL;

-- Telegram called the account's messages to strangers spam (PEER_FLOOD): until then none is tried.
ALTER TABLE telegram_sessions ADD COLUMN strangers_blocked_until TIMESTAMPTZ;

-- Sessions that their accounts need no more. Each is kept, sealed, until Telegram has ended it.
CREATE TABLE telegram_former_sessions (
    id UUID PRIMARY KEY,
    session_data JSONB NOT NULL,
    client JSONB NOT NULL,
    tries INT NOT NULL DEFAULT 0,
    -- While somebody tries, so far ahead that nobody else does.
    next_try_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX telegram_former_sessions_next_idx ON telegram_former_sessions (next_try_at);

-- Questions on their way to the worker that owns a sender, and the answers on their way back; both are sealed envelopes. Of no use
-- after a crash, so they need no log.
CREATE UNLOGGED TABLE questions (
    id UUID PRIMARY KEY,
    sender_id UUID NOT NULL,
    worker_id UUID NOT NULL,
    question TEXT NOT NULL,
    answer TEXT,
    taken_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ NOT NULL
);
