-- Who has left a mailing list, or a topic of it (empty: all of them).
CREATE TABLE unsubscriptions (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    list_name TEXT NOT NULL,
    topic TEXT NOT NULL,
    address TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    PRIMARY KEY (account, region, list_name, topic, address)
) WITHOUT ROWID;
