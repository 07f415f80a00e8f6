//! Everything Telegram: its tables, bots, accounts, channels, text.
