"""The addresses that `serve` listens on, each tried from this machine: ours, free, or taken by somebody else."""

import errno
import http.client
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.cli.clients import reachable, tls_context
from posthouse.cli.findings import Finding, fail, ok, warn
from posthouse.config import Config, Listen

TIMEOUT_S = 3.0
_CAPABILITY = "run as root, or grant CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities)"


@dataclass(frozen=True, slots=True)
class Listener:
    """One configured address."""

    name: str
    at: Listen
    speaks: str
    """``http``, ``https``, ``smtp`` (greets by itself) or ``other``."""

    def examine(self) -> Finding:
        name = f"{self.name} port"
        # Tried by listening, not by connecting: a network may answer for addresses that are nobody's.
        trouble = _cannot_listen(self.at)
        if trouble is None:
            return ok(name, f"{self.at} is free: the server does not run")
        # Without the right to listen there, whoever asks cannot tell a free port from a taken one.
        if trouble.errno in (errno.EADDRINUSE, errno.EACCES) and self._is_ours():
            return ok(name, f"{self.at} is answered")
        if trouble.errno == errno.EADDRINUSE:
            return warn(name, f"{self.at} is taken by something else", "stop that, or listen elsewhere")
        if trouble.errno == errno.EACCES:
            return fail(name, f"{self.at}: no right to listen there", _CAPABILITY)
        return fail(name, f"{self.at}: {trouble.strerror}", "listen on an address of this machine")

    def _is_ours(self) -> bool:
        try:
            if self.speaks.startswith("http"):
                return self._healthy()
            if self.speaks == "smtp":
                with socket.create_connection(reachable(self.at), TIMEOUT_S) as peer:
                    return peer.recv(512).startswith(b"220")
            socket.create_connection(reachable(self.at), TIMEOUT_S).close()
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _healthy(self) -> bool:
        host, port = reachable(self.at)
        connection = (
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=tls_context(checked=False))
            if self.speaks == "https"
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        )
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            # A node that runs the API and no web answers every path as the API.
            return answer.read(16).strip() == b"ok" or answer.getheader("x-amzn-requestid") is not None
        finally:
            connection.close()


def _cannot_listen(at: Listen) -> OSError | None:
    """Why not; None where one can."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(*at, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        return error
    return None


def listeners(config: Config) -> Iterator[Listener]:
    smtp = config.smtp
    # Behind a proxy the server says nothing before the proxy did.
    greets = "other" if smtp.proxy_protocol else "smtp"
    for name, places, speaks in (
        ("http", config.http.listen, "https" if config.http.tls_cert else "http"),
        ("submission", smtp.submission_listen, greets),
        ("submission tls", smtp.submission_tls_listen, "other"),
        ("inbound", smtp.inbound_listen, greets),
        ("dns", config.dns.listen, "other"),
    ):
        for at in places:
            yield Listener(name, at, speaks)
