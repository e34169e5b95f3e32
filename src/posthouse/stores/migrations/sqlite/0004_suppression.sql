-- Whom an account's mail is no longer sent to.
CREATE TABLE suppression (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    PRIMARY KEY (account, region, address)
) WITHOUT ROWID;
CREATE INDEX suppression_by_time ON suppression (at_ms);

-- The columns of statistics, of the messages of one configuration set.
CREATE TABLE set_statistics (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    configuration_set TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    delivery_attempts INTEGER NOT NULL,
    bounces INTEGER NOT NULL,
    complaints INTEGER NOT NULL,
    rejects INTEGER NOT NULL,
    PRIMARY KEY (account, region, configuration_set, start_ms)
) WITHOUT ROWID;
