-- Subscribers of the embedded stand-in's topics, what is on its way to each, and what never arrived.

-- Leased as a whole: who holds one is alone in delivering to it. resume_ms: not to be called before; also its place in
-- the line of those who wait for a turn.
CREATE TABLE subscriptions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    topic_arn TEXT COLLATE "C" NOT NULL,
    arn TEXT COLLATE "C" NOT NULL UNIQUE,
    endpoint TEXT COLLATE "C" NOT NULL,
    sealed_login BYTEA,
    raw BIGINT NOT NULL,
    confirmed BIGINT NOT NULL,
    keeps_to_owner BIGINT NOT NULL,
    token TEXT COLLATE "C" NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    resume_ms BIGINT NOT NULL,
    last_failure TEXT COLLATE "C" NOT NULL,
    last_failure_ms BIGINT NOT NULL,
    lease_owner TEXT COLLATE "C" NOT NULL,
    lease_until_ms BIGINT NOT NULL,
    UNIQUE (account, topic_arn, endpoint)
);
CREATE INDEX subscriptions_by_turn ON subscriptions (resume_ms);
CREATE INDEX subscriptions_held ON subscriptions (lease_owner) WHERE lease_owner <> '';

-- Each delivery has its own copy of the notification: topics have few subscribers, and the topic itself keeps only its
-- last notifications.
CREATE TABLE topic_deliveries (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription BIGINT NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C",
    message TEXT COLLATE "C" NOT NULL,
    published_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    due_ms BIGINT NOT NULL
);
CREATE INDEX topic_deliveries_due ON topic_deliveries (subscription, due_ms, id);
CREATE INDEX topic_deliveries_by_age ON topic_deliveries (subscription, id);

CREATE TABLE topic_dead_letters (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    topic_arn TEXT COLLATE "C" NOT NULL,
    subscription_arn TEXT COLLATE "C" NOT NULL,
    endpoint TEXT COLLATE "C" NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C",
    message TEXT COLLATE "C" NOT NULL,
    published_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    died_ms BIGINT NOT NULL
);
CREATE INDEX topic_dead_letters_of_topic ON topic_dead_letters (topic_arn, seq);

-- What the stand-in signs with: one pair for the installation, so that every node's signatures are proven by the one
-- certificate that every node serves.
CREATE TABLE topic_signing (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    sealed_pem BYTEA NOT NULL,
    certificate TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL
);

-- Series of the embedded stand-in for CloudWatch. dimensions: JSON, name and value in turn, sorted by name.
CREATE TABLE metric_series (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    dimensions TEXT COLLATE "C" NOT NULL,
    unit TEXT COLLATE "C" NOT NULL,
    samples BIGINT NOT NULL,
    total DOUBLE PRECISION NOT NULL,
    latest DOUBLE PRECISION NOT NULL,
    latest_ms BIGINT NOT NULL,
    UNIQUE (account, region, name, dimensions)
);
