"""A private clamd that knows the EICAR test file and one of our own, and nothing else: no download, 16 MB of memory.

with Clamd() as clamd:
    ClamdScanner(clamd.address, 10)          # or clamd.socket
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.needs import need
from tests.support.processes import free_port, listens

OTHER_MALWARE = b"Posthouse-Other-Malware-For-Tests"
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_CONFIGURATION = """\
LogFile {directory}/log
DatabaseDirectory {directory}/db
LocalSocket {directory}/socket
TCPSocket {port}
TCPAddr 127.0.0.1
Foreground yes
StreamMaxLength 1M
"""


class Clamd:
    """Started on entry, stopped on exit. Takes streams of one megabyte at most."""

    def __init__(self) -> None:
        need("clamd")
        self._directory = Path(tempfile.mkdtemp(prefix="posthouse-clamd-"))
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.socket = str(self._directory / "socket")
        (self._directory / "db").mkdir()
        signatures = f"Eicar-Test:0:*:{EICAR.hex()}\nOther-Test:0:*:{OTHER_MALWARE.hex()}\n"
        (self._directory / "db" / "test.ndb").write_text(signatures)
        configuration = _CONFIGURATION.format(directory=self._directory, port=self.port)
        (self._directory / "conf").write_text(configuration)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Clamd":
        self._process = subprocess.Popen(
            ["/usr/sbin/clamd", "-c", self._directory / "conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = time.monotonic() + 60
        while not (listens(self.port) and Path(self.socket).exists()):
            if time.monotonic() > ends or self._process.poll() is not None:
                log = self._directory / "log"
                raise TimeoutError(f"clamd does not start: {log.read_text() if log.exists() else ''}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self._directory, ignore_errors=True)
