"""What a scope has sent and may still send, read and charged in the transaction that stores the messages.

`usage` counts recipients by the second; `allowances` keeps their sum beside the rate bucket, so that a group of
messages costs one row read and one row written, however many seconds the last 24 hours have. Seconds that have left
the window are taken out of both together. Exact over processes and restarts, because nothing is kept elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from posthouse.domain.quotas import WINDOW_MS, RateBucket, Refusal, SendingLimits, admit
from posthouse.domain.scope import Scope
from posthouse.stores.database import Row, Session

WINDOW_S = WINDOW_MS // 1000


class Charge(NamedTuple):
    """Recipients that one message wants to be let through."""

    scope: Scope
    recipients: int
    limits: SendingLimits
    simulated: int = 0
    """So many of them cost rate alone."""


@dataclass(slots=True)
class Allowance:
    """The state of one scope while a group is admitted."""

    bucket: RateBucket | None
    sent: int
    counted_from_s: int
    charged: int = 0
    touched: bool = False


async def charge(session: Session, charges: Sequence[Charge | None], now_ms: int) -> Sequence[Refusal | None]:
    """Admits the charges in their order and keeps what they used; why each was refused. None is not charged."""
    # In one order everywhere, so that two nodes never wait for each other's rows.
    scopes = sorted({charge.scope for charge in charges if charge is not None})
    allowances = {scope: await _open(session, scope, now_ms // 1000) for scope in scopes}
    answers = [None if charge is None else _admit(allowances[charge.scope], charge, now_ms) for charge in charges]
    used = [(scope, allowance) for scope, allowance in allowances.items() if allowance.touched]
    await session.many(
        "INSERT INTO usage (account, region, second, recipients) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (account, region, second) DO UPDATE SET recipients = usage.recipients + excluded.recipients",
        [(*scope, max(now_ms // 1000, each.counted_from_s + 1), each.charged) for scope, each in used if each.charged],
    )
    await session.many(
        "UPDATE allowances SET tokens = ?, bucket_ms = ?, sent = ? WHERE account = ? AND region = ?",
        [(each.bucket.tokens, each.bucket.at_ms, each.sent, *scope) for scope, each in used if each.bucket],
    )
    return answers


def _admit(allowance: Allowance, charge: Charge, now_ms: int) -> Refusal | None:
    # What costs no daily quota is not held back by a used-up one.
    sent = allowance.sent if charge.recipients > charge.simulated else 0
    answer = admit(sent, allowance.bucket, charge.limits, charge.recipients, now_ms)
    if isinstance(answer, Refusal):
        return answer
    allowance.bucket = answer
    allowance.sent += charge.recipients - charge.simulated
    allowance.charged += charge.recipients - charge.simulated
    allowance.touched = True
    return None


async def _open(session: Session, scope: Scope, now_s: int) -> Allowance:
    """The allowance of a scope, locked, with the window moved to now."""
    select = (
        "SELECT tokens, bucket_ms, sent, counted_from_s FROM allowances WHERE account = ? AND region = ?"
        + session.dialect.for_update
    )
    rows = await session.rows(select, scope)
    if not rows:
        await session.run(
            "INSERT INTO allowances (account, region, tokens, bucket_ms, sent, counted_from_s)"
            " VALUES (?, ?, 0, NULL, 0, ?) ON CONFLICT (account, region) DO NOTHING",
            (*scope, now_s - WINDOW_S),
        )
        rows = await session.rows(select, scope)
    tokens, bucket_ms, sent, counted_from_s = rows[0]
    allowance = Allowance(None if bucket_ms is None else RateBucket(tokens, bucket_ms), sent, counted_from_s)
    if now_s - WINDOW_S > counted_from_s:
        await _move_window(session, scope, allowance, now_s - WINDOW_S)
    return allowance


async def _move_window(session: Session, scope: Scope, allowance: Allowance, counted_from_s: int) -> None:
    left = await session.rows(
        "DELETE FROM usage WHERE account = ? AND region = ? AND second <= ? RETURNING recipients",
        (*scope, counted_from_s),
    )
    allowance.sent -= sum(recipients for (recipients,) in left)
    allowance.counted_from_s = counted_from_s
    await session.run(
        "UPDATE allowances SET sent = ?, counted_from_s = ? WHERE account = ? AND region = ?",
        (allowance.sent, counted_from_s, *scope),
    )


async def sent_since(session: Session, scope: Scope, second: int) -> int:
    """Recipients charged after this second."""
    rows: Sequence[Row] = await session.rows("SELECT sent FROM allowances WHERE account = ? AND region = ?", scope)
    left = await session.rows(
        "SELECT coalesce(sum(recipients), 0) FROM usage WHERE account = ? AND region = ? AND second <= ?",
        (*scope, second),
    )
    return int(rows[0][0]) - int(left[0][0]) if rows else 0
