-- The remaining tables of the design.

CREATE TABLE files (
    id UUID PRIMARY KEY,
    user_id INT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    sha256 BYTEA NOT NULL,
    size_bytes BIGINT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    used_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (user_id, sha256)
);

CREATE TABLE broadcasts (
    id UUID PRIMARY KEY,
    user_id INT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    status TEXT NOT NULL CHECK (status IN ('running', 'paused', 'done', 'cancelled')),
    content JSONB NOT NULL,
    total INT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    finished_at TIMESTAMPTZ
);
CREATE INDEX broadcasts_user_idx ON broadcasts (user_id, id);

CREATE TABLE notifications (
    id UUID PRIMARY KEY,
    user_id INT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    data JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    read_at TIMESTAMPTZ
);
CREATE INDEX notifications_user_idx ON notifications (user_id, id);

CREATE TABLE api_keys (
    id UUID PRIMARY KEY,
    user_id INT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    scopes TEXT[] NOT NULL,
    networks TEXT[] NOT NULL DEFAULT '{}',
    expires_at TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX api_keys_user_idx ON api_keys (user_id, id);

-- No foreign key to users: the trail outlives the user. The chain columns are filled after the commit, by one leader.
CREATE TABLE audit_log (
    id UUID NOT NULL PRIMARY KEY,
    user_id INT NOT NULL,
    action TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id TEXT,
    before JSONB,
    after JSONB,
    address TEXT,
    request_id TEXT,
    result TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    chain_position BIGINT,
    chain_mac BYTEA
) PARTITION BY RANGE (id);
CREATE INDEX audit_log_user_idx ON audit_log (user_id, id);

CREATE TABLE webhook_endpoints (
    id UUID PRIMARY KEY,
    user_id INT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    secret JSONB NOT NULL,
    event_types TEXT[] NOT NULL DEFAULT '{}',
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX webhook_endpoints_user_idx ON webhook_endpoints (user_id, id);

CREATE TABLE webhook_deliveries (
    id UUID NOT NULL PRIMARY KEY,
    endpoint_id UUID NOT NULL,
    event_id UUID NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts INT NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ,
    response_status INT,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
) PARTITION BY RANGE (id);
CREATE INDEX webhook_deliveries_endpoint_idx ON webhook_deliveries (endpoint_id, id);

-- The smallest UUIDv7 of a moment.
CREATE FUNCTION uuid7_floor(moment TIMESTAMPTZ) RETURNS UUID AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
$$ LANGUAGE sql IMMUTABLE STRICT;

-- Makes the partitions of a table from now to `ahead` units later, where they are missing. The default partition takes
-- what a wrong clock stamps outside of them, so that no insert fails.
CREATE FUNCTION ensure_partitions(parent TEXT, unit TEXT, ahead INT) RETURNS VOID AS $$
DECLARE
    lower_bound TIMESTAMPTZ;
    name TEXT;
BEGIN
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I DEFAULT', parent || '_default', parent);
    FOR i IN 0..ahead LOOP
        lower_bound := date_trunc(unit, CURRENT_TIMESTAMP, 'UTC') + (i::text || ' ' || unit)::interval;
        name := parent || to_char(lower_bound AT TIME ZONE 'UTC', CASE unit WHEN 'day' THEN '_YYYYMMDD' ELSE '_YYYYMM' END);
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', name, parent,
                uuid7_floor(lower_bound), uuid7_floor(lower_bound + ('1 ' || unit)::interval));
        END IF;
    END LOOP;
END;
$$ LANGUAGE plpgsql;

CREATE FUNCTION ensure_all_partitions() RETURNS VOID AS $$
BEGIN
    -- One at a time over all processes.
    PERFORM pg_advisory_xact_lock(hashtext('integrations.partitions'));
    PERFORM ensure_partitions(parent, 'month', 2)
        FROM unnest(ARRAY['messages', 'message_parts', 'message_attempts', 'audit_log', 'webhook_deliveries']) AS parent;
    PERFORM ensure_partitions('events', 'day', 3);
END;
$$ LANGUAGE plpgsql;

SELECT ensure_all_partitions();

-- A UUIDv7 made by the database, for rows that a statement derives from others.
CREATE FUNCTION uuid7_now() RETURNS UUID AS $$
    SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
            || '7' || substr(r, 2, 3) || '8' || substr(r, 5, 15))::uuid
    FROM (SELECT replace(gen_random_uuid()::text, '-', '') AS r) AS random;
$$ LANGUAGE sql VOLATILE;
