-- Topics of the embedded stand-in for SNS, and the last notifications of each.

CREATE TABLE topics (
    account TEXT NOT NULL,
    arn TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (account, arn)
) WITHOUT ROWID;
CREATE INDEX topics_by_arn ON topics (arn);

CREATE TABLE topic_notifications (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    arn TEXT NOT NULL,
    message_id TEXT NOT NULL,
    subject TEXT,
    message TEXT NOT NULL,
    published_ms INTEGER NOT NULL
);
CREATE INDEX topic_notifications_of_topic ON topic_notifications (arn, seq);
