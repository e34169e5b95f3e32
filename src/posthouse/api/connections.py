"""One HTTP connection within bounds: what a client may make a process hold, and for how long.

uvicorn's protocol reads HTTP well and trusts its clients: a head without an end, requests pipelined faster than they
are answered, a client that says nothing or reads nothing are all kept for ever. This adds the limits, the refusals as
documented AWS errors, and RFC 9112 section 3.2 (one Host, no more and no less), which a signature over `host` relies
on. All doors of a process that speak HTTP share one `Crowd`.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from posthouse.model.errors import (
    MalformedHttpRequest,
    RequestHeadersTooLarge,
    RequestTimeout,
    ServiceError,
    ServiceUnavailable,
)
from posthouse.wire import query

MAX_HEAD = 64 * 1024
"""Octets from a method to the blank line; SDKs send some 2 KB, and browsers keep to 8 KB of cookies."""
SLICE = 16 * 1024
"""Octets that are parsed between two looks at the limits."""
MOST_PIPELINED = 32
"""Requests that wait behind the one that is being answered; the octets of further ones stay where they are."""
SILENT_S = 75.0
"""Without a word, between two requests and before the first."""
HEAD_S = 30.0
BODY_S = 90.0
"""The API's own limit (server.BODY_TIMEOUT_S) is shorter and has words for it."""
UNREAD_S = 60.0
"""An answer of which the client takes nothing."""
LINGER_S = 2.0
"""For the rest of a request that is refused already. Closed at once, the client would be told of a reset connection in
the midst of its writing, and never read the answer."""
LOOK_S = 5.0
SETTLED_S = 5.0
"""A connection that has been idle for less may be just about to speak."""

log = logging.getLogger("posthouse.api")


class Guests(Protocol):
    """Who counts the connections of this process; see smtp/guests.py, which is one."""

    def enter(self, client_ip: str) -> bool: ...
    def leave(self, client_ip: str) -> None: ...
    def seat(self, guest: "HttpConnection") -> None: ...
    def unseat(self, guest: "HttpConnection") -> None: ...


