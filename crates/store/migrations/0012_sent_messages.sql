-- What is done with messages after they were sent.

ALTER TABLE messages
    -- When its text, caption or buttons were last changed at the platform.
    ADD COLUMN edited_at TIMESTAMPTZ,
    -- When it was taken back at the platform; its state stays `sent`.
    ADD COLUMN deleted_at TIMESTAMPTZ,
    ADD COLUMN pinned BOOLEAN NOT NULL DEFAULT FALSE,
    -- Until then somebody is changing it at the platform: of two changes at once, the row could else keep the one that the platform does not.
    ADD COLUMN changing_until TIMESTAMPTZ;

-- The name of a chat, for links to its messages.
CREATE INDEX telegram_peers_chat_idx ON telegram_peers (sender_id, chat_id);
