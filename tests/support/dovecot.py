"""A real Dovecot of one's own that takes mail by LMTP: no root, nothing outside of its directory."""

import grp
import os
import pwd
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.support import processes
from tests.support.needs import need

CONFIG = """
base_dir = {dir}/run
state_dir = {dir}/run
instance_name = {name}
log_path = {dir}/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:{dir}/mail/%u
mail_home = {dir}/home/%u
recipient_delimiter =
hostname = store.example.net
postmaster_address = postmaster@example.net
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = passwd-file
  args = {dir}/users
  override_fields = uid={uid} gid={gid} home={dir}/home/%u
}}
service lmtp {{
  chroot =
  user = {user}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service auth {{
  user = {user}
  chroot =
}}
service auth-worker {{
  user = {user}
}}
"""


class Dovecot:
    """As context manager; `users` have mailboxes, everybody else is refused."""

    def __init__(self, *users: str) -> None:
        need("dovecot")
        if not Path("/usr/lib/dovecot/lmtp").exists():
            need("dovecot-lmtpd")
        self.port = processes.free_port()
        directory = self._dir = Path(tempfile.mkdtemp(prefix="posthouse-dovecot-"))
        for part in ("run", "mail", "home"):
            (directory / part).mkdir()
        (directory / "users").write_text("".join(f"{user}:{{PLAIN}}unused::::::\n" for user in users))
        # As root it would want other users for its parts; as anybody else it is that user in all of them.
        self._user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        uid, gid = self._user.pw_uid, self._user.pw_gid
        for path in (directory, *directory.rglob("*")):
            os.chown(path, uid, gid)
        config = CONFIG.format(
            dir=directory,
            name=directory.name,
            user=self._user.pw_name,
            group=grp.getgrgid(gid).gr_name,
            uid=uid,
            gid=gid,
            port=self.port,
        )
        (directory / "dovecot.conf").write_text(config)
        self._pid = 0

    def __enter__(self) -> Self:
        argv = ["dovecot", "-F", "-c", str(self._dir / "dovecot.conf")]
        if os.getuid() == 0:
            user = self._user
            argv = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *argv]
        self._pid = processes.start(argv, self._dir / "said")
        try:
            processes.wait_for_port(self.port, 20)
        except TimeoutError:
            self.__exit__()
            raise AssertionError(self.log) from None
        return self

    def __exit__(self, *_: object) -> None:
        processes.stop(self._pid)
        shutil.rmtree(self._dir, ignore_errors=True)

    @property
    def log(self) -> str:
        return "".join(path.read_text() for name in ("said", "log") if (path := self._dir / name).exists())

    def mails(self, user: str) -> list[bytes]:
        """As Dovecot keeps them, oldest first."""
        return [path.read_bytes() for path in sorted((self._dir / "mail" / user / "new").glob("*"))]

    def wait_for_mail(self, user: str, count: int = 1, timeout_s: float = 20) -> list[bytes]:
        ends = time.monotonic() + timeout_s
        while len(found := self.mails(user)) < count:
            assert time.monotonic() < ends, f"{len(found)} of {count} mails arrived\n{self.log}"
            time.sleep(0.02)
        return found
