-- The first schema. Never edited once released: a change is a new file.
-- Times are milliseconds since 1970-01-01 UTC. Hot tables are keyed by (account, region, ...) first.

-- Grows by one with each change of a record, signing key or credential.
CREATE TABLE facts_version (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
);
INSERT INTO facts_version (one, version) VALUES (1, 0);

CREATE TABLE records (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, region, kind, name)
) WITHOUT ROWID;
CREATE INDEX records_of_kind ON records (kind, account, region, name);

CREATE TABLE signing_keys (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    domain TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE,
    algorithm TEXT NOT NULL,
    sealed_pem BLOB NOT NULL,
    public_record TEXT NOT NULL,
    created_ms INTEGER NOT NULL
);
CREATE INDEX signing_keys_of_domain ON signing_keys (account, region, domain, id);

CREATE TABLE credentials (
    access_key TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    sealed_secret BLOB NOT NULL,
    sealed_token BLOB,
    expires_ms INTEGER,
    console INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- facts: MessageFacts as JSON. sender and subject are folded copies, for searching. The content as it was accepted
-- stands in data, or where it is large under the key blob in the blob store; last, so that readers of the other
-- columns do not pay for it.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    message_id TEXT NOT NULL,
    accepted_ms INTEGER NOT NULL,
    direction TEXT NOT NULL,
    sender TEXT NOT NULL,
    subject TEXT NOT NULL,
    facts TEXT NOT NULL,
    blob TEXT,
    data BLOB,
    UNIQUE (account, region, message_id)
);
-- With subject, so that a search in it reads the index only. The scope as an expression, so that nothing but the key
-- offers itself to who looks for (account, region, message_id): a planner without statistics takes either.
CREATE INDEX messages_by_time ON messages (accepted_ms, direction, subject);
CREATE INDEX messages_of_scope_by_time ON messages ((account || ' ' || region), accepted_ms, direction, subject);
CREATE INDEX messages_by_sender ON messages (sender, accepted_ms);
CREATE INDEX messages_in_blobs ON messages (blob) WHERE blob IS NOT NULL;

-- The exact bytes that left, kept as content is kept in messages.
CREATE TABLE sent (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    message_id TEXT NOT NULL,
    blob TEXT,
    data BLOB,
    PRIMARY KEY (account, region, message_id)
);
CREATE INDEX sent_in_blobs ON sent (blob) WHERE blob IS NOT NULL;

-- A row per recipient. It stays after its final state: it is the recipient's status.
CREATE TABLE queue (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    message_id TEXT NOT NULL,
    recipient TEXT NOT NULL,
    state TEXT NOT NULL,
    domain TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    queued_ms INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    lease_owner TEXT NOT NULL,
    updated_ms INTEGER NOT NULL,
    reply TEXT NOT NULL,
    UNIQUE (account, region, message_id, recipient)
);
-- Who is free ('') or leased to whom, in the order they are due.
CREATE INDEX queue_waiting ON queue (lease_owner, due_ms, domain) WHERE state = 'queued';
-- The few that went wrong, for who looks for them.
CREATE INDEX queue_gone_wrong ON queue (state, queued_ms) WHERE state IN ('bounced', 'expired', 'rejected', 'dropped');
-- By shelves of 512 rows: an addition always falls into the newest shelf, a few pages that are at hand, and a search
-- looks into one shelf after the other. Sorted as a whole, each addition would touch a page of its own.
CREATE INDEX queue_by_recipient ON queue ((id / 512), lower(recipient));

CREATE TABLE leases (
    owner TEXT PRIMARY KEY,
    until_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- AUTOINCREMENT: a number is never given twice, even after the newest rows are gone; readers keep it as a cursor.
CREATE TABLE event_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    message_id TEXT NOT NULL,
    type TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX event_log_of_message ON event_log (message_id, account, region);

CREATE TABLE statistics (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    delivery_attempts INTEGER NOT NULL,
    bounces INTEGER NOT NULL,
    complaints INTEGER NOT NULL,
    rejects INTEGER NOT NULL,
    PRIMARY KEY (account, region, start_ms)
) WITHOUT ROWID;

-- Recipients charged in each second after allowances.counted_from_s.
CREATE TABLE usage (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    second INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    PRIMARY KEY (account, region, second)
) WITHOUT ROWID;

-- The rate bucket of a scope, and the sum of its rows in usage.
CREATE TABLE allowances (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    tokens REAL NOT NULL,
    bucket_ms INTEGER,
    sent INTEGER NOT NULL,
    counted_from_s INTEGER NOT NULL,
    PRIMARY KEY (account, region)
) WITHOUT ROWID;
