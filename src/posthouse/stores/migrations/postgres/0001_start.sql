-- The first schema. Never edited once released: a change is a new file.
-- Times are milliseconds since 1970-01-01 UTC. Hot tables are keyed by (account, region, ...) first, so that they can
-- be distributed by it. COLLATE "C": code point order, and lower() of ASCII only, as in SQLite.

-- Grows by one with each change of a record, signing key or credential.
CREATE TABLE facts_version (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL
);
INSERT INTO facts_version (one, version) VALUES (1, 0);

CREATE TABLE records (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, region, kind, name)
);
CREATE INDEX records_of_kind ON records (kind, account, region, name);

CREATE TABLE signing_keys (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    domain TEXT COLLATE "C" NOT NULL,
    token TEXT COLLATE "C" NOT NULL UNIQUE,
    algorithm TEXT COLLATE "C" NOT NULL,
    sealed_pem BYTEA NOT NULL,
    public_record TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX signing_keys_of_domain ON signing_keys (account, region, domain, id);

CREATE TABLE credentials (
    access_key TEXT COLLATE "C" PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    sealed_secret BYTEA NOT NULL,
    sealed_token BYTEA,
    expires_ms BIGINT,
    console BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);

-- facts: MessageFacts as JSON. sender and subject are folded copies, for searching. The content as it was accepted
-- stands in data, or where it is large under the key blob in the blob store; last, so that readers of the other
-- columns do not pay for it.
CREATE TABLE messages (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    accepted_ms BIGINT NOT NULL,
    direction TEXT COLLATE "C" NOT NULL,
    sender TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    facts TEXT COLLATE "C" NOT NULL,
    blob TEXT COLLATE "C",
    data BYTEA,
    PRIMARY KEY (account, region, message_id)
);
CREATE INDEX messages_by_time ON messages (accepted_ms, id);
-- The scope as an expression, so that nothing but the key offers itself to who looks for (account, region, message_id):
-- a planner without statistics takes either.
CREATE INDEX messages_of_scope_by_time ON messages ((account || ' ' || region), accepted_ms, id);
CREATE INDEX messages_by_sender ON messages (sender, accepted_ms, id);
CREATE INDEX messages_in_blobs ON messages (blob) WHERE blob IS NOT NULL;

-- The exact bytes that left, kept as content is kept in messages.
CREATE TABLE sent (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    blob TEXT COLLATE "C",
    data BYTEA,
    PRIMARY KEY (account, region, message_id)
);
CREATE INDEX sent_in_blobs ON sent (blob) WHERE blob IS NOT NULL;

-- A row per recipient. It stays after its final state: it is the recipient's status.
CREATE TABLE queue (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    recipient TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    domain TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    queued_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    lease_owner TEXT COLLATE "C" NOT NULL,
    updated_ms BIGINT NOT NULL,
    reply TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, region, message_id, recipient)
);
CREATE INDEX queue_by_id ON queue (id);
-- Who is free ('') or leased to whom, in the order they are due.
CREATE INDEX queue_waiting ON queue (lease_owner, due_ms, domain) WHERE state = 'queued';
-- The few that went wrong, for who looks for them.
CREATE INDEX queue_gone_wrong ON queue (state, queued_ms) WHERE state IN ('bounced', 'expired', 'rejected', 'dropped');
-- By shelves of 512 rows: an addition always falls into the newest shelf, a few pages that are at hand, and a search
-- looks into one shelf after the other. Sorted as a whole, each addition would touch a page of its own.
CREATE INDEX queue_by_recipient ON queue ((id / 512), lower(recipient));

CREATE TABLE leases (
    owner TEXT COLLATE "C" PRIMARY KEY,
    until_ms BIGINT NOT NULL
);

-- Numbers are given and committed under one advisory lock, so that they come to be seen in order: readers keep the
-- last one as a cursor.
CREATE TABLE event_log (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL,
    body TEXT COLLATE "C" NOT NULL
);
CREATE INDEX event_log_of_message ON event_log (message_id, account, region);

CREATE TABLE statistics (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    start_ms BIGINT NOT NULL,
    delivery_attempts BIGINT NOT NULL,
    bounces BIGINT NOT NULL,
    complaints BIGINT NOT NULL,
    rejects BIGINT NOT NULL,
    PRIMARY KEY (account, region, start_ms)
);

-- Recipients charged in each second after allowances.counted_from_s.
CREATE TABLE usage (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    second BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    PRIMARY KEY (account, region, second)
);

-- The rate bucket of a scope, and the sum of its rows in usage.
CREATE TABLE allowances (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    tokens DOUBLE PRECISION NOT NULL,
    bucket_ms BIGINT,
    sent BIGINT NOT NULL,
    counted_from_s BIGINT NOT NULL,
    PRIMARY KEY (account, region)
);
