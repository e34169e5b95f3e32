"""What happened against what destinations were told: the judgement of runs with events, on plain values.

Promised: every event of the log is told at least once, those of one message in the order in which they happened (by
when each was told first), and nothing is told that did not happen.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

Told = tuple[str, str]
"""Event type and message id."""


@dataclass(slots=True)
class Verdict:
    lost: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    repeated: int = 0
    """Told once more: allowed, after an answer that did not come."""

    @property
    def is_kept(self) -> bool:
        return not (self.lost or self.disordered or self.invented)


def judge(log: Iterable[Told], told: Iterable[Told], *, ordered: bool = True) -> Verdict:
    """`log` and `told` in their order; `ordered`: that of `told` means something."""
    happened, times = list(log), Counter(told)
    known = set(happened)
    verdict = Verdict(
        lost=[f"{kind} of {message}" for kind, message in happened if (kind, message) not in times],
        invented=[f"{kind} of {message}" for kind, message in times if (kind, message) not in known],
        repeated=sum(times.values()) - len(times),
    )
    if ordered:
        wanted, found = _by_message(happened), _by_message(each for each in times if each in known)
        for message, kinds in found.items():
            if kinds != [kind for kind in wanted[message] if kind in kinds]:
                verdict.disordered.append(f"{message}: {', '.join(kinds)}")
    return verdict


def _by_message(events: Iterable[Told]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, message in events:
        found.setdefault(message, []).append(kind)
    return found
