//! The shared SQL: pool, migrations, users, messages, events, logs.
