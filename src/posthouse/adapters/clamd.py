"""ports.scanners.VirusScanner: clamd by its own protocol (clamd(8), INSTREAM), over TCP or a local socket.

One connection for each scan, as clamd wants it. The content goes in chunks, each behind its length; where clamd has had
enough (StreamMaxLength) it says so and hangs up while we still write, so that answer is read whatever became of the
writing.
"""

import asyncio
from contextlib import suppress

from posthouse.ports.scanners import Clean, Infected, ScanFailed, VirusOutcome

CHUNK = 256 * 1024
MAX_ANSWER = 4096
MAX_DETAIL = 200


class ClamdScanner:
    def __init__(self, at: str, timeout_s: float) -> None:
        """`at`: ``host:port``, or the path of a socket. `timeout_s` for a whole scan, connecting included."""
        self._at, self._timeout_s = at, timeout_s

    async def scan(self, content: bytes) -> VirusOutcome:
        try:
            async with asyncio.timeout(self._timeout_s):
                return read_answer(await self._ask(content))
        except TimeoutError:
            return ScanFailed(f"clamd took longer than {self._timeout_s:g} s")
        except OSError as error:
            return ScanFailed(f"clamd cannot be reached: {error.strerror or error}")

    async def _ask(self, content: bytes) -> bytes:
        reader, writer = await self._connect()
        try:
            with suppress(ConnectionError):
                await _stream(writer, content)
            return await _answer(reader)
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if "/" in self._at:
            return await asyncio.open_unix_connection(self._at)
        host, _, port = self._at.rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port))


async def _stream(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(b"zINSTREAM\0")
    view = memoryview(content)
    for start in range(0, len(view), CHUNK):
        chunk = view[start : start + CHUNK]
        writer.write(len(chunk).to_bytes(4, "big"))
        writer.write(chunk)
        await writer.drain()
    writer.write(bytes(4))
    await writer.drain()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    with suppress(ConnectionError):
        while len(answer) < MAX_ANSWER and b"\0" not in answer and (more := await reader.read(MAX_ANSWER)):
            answer += more
    return answer


def read_answer(answer: bytes) -> VirusOutcome:
    """``stream: OK``, ``stream: NAME FOUND`` or ``... ERROR``, ended by a zero."""
    text = answer.partition(b"\0")[0].decode("utf-8", "replace").strip()
    text = "".join(char if char.isprintable() else "?" for char in text)[:MAX_DETAIL]
    if text == "stream: OK":
        return Clean()
    if text.endswith(" FOUND"):
        return Infected(text.removeprefix("stream: ").removesuffix(" FOUND"))
    return ScanFailed(f"clamd answered: {text}" if text else "clamd hung up")
