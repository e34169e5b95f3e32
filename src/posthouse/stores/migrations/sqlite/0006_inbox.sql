-- Mail that came in and is not done with: a row from its arrival until its last step, beside its row in messages.
-- stage: how far its handling came, in the words of who handles it.
CREATE TABLE inbox (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    message_id TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    lease_owner TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    stage TEXT NOT NULL,
    PRIMARY KEY (account, region, message_id)
) WITHOUT ROWID;
-- Who is free ('') or leased to whom, in the order they are due.
CREATE INDEX inbox_waiting ON inbox (lease_owner, due_ms);

-- Apart from the leases of the queue: whoever finds one expired frees all that hangs on it, there or here.
CREATE TABLE inbox_leases (
    owner TEXT PRIMARY KEY,
    until_ms INTEGER NOT NULL
) WITHOUT ROWID;
