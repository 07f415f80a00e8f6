-- A page of one user's bots or accounts is read in its order, without sorting all of them.
CREATE INDEX telegram_bots_page_idx ON telegram_bots (user_id, id);
CREATE INDEX telegram_sessions_page_idx ON telegram_sessions (user_id, id);
