-- Whether what a user sees of bots, accounts and channels has changed since it was read last.
--
-- Each change adds a row in its own transaction, so that it shows together with what it stands for, whoever makes it. Rows are only
-- added: a counter to be increased would make transactions of one user wait for each other, also crosswise. The marks of a user taken
-- together name the state: they are random, so that no two sets of them are alike.
CREATE TABLE user_changes (
    user_id INT NOT NULL,
    mark BIGINT NOT NULL
);
CREATE INDEX user_changes_idx ON user_changes (user_id) INCLUDE (mark);

CREATE FUNCTION note_change(changed_user INT) RETURNS VOID AS $$
    INSERT INTO user_changes (user_id, mark)
    VALUES (changed_user, ('x' || encode(gen_random_bytes(8), 'hex'))::bit(64)::bigint)
$$ LANGUAGE sql;

-- For tables whose rows belong to a user; a row may also change hands.
CREATE FUNCTION note_row_change() RETURNS TRIGGER AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM note_change(OLD.user_id);
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.user_id <> OLD.user_id) THEN
        PERFORM note_change(NEW.user_id);
    END IF;
    RETURN NULL;
END
$$ LANGUAGE plpgsql;

CREATE FUNCTION note_bot_updates_change() RETURNS TRIGGER AS $$
BEGIN
    PERFORM note_change(b.user_id) FROM telegram_bots b WHERE b.id = NEW.bot_id;
    RETURN NULL;
END
$$ LANGUAGE plpgsql;

CREATE FUNCTION note_channel_change() RETURNS TRIGGER AS $$
BEGIN
    PERFORM note_change(c.user_id) FROM telegram_channels c WHERE c.id = COALESCE(NEW.channel_id, OLD.channel_id);
    RETURN NULL;
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER telegram_bots_note_change
    AFTER INSERT OR UPDATE OR DELETE ON telegram_bots FOR EACH ROW EXECUTE FUNCTION note_row_change();
CREATE TRIGGER telegram_channels_note_change
    AFTER INSERT OR UPDATE OR DELETE ON telegram_channels FOR EACH ROW EXECUTE FUNCTION note_row_change();
CREATE TRIGGER telegram_sessions_note_change
    AFTER INSERT OR DELETE ON telegram_sessions FOR EACH ROW EXECUTE FUNCTION note_row_change();
-- Sessions are stored anew all the time, which nobody sees.
CREATE TRIGGER telegram_sessions_note_update
    AFTER UPDATE ON telegram_sessions FOR EACH ROW
    WHEN ((OLD.user_id, OLD.phone, OLD.metadata, OLD.is_active, OLD.telegram_user_id, OLD.name, OLD.username, OLD.status,
           OLD.status_reason, OLD.status_until, OLD.status_changed_at, OLD.settings, OLD.strangers_blocked_until,
           OLD.delete_requested_at)
          IS DISTINCT FROM
          (NEW.user_id, NEW.phone, NEW.metadata, NEW.is_active, NEW.telegram_user_id, NEW.name, NEW.username, NEW.status,
           NEW.status_reason, NEW.status_until, NEW.status_changed_at, NEW.settings, NEW.strangers_blocked_until,
           NEW.delete_requested_at))
    EXECUTE FUNCTION note_row_change();
CREATE TRIGGER telegram_bot_updates_note_insert
    AFTER INSERT ON telegram_bot_updates FOR EACH ROW EXECUTE FUNCTION note_bot_updates_change();
-- The place of the next poll changes with each update.
CREATE TRIGGER telegram_bot_updates_note_update
    AFTER UPDATE ON telegram_bot_updates FOR EACH ROW
    WHEN ((OLD.mode, OLD.state, OLD.reason, OLD.changed_at, OLD.last_error, OLD.last_error_at)
          IS DISTINCT FROM (NEW.mode, NEW.state, NEW.reason, NEW.changed_at, NEW.last_error, NEW.last_error_at))
    EXECUTE FUNCTION note_bot_updates_change();
CREATE TRIGGER telegram_channel_checks_note_change
    AFTER UPDATE ON telegram_channel_checks FOR EACH ROW WHEN (OLD.checked_at IS DISTINCT FROM NEW.checked_at)
    EXECUTE FUNCTION note_channel_change();
-- A list of channels can be asked for by sender.
CREATE TRIGGER channel_senders_note_change
    AFTER INSERT OR DELETE ON channel_senders FOR EACH ROW EXECUTE FUNCTION note_channel_change();
