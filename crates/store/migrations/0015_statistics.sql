-- Statistics: what became of messages, by day. They outlive the messages that they count.

-- Adds lists of numbers, the shorter one filled up with zeros.
CREATE FUNCTION add_counts(a BIGINT[], b BIGINT[]) RETURNS BIGINT[] AS $$
    SELECT COALESCE(array_agg(COALESCE(x, 0) + COALESCE(y, 0) ORDER BY place), '{}')
    FROM unnest(a, b) WITH ORDINALITY AS t(x, y, place);
$$ LANGUAGE sql IMMUTABLE;

CREATE TABLE message_stats (
    user_id INT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    -- By UTC.
    day DATE NOT NULL,
    sender_id UUID NOT NULL,
    platform TEXT NOT NULL,
    -- The route that was called: bot, account or channel.
    route TEXT NOT NULL,
    -- How often a message ended so.
    sent BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unknown BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    -- Of those that were sent, in all, in milliseconds: our own time, and the waits that the platform imposed.
    own_ms BIGINT NOT NULL,
    imposed_ms BIGINT NOT NULL,
    -- How many of them took how long. The code knows the bounds, which never change; zeros at the end are left out.
    own_counts BIGINT[] NOT NULL,
    imposed_counts BIGINT[] NOT NULL,
    PRIMARY KEY (user_id, day, sender_id, platform, route)
) WITH (fillfactor = 70);
CREATE INDEX message_stats_day_idx ON message_stats (day);

-- Up to where the stream of events is counted: one row. It begins with the oldest event that there is.
CREATE TABLE message_stats_cursor (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    xid XID8 NOT NULL DEFAULT '0',
    id UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    -- Everything that happened before is counted.
    counted_until TIMESTAMPTZ
);
INSERT INTO message_stats_cursor DEFAULT VALUES;
