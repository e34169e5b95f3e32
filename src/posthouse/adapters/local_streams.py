"""Firehose without AWS: for now, streams that take everything and keep nothing."""

from collections.abc import Sequence

from posthouse.ports.streams import Put, PutOutcome


class LocalStreams:
    """ports.streams.Streams; every stream and every role exists."""

    async def check(self, account: str, stream_arn: str, role_arn: str) -> PutOutcome:
        return Put()

    async def put(self, account: str, stream_arn: str, role_arn: str, records: Sequence[bytes]) -> PutOutcome:
        return Put()

    async def close(self) -> None:
        """Nothing is held open."""
