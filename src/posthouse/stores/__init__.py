"""What is kept: the ports of records, credentials, messages, queue and event log, in SQLite or PostgreSQL.

Purpose: promise 1 of the contract, what was answered with success survives. Follows docs/decisions 0002 (one SQL for
both databases) and 0003 (group commit).
Flow: open.open_stores -> one file per port (records, credentials, submissions, queue, messages, events) -> statements
on a `database.Session` -> sqlite or postgres executes them; migrations has the schema, sealing the secrets, blobs and
contents the bytes. May import: ports, and the pure ground. Only assembly and cli import this room.
Not here: any rule about what may be stored or what follows from it (domain/), who is woken (ports.wakeups).
To add a kind of record: one line in `records.SqlTransaction`. To change the schema: a new file in both migrations/.
"""
