-- What is still to be told to event destinations. See docs/decisions/0009-publishing.md.

-- How far a reader of the event log has come. Publishing begins with what happens from now on.
CREATE TABLE cursors (
    name TEXT COLLATE "C" PRIMARY KEY,
    seq BIGINT NOT NULL
);
INSERT INTO cursors (name, seq) SELECT 'publishing', coalesce(max(seq), 0) FROM event_log;

-- A row for each event that a destination has not heard of.
CREATE TABLE publications (
    destination TEXT COLLATE "C" NOT NULL,
    event_seq BIGINT NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    routed_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    PRIMARY KEY (destination, event_seq)
);
-- The few that failed, for whose sake later ones of the same message wait.
CREATE INDEX publications_that_failed ON publications (message_id, event_seq) WHERE attempts > 0;

-- due_ms: when there is next something to send, NULL where nothing waits.
-- replay_after, replay_until: the events that are to be routed to this destination once more.
CREATE TABLE publication_destinations (
    destination TEXT COLLATE "C" PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    due_ms BIGINT,
    waiting_until_ms BIGINT NOT NULL,
    lease_owner TEXT COLLATE "C" NOT NULL,
    lease_until_ms BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    last_error TEXT COLLATE "C" NOT NULL,
    last_failure_ms BIGINT,
    last_success_ms BIGINT,
    replay_after BIGINT,
    replay_until BIGINT
);
CREATE INDEX publication_destinations_due ON publication_destinations (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX publication_destinations_leased ON publication_destinations (lease_owner) WHERE lease_owner <> '';
CREATE INDEX publication_destinations_replayed ON publication_destinations (replay_after)
    WHERE replay_after IS NOT NULL;

-- What was given up, as long as it is kept.
CREATE TABLE dead_publications (
    destination TEXT COLLATE "C" NOT NULL,
    event_seq BIGINT NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    routed_ms BIGINT NOT NULL,
    died_ms BIGINT NOT NULL,
    error TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (destination, event_seq)
);
