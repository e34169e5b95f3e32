"""moto: AWS's protocols on loopback, everything in memory, so bounded in memory and started for few tests."""

import os
import sys
from pathlib import Path
from typing import Any, Self

import boto3
from tests.support import processes

MEMORY_KIB = 3_000_000
ACCESS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
"""What an AWS client needs in its environment to call it."""
ACCOUNT = "123456789012"
"""Whose everything is there."""


class Moto:
    """`moto_server` as context manager."""

    def __init__(self, directory: Path) -> None:
        self.port = processes.free_port()
        self._log = directory / "moto.log"
        self._pid = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        server = Path(sys.executable).with_name("moto_server")
        limited = f'ulimit -v {MEMORY_KIB}; exec "$@"'
        argv = ["bash", "-c", limited, "bash", str(server), "-H", "127.0.0.1", "-p", str(self.port)]
        self._pid = processes.start(argv, self._log, {**os.environ, **ACCESS})
        try:
            processes.wait_for_port(self.port, 60)
        except TimeoutError:
            self.__exit__()
            raise AssertionError(self._log.read_text()) from None
        return self

    def __exit__(self, *_: object) -> None:
        processes.stop(self._pid)

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A boto3 client to look from the other side."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
        )
