-- Waits that Telegram imposed on accounts end by themselves: those that are over are looked for each second.
CREATE INDEX telegram_sessions_waits_idx ON telegram_sessions (status_until) WHERE status_until IS NOT NULL;

-- Telegram called the account's messages to strangers spam (PEER_FLOOD): until then none is tried.
ALTER TABLE telegram_sessions ADD COLUMN strangers_blocked_until TIMESTAMPTZ;
