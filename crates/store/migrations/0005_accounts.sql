-- Accounts over MTProto, and the logins that lead to them.

ALTER TABLE telegram_sessions
    -- What the account presents itself as, and its proxy (the proxy's password inside is sealed): stable for its life.
    ADD COLUMN client JSONB NOT NULL DEFAULT '{}',
    -- Grows with each login: what was sent under an earlier one cannot be repeated safely.
    ADD COLUMN login_epoch INT NOT NULL DEFAULT 1,
    -- Hash of the session's key: the same session is not connected twice.
    ADD COLUMN fingerprint BYTEA,
    -- Set while the session is logged out at Telegram; the row is erased afterwards.
    ADD COLUMN delete_requested_at TIMESTAMPTZ,
    ADD COLUMN connected_at TIMESTAMPTZ;
CREATE UNIQUE INDEX telegram_sessions_fingerprint_key ON telegram_sessions (fingerprint);

ALTER TABLE logins
    -- Grows with every change that a reader can see.
    ADD COLUMN revision INT NOT NULL DEFAULT 0,
    -- The address in the QR code, sealed.
    ADD COLUMN qr TEXT,
    ADD COLUMN last_input UUID,
    ADD COLUMN last_problem JSONB,
    ADD COLUMN client JSONB NOT NULL DEFAULT '{}',
    ADD COLUMN fingerprint BYTEA,
    -- Milliseconds that the service and Telegram took; what a person took is not counted.
    ADD COLUMN busy_ms BIGINT NOT NULL DEFAULT 0,
    ADD CONSTRAINT logins_status_check CHECK (status IN ('active', 'done', 'failed', 'cancelled'));
CREATE INDEX logins_active_idx ON logins (expires_at) WHERE status = 'active';
-- One login at a time for a phone of a user, and for a session that is imported.
CREATE UNIQUE INDEX logins_phone_key ON logins (user_id, phone) WHERE status = 'active' AND phone IS NOT NULL;
CREATE UNIQUE INDEX logins_fingerprint_key ON logins (fingerprint) WHERE status = 'active' AND fingerprint IS NOT NULL;

-- `deduplicates`: the platform knows a repeated message by its random id, so that an attempt without an answer may be repeated.
DROP VIEW senders;
CREATE VIEW senders AS
    SELECT id, user_id, 'bot'::text AS kind, COALESCE(is_active, FALSE) AS is_active, status, FALSE AS deduplicates
    FROM telegram_bots
    UNION ALL
    SELECT id, user_id, 'account'::text AS kind, COALESCE(is_active, FALSE) AS is_active, status, TRUE AS deduplicates
    FROM telegram_sessions WHERE delete_requested_at IS NULL;
