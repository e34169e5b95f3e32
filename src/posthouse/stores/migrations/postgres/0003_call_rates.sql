-- A token bucket for each operation that a scope calls, where calls are limited.
CREATE TABLE call_rates (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    tokens DOUBLE PRECISION NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (account, region, operation)
);
