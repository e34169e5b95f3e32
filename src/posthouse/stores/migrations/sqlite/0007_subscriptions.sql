-- Subscribers of the embedded stand-in's topics, what is on its way to each, and what never arrived.

-- Leased as a whole: who holds one is alone in delivering to it. resume_ms: not to be called before; also its place in
-- the line of those who wait for a turn.
CREATE TABLE subscriptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    topic_arn TEXT NOT NULL,
    arn TEXT NOT NULL UNIQUE,
    endpoint TEXT NOT NULL,
    sealed_login BLOB,
    raw INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    keeps_to_owner INTEGER NOT NULL,
    token TEXT NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    resume_ms INTEGER NOT NULL,
    last_failure TEXT NOT NULL,
    last_failure_ms INTEGER NOT NULL,
    lease_owner TEXT NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    UNIQUE (account, topic_arn, endpoint)
);
CREATE INDEX subscriptions_by_turn ON subscriptions (resume_ms);
CREATE INDEX subscriptions_held ON subscriptions (lease_owner) WHERE lease_owner <> '';

-- Each delivery has its own copy of the notification: topics have few subscribers, and the topic itself keeps only its
-- last notifications.
CREATE TABLE topic_deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription INTEGER NOT NULL,
    type TEXT NOT NULL,
    message_id TEXT NOT NULL,
    subject TEXT,
    message TEXT NOT NULL,
    published_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_ms INTEGER NOT NULL
);
CREATE INDEX topic_deliveries_due ON topic_deliveries (subscription, due_ms, id);
CREATE INDEX topic_deliveries_by_age ON topic_deliveries (subscription, id);

CREATE TABLE topic_dead_letters (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    topic_arn TEXT NOT NULL,
    subscription_arn TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    type TEXT NOT NULL,
    message_id TEXT NOT NULL,
    subject TEXT,
    message TEXT NOT NULL,
    published_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    died_ms INTEGER NOT NULL
);
CREATE INDEX topic_dead_letters_of_topic ON topic_dead_letters (topic_arn, seq);

-- What the stand-in signs with: one pair for the installation, so that every node's signatures are proven by the one
-- certificate that every node serves.
CREATE TABLE topic_signing (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sealed_pem BLOB NOT NULL,
    certificate TEXT NOT NULL,
    created_ms INTEGER NOT NULL
);

-- Series of the embedded stand-in for CloudWatch. dimensions: JSON, name and value in turn, sorted by name.
CREATE TABLE metric_series (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    dimensions TEXT NOT NULL,
    unit TEXT NOT NULL,
    samples INTEGER NOT NULL,
    total REAL NOT NULL,
    latest REAL NOT NULL,
    latest_ms INTEGER NOT NULL,
    UNIQUE (account, region, name, dimensions)
);
