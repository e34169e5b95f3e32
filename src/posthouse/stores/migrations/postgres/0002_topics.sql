-- Topics of the embedded stand-in for SNS, and the last notifications of each.

CREATE TABLE topics (
    account TEXT COLLATE "C" NOT NULL,
    arn TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (account, arn)
);
CREATE INDEX topics_by_arn ON topics (arn);

CREATE TABLE topic_notifications (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    arn TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C",
    message TEXT COLLATE "C" NOT NULL,
    published_ms BIGINT NOT NULL
);
CREATE INDEX topic_notifications_of_topic ON topic_notifications (arn, seq);
