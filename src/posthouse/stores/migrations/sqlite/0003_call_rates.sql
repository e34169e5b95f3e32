-- A token bucket for each operation that a scope calls, where calls are limited.
CREATE TABLE call_rates (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    operation TEXT NOT NULL,
    tokens REAL NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, region, operation)
) WITHOUT ROWID;
