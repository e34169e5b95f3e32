"""A private rspamd that judges SPF, DKIM and DMARC of a mail, asking a resolver of the test."""

import http.client
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.support.needs import need
from tests.support.processes import free_port, wait_for_port

_CONFIGURATION = """\
options {{
  pidfile = "{directory}/pid";
  filters = "dkim";
  url_tld = "{directory}/tld";
  disable_hyperscan = true;
  local_addrs = [];
  dns {{ nameserver = ["{resolver}"]; timeout = 2s; retransmits = 2; }}
}}
logging {{ type = "file"; filename = "{directory}/log"; level = "info"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
dkim {{ check_local = true; check_authed = true; }}
spf {{ check_local = true; check_authed = true; }}
dmarc {{ check_local = true; check_authed = true; }}
lua = "/usr/share/rspamd/rules/rspamd.lua";
modules {{ path = "/usr/share/rspamd/plugins/spf.lua"; path = "/usr/share/rspamd/plugins/dmarc.lua"; }}
"""


class Rspamd:
    """`resolver` is ``ip:port``. Started on entry, stopped on exit."""

    def __init__(self, resolver: str) -> None:
        need("rspamd")
        self.port = free_port()
        self._dir = Path(tempfile.mkdtemp(prefix="posthouse-rspamd-"))
        # A short list of top domains: compiling the whole one takes rspamd half a minute.
        (self._dir / "tld").write_text("com\nnet\norg\ntest\n")
        (self._dir / "conf").write_text(_CONFIGURATION.format(directory=self._dir, resolver=resolver, port=self.port))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Rspamd":
        # -i: as root, which tests often are.
        self._process = subprocess.Popen(
            ["rspamd", "-f", "-i", "-c", self._dir / "conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port, 60)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self._dir, ignore_errors=True)

    def judge(self, mail: bytes, *, client_ip: str, mail_from: str, helo: str) -> dict[str, Any]:
        """The symbols rspamd gives a mail that came from this address in this envelope, with their options."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"IP": client_ip, "From": mail_from, "Helo": helo, "Rcpt": "bob@example.net"}
        connection.request("POST", "/checkv2", mail, headers)
        found = json.loads(connection.getresponse().read())["symbols"]
        return {name: symbol.get("options", []) for name, symbol in found.items()}
