-- Who has left a mailing list, or a topic of it (empty: all of them).
CREATE TABLE unsubscriptions (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    list_name TEXT COLLATE "C" NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, region, list_name, topic, address)
);
