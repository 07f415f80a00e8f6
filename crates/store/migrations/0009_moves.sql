-- Moving senders between workers, and what outlives a move or a crash.

-- Since when the worker reaches its accounts' platform no more; its accounts go to the others.
ALTER TABLE workers ADD COLUMN cut_off_since TIMESTAMPTZ;

ALTER TABLE sender_leases
    -- The platform told the sender as a whole to wait: no owner sends before.
    ADD COLUMN held_until TIMESTAMPTZ,
    -- The platform told it not to connect before: no owner tries, however often it crashes.
    ADD COLUMN connect_after TIMESTAMPTZ;

-- Up to where the updates of an account are stored as events, for each of its streams: its own (channel 0) and those of channels.
-- Beside the sealed session, which would have to be sealed anew with each update; it is no secret.
CREATE TABLE account_positions (
    sender_id UUID NOT NULL REFERENCES telegram_sessions(id) ON DELETE CASCADE,
    channel_id BIGINT NOT NULL,
    login_epoch INT NOT NULL,
    pts INT NOT NULL,
    qts INT NOT NULL,
    date INT NOT NULL,
    seq INT NOT NULL,
    PRIMARY KEY (sender_id, channel_id)
) WITH (fillfactor = 50);
