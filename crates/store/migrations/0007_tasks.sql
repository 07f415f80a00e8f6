-- Background tasks: one row for each piece of work, in the transaction that makes it necessary.

CREATE TABLE tasks (
    id UUID PRIMARY KEY,
    -- The kind, such as `retention`.
    name TEXT NOT NULL,
    -- 0 high, 1 mid, 2 low.
    queue SMALLINT NOT NULL CHECK (queue BETWEEN 0 AND 2),
    -- The same work is queued once: a second row with the name and key of a first one is not made. NULL is never the same.
    key TEXT,
    -- Holds no secrets: operators see it.
    input JSONB NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ready', 'running', 'done', 'dead')),
    -- Attempts since it was queued or replayed, the one that runs included.
    attempts INT NOT NULL DEFAULT 0,
    max_attempts INT NOT NULL,
    -- Not to be run before.
    due_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    -- Of a periodic task: it is ready again so long after the end of a run.
    every_ms BIGINT,
    -- Who runs it, and which of its runs that is: only that run may write its end.
    worker_id UUID,
    run_id UUID,
    -- It was queued once more while it ran.
    again BOOLEAN NOT NULL DEFAULT FALSE,
    -- Bound to a process, which keeps it in memory; only dead ones have rows.
    local BOOLEAN NOT NULL DEFAULT FALSE,
    last_error TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    CONSTRAINT tasks_name_key_key UNIQUE (name, key)
);
CREATE INDEX tasks_ready_idx ON tasks (queue, due_at, id) WHERE status = 'ready';
CREATE INDEX tasks_running_idx ON tasks (worker_id) WHERE status = 'running';
CREATE INDEX tasks_finished_idx ON tasks (status, finished_at) WHERE status IN ('done', 'dead');

-- Retention finds logins that have ended.
CREATE INDEX logins_ended_idx ON logins (updated_at) WHERE status <> 'active';
