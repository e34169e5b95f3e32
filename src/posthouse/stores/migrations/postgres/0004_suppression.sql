-- Whom an account's mail is no longer sent to.
CREATE TABLE suppression (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, region, address)
);
CREATE INDEX suppression_by_time ON suppression (at_ms);

-- The columns of statistics, of the messages of one configuration set.
CREATE TABLE set_statistics (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    configuration_set TEXT COLLATE "C" NOT NULL,
    start_ms BIGINT NOT NULL,
    delivery_attempts BIGINT NOT NULL,
    bounces BIGINT NOT NULL,
    complaints BIGINT NOT NULL,
    rejects BIGINT NOT NULL,
    PRIMARY KEY (account, region, configuration_set, start_ms)
);
