"""Golden conversations (smtp_server_conversations/*.txt), the same however TCP cuts them.

``C:`` is a line of the client, ``c:`` raw bytes with escapes, ``S:`` a line of the server, ``EVENT:`` what the session
was asked to take, ``=== TLS`` the place of the handshake.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.wire.smtp_server_player import Player

FOLDER = Path(__file__).parent / "smtp_server_conversations"


@dataclass
class Golden:
    segments: list[bytes] = field(default_factory=lambda: [b""])
    said: bytes = b""
    events: list[str] = field(default_factory=list)


def read(path: Path) -> Golden:
    golden = Golden()
    for line in path.read_text(encoding="utf-8").split("\n"):
        kind, _, text = line.partition(": ")
        if kind == "C" or line == "C:":
            golden.segments[-1] += text.encode() + b"\r\n"
        elif kind == "c":
            golden.segments[-1] += text.encode().decode("unicode_escape").encode("latin-1")
        elif kind == "S":
            golden.said += text.encode() + b"\r\n"
        elif kind == "EVENT":
            golden.events.append(text)
        elif line == "=== TLS":
            golden.segments.append(b"")
    return golden


CONVERSATIONS = {path.stem: read(path) for path in sorted(FOLDER.glob("*.txt"))}


def check(golden: Golden, player: Player) -> None:
    assert player.said.decode() == golden.said.decode()
    assert player.log == golden.events


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation_in_whole_segments(name: str) -> None:
    golden, player = CONVERSATIONS[name], Player()
    for segment in golden.segments:
        player.hear(segment)
    check(golden, player)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation_byte_by_byte(name: str) -> None:
    golden, player = CONVERSATIONS[name], Player()
    for segment in golden.segments:
        for at in range(len(segment)):
            player.hear(segment[at : at + 1])
    check(golden, player)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation_cut_at_every_byte(name: str) -> None:
    golden = CONVERSATIONS[name]
    for number, cut_segment in enumerate(golden.segments):
        for cut in range(1, len(cut_segment)):
            player = Player()
            for segment in golden.segments[:number]:
                player.hear(segment)
            player.hear(cut_segment[:cut]).hear(cut_segment[cut:])
            for segment in golden.segments[number + 1 :]:
                player.hear(segment)
            check(golden, player)


def test_server_is_closed_after_quit_and_says_nothing_more() -> None:
    player = Player().hear(b"QUIT\r\nNOOP\r\n")
    assert player.protocol.closed
    assert player.protocol.said_quit
    assert player.codes() == [221]
