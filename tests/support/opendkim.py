"""OpenDKIM as a verifying milter, with the public keys in a file instead of DNS."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.needs import need
from tests.support.processes import free_port, wait_for_port


class OpenDkim:
    """`keys` maps ``selector._domainkey.domain`` to the text of its TXT record."""

    def __init__(self, directory: Path, keys: Mapping[str, str]) -> None:
        need("opendkim")
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        (directory / "keys").write_text("".join(f"{name} {record}\n" for name, record in keys.items()))
        (directory / "opendkim.conf").write_text(
            f"Socket inet:{self.port}@127.0.0.1\nMode v\nTestPublicKeys {directory}/keys\nSyslog no\nBackground no\n"
            "AutoRestart no\nAlwaysAddARHeader yes\nAuthservID opendkim.example.net\nInternalHosts 192.0.2.1\n"
            "PeerList 192.0.2.1\n"
        )
        self._dir = directory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "OpenDkim":
        self._process = subprocess.Popen(["opendkim", "-x", self._dir / "opendkim.conf", "-f"])
        wait_for_port(self.port, 10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
