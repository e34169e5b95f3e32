-- What is still to be told to event destinations. See docs/decisions/0009-publishing.md.

-- How far a reader of the event log has come. Publishing begins with what happens from now on.
CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO cursors (name, seq) SELECT 'publishing', coalesce(max(seq), 0) FROM event_log;

-- A row for each event that a destination has not heard of.
CREATE TABLE publications (
    destination TEXT NOT NULL,
    event_seq INTEGER NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    message_id TEXT NOT NULL,
    routed_ms INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (destination, event_seq)
) WITHOUT ROWID;
-- The few that failed, for whose sake later ones of the same message wait.
CREATE INDEX publications_that_failed ON publications (message_id, event_seq) WHERE attempts > 0;

-- due_ms: when there is next something to send, NULL where nothing waits.
-- replay_after, replay_until: the events that are to be routed to this destination once more.
CREATE TABLE publication_destinations (
    destination TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    due_ms INTEGER,
    waiting_until_ms INTEGER NOT NULL,
    lease_owner TEXT NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    last_error TEXT NOT NULL,
    last_failure_ms INTEGER,
    last_success_ms INTEGER,
    replay_after INTEGER,
    replay_until INTEGER
) WITHOUT ROWID;
CREATE INDEX publication_destinations_due ON publication_destinations (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX publication_destinations_leased ON publication_destinations (lease_owner) WHERE lease_owner <> '';
CREATE INDEX publication_destinations_replayed ON publication_destinations (replay_after)
    WHERE replay_after IS NOT NULL;

-- What was given up, as long as it is kept.
CREATE TABLE dead_publications (
    destination TEXT NOT NULL,
    event_seq INTEGER NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    message_id TEXT NOT NULL,
    routed_ms INTEGER NOT NULL,
    died_ms INTEGER NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (destination, event_seq)
) WITHOUT ROWID;
