"""A real Postfix of one's own: loopback only, its own queue and configuration, STARTTLS on, mail in a Maildir.

With OpenDKIM as a milter in verifying mode its Authentication-Results stand in what is delivered.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.needs import need
from tests.support.processes import free_port, wait_for_port

MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
myhostname = mx.example.net
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
smtpd_tls_security_level = may
smtpd_tls_chain_files = {dir}/tls.pem
smtp_tls_security_level = none
virtual_mailbox_domains = example.net, example.org
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_relay_restrictions = permit_auth_destination, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{{answers}}}, permit_auth_destination, reject
smtp_host_lookup = native
message_size_limit = 41943040
mailbox_size_limit = 0
virtual_mailbox_limit = 0
milter_default_action = tempfail
{more}
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Started on entry, stopped on exit. `answers` maps recipients to access(5) results, such as ``450 4.2.0 wait``."""

    def __init__(
        self,
        answers: Mapping[str, str] | None = None,
        port: int | None = None,
        milter_port: int | None = None,
        more: str = "",
    ) -> None:
        need("postfix", "openssl")
        self.port = port or free_port()
        # Not below pytest's own directory: Postfix's daemons run as users of their own, and every run of pytest closes
        # that to them again.
        directory = self._dir = Path(tempfile.mkdtemp(prefix="posthouse-postfix-"))
        directory.chmod(0o755)
        for part in ("etc", "spool", "data", "mail"):
            (directory / part).mkdir()
        owner = pwd.getpwnam("postfix")
        for part in ("data", "mail"):
            os.chown(directory / part, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-days", "2", "-subj", "/CN=mx.example.net"),
                *("-keyout", directory / "key.pem", "-out", directory / "cert.pem"),
            ],
            check=True,
            capture_output=True,
        )
        chain = (directory / "key.pem").read_bytes() + (directory / "cert.pem").read_bytes()
        (directory / "tls.pem").write_bytes(chain)
        shown = ", ".join(
            f"{{{who} = {what}}}" for who, what in {"nobody@nowhere.example": "DUNNO", **(answers or {})}.items()
        )
        if milter_port:
            more += f"\nsmtpd_milters = inet:127.0.0.1:{milter_port}\n"
        main = MAIN.format(dir=directory, uid=owner.pw_uid, gid=owner.pw_gid, answers=shown, more=more)
        (directory / "etc" / "main.cf").write_text(_each_once(main))
        (directory / "etc" / "master.cf").write_text(MASTER.format(port=self.port))

    def __enter__(self) -> "Postfix":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._dir, ignore_errors=True)

    def start(self) -> None:
        done = self._postfix("start")
        try:
            wait_for_port(self.port, 20)
        except TimeoutError:
            log = self._dir / "log"
            raise AssertionError(f"{done.stderr}\n{log.read_text() if log.exists() else ''}") from None

    def stop(self) -> None:
        self._postfix("stop")

    def _postfix(self, verb: str) -> "subprocess.CompletedProcess[str]":
        # Its scripts wait for ever for a master that hangs.
        words = ["postfix", "-c", self._dir / "etc", verb]
        return subprocess.run(words, capture_output=True, text=True, timeout=60)

    @property
    def log(self) -> str:
        return (self._dir / "log").read_text()

    def mails(self) -> list[bytes]:
        """What was delivered, oldest first, as Postfix wrote it (bare LF)."""
        return [path.read_bytes() for path in sorted((self._dir / "mail" / "all" / "new").glob("*"))]

    def wait_for_mail(self, count: int = 1, timeout_s: float = 20) -> list[bytes]:
        deadline = time.monotonic() + timeout_s
        while len(found := self.mails()) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} mails arrived\n{self.log}"
            time.sleep(0.05)
        return found


def _each_once(main: str) -> str:
    """The last value of each setting. Every process of Postfix warns of those before it, the one that keeps the log
    too: to itself, before it reads, and the socket that they are sent to has room for ten lines."""
    settings = {line.partition("=")[0].strip(): line for line in main.splitlines() if "=" in line}
    return "".join(f"{line}\n" for line in settings.values())