class Crowd:
    """The connections of one process, looked at now and then by one timer."""

    def __init__(self, guests: Guests, new_request_id: Callable[[], str], *, hurry: float = 1.0) -> None:
        """`hurry` shortens every wait, for tests."""
        self.guests, self.new_request_id, self.hurry = guests, new_request_id, hurry
        self._inside: set[HttpConnection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def protocol(self, **given: Any) -> "HttpConnection":
        """What uvicorn calls for each connection."""
        return HttpConnection(self, **given)

    def enter(self, guest: "HttpConnection") -> bool:
        if not self.guests.enter(guest.client_ip):
            return False
        self.guests.seat(guest)
        self._inside.add(guest)
        if self._timer is None:
            self._look_again()
        return True

    def leave(self, guest: "HttpConnection") -> None:
        if guest in self._inside:
            self._inside.remove(guest)
            self.guests.unseat(guest)
            self.guests.leave(guest.client_ip)

    def _look_again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_S * self.hurry, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for guest in list(self._inside):
            guest.end_when_overdue(now)
        if self._inside:
            self._look_again()


class _Flow(FlowControl):
    """Whatever a request being answered wants, nothing is read while octets wait that were read already."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self.holding = False

    def resume_reading(self) -> None:
        if not self.holding:
            super().resume_reading()


class _Exit:
    """A transport as the answer to one request sees it: closing may have to wait for the rest of that request."""

    def __init__(self, connection: "HttpConnection") -> None:
        self._connection = connection
        self.write, self.is_closing = connection.transport.write, connection.transport.is_closing

    def close(self) -> None:
        self._connection.close_when_heard()


class HttpConnection(HttpToolsProtocol):
    """uvicorn's protocol, with limits."""

    def __init__(self, crowd: Crowd, **given: Any) -> None:
        super().__init__(**given)
        self._crowd = crowd
        self._backlog = b""
        self._head = 0
        """Octets of a head whose end has not come."""
        self._stage = "silent"
        """silent, head or body: what of a request is awaited; answer: nothing."""
        self._since = self.loop.time()
        self._unread_since: float | None = None
        self._deaf = False
        """What comes is the rest of what was refused."""

    @property
    def client_ip(self) -> str:
        return self.client[0] if self.client else ""

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._exit = _Exit(self)
        if not self._crowd.enter(self):
            self._refuse(ServiceUnavailable())

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        self._backlog = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._backlog:
            self._backlog += data
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE):
            if self._deaf or self.transport.is_closing():
                return
            if len(self.pipeline) >= MOST_PIPELINED:
                self._hold(data[start:])
                return
            if self._stage == "silent":
                self._enter("head")
            piece = data[start : start + SLICE]
            super().data_received(piece)
            if self._stage == "head" and not self._deaf:
                self._head += len(piece)
                if self._head > MAX_HEAD:
                    self._refuse(
                        RequestHeadersTooLarge(f"The request line and headers are longer than {MAX_HEAD} bytes")
                    )
                    return

    def _hold(self, data: bytes) -> None:
        self._backlog = data
        self.flow.pause_reading()
        self.flow.holding = True  # type: ignore[attr-defined]

    def _go_on(self) -> None:
        data, self._backlog = self._backlog, b""
        self._feed(data)
        if not self._backlog and not self.transport.is_closing():
            self.flow.holding = False  # type: ignore[attr-defined]
            self.flow.resume_reading()

    def pause_writing(self) -> None:
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    # What the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._enter("head")

    def on_headers_complete(self) -> None:
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError("not one Host")  # the parser makes this its own error, and the answer is 400
        super().on_headers_complete()
        self._head = 0
        self._enter("body")
        self.cycle.transport = self._exit  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._enter("answer" if self._is_answering() else "silent")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._stage == "answer" and not self._is_answering():
            self._enter("silent")
        if self._backlog and len(self.pipeline) < MOST_PIPELINED and not self.transport.is_closing():
            self._go_on()

    def _enter(self, stage: str) -> None:
        self._stage, self._since = stage, self.loop.time()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # Ends

    def end_when_overdue(self, now: float) -> None:
        """Called now and then: nobody stays for ever."""
        hurry = self._crowd.hurry
        if self.transport.is_closing():
            # Closed, but what it was told last is still unread.
            if self._unread_since is not None and now - self._unread_since > UNREAD_S * hurry:
                self.transport.abort()
            return
        waited = now - self._since
        if self._unread_since is not None and now - self._unread_since > UNREAD_S * hurry:
            self.transport.abort()
        elif self._stage == "silent" and not self._is_answering() and waited > SILENT_S * hurry:
            self.transport.close()
        elif self._stage == "head" and not self._backlog and waited > HEAD_S * hurry:
            self._refuse(RequestTimeout(f"The request line and headers did not arrive within {HEAD_S:g} seconds"))
        # A request that waits behind another one is not read on before its turn.
        elif self._stage == "body" and not self.pipeline and waited > BODY_S * hurry:
            self.transport.abort()

    def leave_if_idle(self, for_s: float) -> bool:
        """Makes way for a newcomer: whoever says nothing loses nothing but a connection."""
        waiting = self._deaf or (self._stage in ("silent", "head") and not self._is_answering())
        if self.transport.is_closing() or not waiting or self.loop.time() - self._since < for_s:
            return False
        self._crowd.leave(self)
        self.transport.close()
        return True

    def send_400_response(self, msg: str) -> None:
        self._refuse(MalformedHttpRequest(msg))

    def _refuse(self, error: ServiceError) -> None:
        """The last word; none where an answer is under way that it would be taken for a part of."""
        cycle = self.cycle
        its_own = self._stage == "body" and not self.pipeline and not cycle.response_started
        if its_own or not self._is_answering():
            self.transport.write(_answer(error, self._crowd.new_request_id()))
        if its_own:
            cycle.disconnected = True
            cycle.message_event.set()
        self._linger()

    def close_when_heard(self) -> None:
        """Closes; where more of the request is still to come, it is let come, and forgotten."""
        if self._stage == "body":
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        self._deaf, self._backlog = True, b""
        self.flow.holding = False  # type: ignore[attr-defined]
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S * self._crowd.hurry, self.transport.close)


def _answer(error: ServiceError, request_id: str) -> bytes:
    xml = query.render_error(error, request_id)
    head = (
        f"HTTP/1.1 {error.http_status} {_PHRASES[error.http_status]}\r\nx-amzn-requestid: {request_id}\r\n"
        f"content-type: text/xml\r\ncontent-length: {len(xml)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + xml


_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
