"""Unbound as the resolver of a test: it knows the records a test publishes, and the authoritative servers it names.

    with Unbound(stubs={"posthouse.test": port}, records=['example.com. TXT "hello"']) as unbound:
        DnsResolver([unbound.address], clock)          # or dns.resolvers = unbound.address
        unbound.publish(["example.com. MX 10 mx.example.com."])      # instead of what was there; at once

It is the root of its own little world: what nobody published does not exist (NXDOMAIN), and nothing asks the internet.
Nothing is kept: answers have a TTL of 0.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
from tests.support.needs import need
from tests.support.processes import free_port, wait_for_port

_CONFIGURATION = """\
server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  use-syslog: no
  logfile: "{directory}/unbound.log"
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  num-threads: 1
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  qname-minimisation: no
  unblock-lan-zones: yes
  insecure-lan-zones: yes
  local-zone: "test." nodefault
  local-zone: "invalid." nodefault
remote-control:
  control-enable: no
auth-zone:
  name: "."
  zonefile: "{directory}/zone"
  for-downstream: no
  for-upstream: yes
"""
_STUB = """\
stub-zone:
  name: "{zone}"
  stub-addr: 127.0.0.1@{port}
"""
_MARK = "published.unbound.invalid."


class Unbound:
    """A resolver on a free loopback port, ended with the context.

    `stubs` maps a zone to the loopback port of its authoritative server; `records` are lines of a zone file without
    TTL and class: a name with its final dot, a type, a value. What lies under a stub cannot be published here.
    """

    def __init__(self, stubs: Mapping[str, int] | None = None, records: Iterable[str] = ()) -> None:
        need("unbound")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._stubs = dict(stubs or {})
        self._records = list(records)
        self._edition = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Unbound":
        self._directory = Path(tempfile.mkdtemp(prefix="unbound-"))
        text = _CONFIGURATION.format(port=self.port, directory=self._directory)
        text += "".join(_STUB.format(zone=zone, port=port) for zone, port in self._stubs.items())
        (self._directory / "unbound.conf").write_text(text)
        self._write_zone()
        self._process = subprocess.Popen(["unbound", "-d", "-p", "-c", self._directory / "unbound.conf"])
        wait_for_port(self.port, 10)
        self._wait_for_edition()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._directory, ignore_errors=True)

    def publish(self, records: Iterable[str]) -> None:
        """These records, and no others, from now on; returns once they are served."""
        assert self._process is not None
        self._records = list(records)
        self._write_zone()
        self._process.send_signal(signal.SIGHUP)
        self._wait_for_edition()

    def add(self, *records: str) -> None:
        """These beside those that are there."""
        self.publish([*self._records, *records])

    def remove(self, name: str) -> None:
        """Every record of this name goes."""
        gone = name.rstrip(".").lower()
        self.publish([line for line in self._records if line.split()[0].rstrip(".").lower() != gone])

    def _write_zone(self) -> None:
        self._edition += 1
        lines = [". SOA ns.invalid. root.invalid. 1 60 60 60 0", ". NS ns.invalid.", f'{_MARK} TXT "{self._edition}"']
        # Each line gets its TTL: of a $TTL of 0 unbound makes an hour.
        named = (line.split(maxsplit=1) for line in lines + self._records)
        (self._directory / "zone").write_text("".join(f"{name} 0 IN {rest}\n" for name, rest in named))

    def _wait_for_edition(self, timeout_s: float = 10) -> None:
        ends = time.monotonic() + timeout_s
        while self._served_edition() != f'"{self._edition}"':
            if time.monotonic() > ends:
                log = (self._directory / "unbound.log").read_text(errors="replace")
                raise TimeoutError(f"unbound does not serve what was published:\n{log[-2000:]}")
            time.sleep(0.01)

    def _served_edition(self) -> str:
        try:
            query = dns.message.make_query(_MARK, dns.rdatatype.TXT)
            answer = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=1)
        except (dns.exception.DNSException, OSError):
            return ""
        return answer.answer[0][0].to_text() if answer.answer else ""
