"""The peers that Posthouse is measured beside: each private, on loopback, as a context manager.

Postfix and OpenDKIM are Debian's and need root (Postfix drops to users of its own).
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import processes

DOMAIN = "bench.example.com"
MOTO_ADDRESS_SPACE_KIB = 3_000_000
"""It keeps everything in memory; a bound for what a slip could cost the machine."""
_DAEMONS = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def missing(*programs: str) -> list[str]:
    """Those that are not installed, or root where Postfix is among them and we are not."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    lacking = [program for program in programs if not shutil.which(program, path=path)]
    return lacking + (["root"] if "postfix" in programs and os.geteuid() != 0 else [])


class Peer(ABC):
    """A program in a directory of its own; `port` is where it takes work."""

    pid = 0

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="posthouse-peer-"))
        self.directory.chmod(0o755)
        self.port = processes.free_port()

    @abstractmethod
    def start(self) -> None:
        """Starts it; returns when it listens."""

    def run(self, *argv: str | Path) -> None:
        self.pid = processes.start(list(map(str, argv)), self.directory / "log", cwd=self.directory)
        processes.wait_for_port(self.port, 30)

    def stop(self) -> None:
        if self.pid:
            processes.stop(self.pid)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            sys.stderr.write((self.directory / "log").read_text() if (self.directory / "log").exists() else "")
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Moto(Peer):
    """moto's server: SES in memory, nothing checked, nothing sent."""

    def argv(self) -> list[str]:
        server = Path(sys.executable).with_name("moto_server")
        command = f'ulimit -v {MOTO_ADDRESS_SPACE_KIB}; exec "$0" -H 127.0.0.1 -p {self.port}'
        return ["bash", "-c", command, str(server)]

    def start(self) -> None:
        self.run(*self.argv())


class DroppingSmtpd(Peer):
    """aiosmtpd on uvloop with a handler that keeps nothing."""

    CODE = """
import sys, uvloop
from aiosmtpd.smtp import SMTP

class Drop:
    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 ok"

loop = uvloop.new_event_loop()
make = lambda: SMTP(Drop(), loop=loop, hostname="bench", enable_SMTPUTF8=False)
loop.run_until_complete(loop.create_server(make, "127.0.0.1", int(sys.argv[1]), backlog=1024))
loop.run_forever()
"""

    def start(self) -> None:
        self.run(sys.executable, "-c", self.CODE, str(self.port))


class OpenDkim(Peer):
    """Signs mail of the bench domain with RSA-2048, relaxed/relaxed."""

    def start(self) -> None:
        key = self.directory / "key.pem"
        make = ["openssl", "genrsa", "-traditional", "-out", str(key), "2048"]
        subprocess.run(make, check=True, capture_output=True)
        key.chmod(0o600)
        config = self.directory / "opendkim.conf"
        config.write_text(
            f"Socket inet:{self.port}@127.0.0.1\nDomain {DOMAIN}\nSelector bench\nKeyFile {key}\nMode s\n"
            "Canonicalization relaxed/relaxed\nInternalHosts 127.0.0.0/8\nSyslog no\nBackground no\nAutoRestart no\n"
            "RequireSafeKeys no\n"
        )
        self.run("/usr/sbin/opendkim", "-x", config, "-f")


class Postfix(Peer):
    """Takes mail on loopback and relays it to a sink, or discards it where there is none; perhaps with a milter."""

    def __init__(self, sink_port: int = 0, milter_port: int = 0) -> None:
        super().__init__()
        self._sink_port, self._milter_port = sink_port, milter_port

    def start(self) -> None:
        for part in ("etc", "spool", "data"):
            (self.directory / part).mkdir()
        os.chown(self.directory / "data", pwd.getpwnam("postfix").pw_uid, -1)
        (self.directory / "etc" / "main.cf").write_text(self._main())
        (self.directory / "etc" / "master.cf").write_text(f"127.0.0.1:{self.port} inet n - n - - smtpd{_DAEMONS}")
        self._postfix("start")
        processes.wait_for_port(self.port, 30)

    def stop(self) -> None:
        self._postfix("stop")

    def _postfix(self, verb: str) -> None:
        subprocess.run(["/usr/sbin/postfix", "-c", self.directory / "etc", verb], capture_output=True)

    def _main(self) -> str:
        there = f"relayhost = [127.0.0.1]:{self._sink_port}" if self._sink_port else "default_transport = discard:"
        milter = f"smtpd_milters = inet:127.0.0.1:{self._milter_port}\nmilter_default_action = tempfail"
        return f"""
compatibility_level = 3.6
queue_directory = {self.directory}/spool
data_directory = {self.directory}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = {DOMAIN}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
smtp_tls_security_level = none
smtpd_tls_security_level = none
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtp_host_lookup = native
minimal_backoff_time = 5s
queue_run_delay = 5s
{there}
{milter if self._milter_port else ""}
"""
