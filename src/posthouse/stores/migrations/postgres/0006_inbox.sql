-- Mail that came in and is not done with: a row from its arrival until its last step, beside its row in messages.
-- stage: how far its handling came, in the words of who handles it.
CREATE TABLE inbox (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    due_ms BIGINT NOT NULL,
    lease_owner TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    stage TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, region, message_id)
);
-- Who is free ('') or leased to whom, in the order they are due.
CREATE INDEX inbox_waiting ON inbox (lease_owner, due_ms);

-- Apart from the leases of the queue: whoever finds one expired frees all that hangs on it, there or here.
CREATE TABLE inbox_leases (
    owner TEXT COLLATE "C" PRIMARY KEY,
    until_ms BIGINT NOT NULL
);
