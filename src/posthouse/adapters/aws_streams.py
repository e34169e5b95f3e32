"""Firehose itself, or what speaks its protocol: records put with the role that the destination names."""

import logging
from collections.abc import Mapping, Sequence

from posthouse.adapters.aws_session import Answered, AwsService, Denied, Reply, Roles, RoleTrouble, Unreached
from posthouse.domain.streams import parse_stream_arn
from posthouse.ports.streams import Put, PutOutcome, RoleRefused, StreamFailed, StreamUnknown

log = logging.getLogger("posthouse.firehose")

_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken"}
)
_NOTHING: Mapping[str, object] = {}
_ROLE_MALFORMED = frozenset({"ValidationError", "MalformedPolicyDocument", "NoSuchEntity"})


class AwsStreams:
    """ports.streams.Streams by the real protocol. The region is the stream's."""

    def __init__(self, firehose: AwsService, roles: Roles) -> None:
        self._firehose, self._roles = firehose, roles

    async def check(self, account: str, stream_arn: str, role_arn: str) -> PutOutcome:
        stream = parse_stream_arn(stream_arn)
        if stream is None:
            return StreamUnknown()
        # Asked anew, for what was allowed an hour ago may no longer be.
        trouble = await self._roles.check(account, role_arn, stream.region)
        if trouble is not None:
            return _role_trouble(role_arn, trouble)
        try:
            reply = await self._ask(account, stream_arn, role_arn, "describe_delivery_stream")
        except RoleTrouble as late:
            return _role_trouble(role_arn, late.reply)
        if isinstance(reply, Denied) and reply.code in _DENIED:
            # SES asks of the role PutRecordBatch and no more; then only putting tells.
            return Put()
        return _outcome(stream_arn, reply)

    async def put(self, account: str, stream_arn: str, role_arn: str, records: Sequence[bytes]) -> PutOutcome:
        if parse_stream_arn(stream_arn) is None:
            return StreamUnknown()
        data = [{"Data": record} for record in records]
        try:
            reply = await self._ask(account, stream_arn, role_arn, "put_record_batch", {"Records": data})
        except RoleTrouble as trouble:
            return _role_trouble(role_arn, trouble.reply)
        return _outcome(stream_arn, reply)

    async def _ask(
        self, account: str, stream_arn: str, role_arn: str, operation: str, more: Mapping[str, object] = _NOTHING
    ) -> Reply:
        """Raises RoleTrouble."""
        stream = parse_stream_arn(stream_arn)
        assert stream is not None
        return await self._firehose.ask(
            stream.region,
            operation,
            {"DeliveryStreamName": stream.name, **more},
            session=self._roles.session(account, role_arn, stream.region),
            key=(account, role_arn),
        )

    async def close(self) -> None:
        await self._firehose.close()
        await self._roles.close()


def _outcome(stream_arn: str, reply: Reply) -> PutOutcome:
    match reply:
        case Answered(body):
            answers = body.get("RequestResponses", ()) if body.get("FailedPutCount") else ()
            return Put(tuple(at for at, each in enumerate(answers) if each.get("ErrorCode")))
        case Denied("ResourceNotFoundException"):
            return StreamUnknown()
        case Denied(code, text) if code in _DENIED:
            return RoleRefused(f"{code}: {text}")
        case Denied(code, text):
            log.warning("Firehose took nothing for %s: %s %s", stream_arn, code, text)
            return StreamFailed(f"{code}: {text}")
        case Unreached(reason):
            log.warning("Firehose could not be asked to take records for %s: %s", stream_arn, reason)
            return StreamFailed(reason)


def _role_trouble(role_arn: str, reply: Denied | Unreached) -> PutOutcome:
    if isinstance(reply, Unreached):
        log.warning("STS could not be asked for the role %s: %s", role_arn, reply.reason)
        return StreamFailed(reply.reason)
    log.warning("the role %s was not assumed: %s %s", role_arn, reply.code, reply.text)
    if reply.code in _DENIED or reply.code in _ROLE_MALFORMED:
        return RoleRefused(f"{reply.code}: {reply.text}")
    return StreamFailed(f"{reply.code}: {reply.text}")
