"""Connections to other mail servers."""

from dataclasses import dataclass
from typing import Protocol


class ConnectFailed(Exception):
    """No connection, or TLS could not be agreed: the reason as one line. A delay, not a verdict."""


class Disconnected(Exception):
    """The other side closed or fell silent in the middle."""


@dataclass(frozen=True, slots=True)
class TlsFacts:
    version: str
    """``TLSv1.3`` ..."""
    cipher: str
    verified: bool
    """The certificate is valid for the host name by the system's trust store."""


class Stream(Protocol):
    """A byte stream to one peer. Every wait has a deadline."""

    @property
    def peer_ip(self) -> str: ...
    @property
    def local_ip(self) -> str: ...
    @property
    def tls(self) -> TlsFacts | None: ...

    def write(self, data: bytes) -> None:
        """Queues bytes to be sent."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Waits until most of what was written has left. Raises Disconnected."""
        ...

    async def read(self, timeout_s: float) -> bytes:
        """What has come, at least one byte. Raises Disconnected, also when time is over."""
        ...

    async def start_tls(self, host: str, timeout_s: float) -> None:
        """Raises ConnectFailed. Opportunistic (RFC 7435): any certificate will do, what it was is in `tls`."""
        ...

    def close(self) -> None: ...


class Network(Protocol):
    async def connect(
        self, ip: str, port: int, *, source_ip: str = "", tls_host: str = "", timeout_s: float = 30.0
    ) -> Stream:
        """Raises ConnectFailed. `tls_host` not empty: TLS from the first byte (smtps)."""
        ...
