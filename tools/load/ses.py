"""The SES API from the callers' side; as a command, a load generator.

    python -m tools.load.ses --url http://127.0.0.1:8025 -n 20000 -c 16

Every request is different, built and signed before the time starts, and sent over kept connections with one request
in flight on each. Prints one line of JSON.
"""

import argparse
import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import cast
from urllib.parse import urlsplit

from tools.load.measure import new_loop, percentile_ms, print_json
from tools.load.signing import Signer
from tools.load.smtp import filled_message

Then = Callable[[int, bytes], None]
"""(status, body); status 0: the connection ended without an answer."""
WARM_UP = 50


class HttpConnection(asyncio.Protocol):
    """One kept HTTP/1.1 connection, one request at a time, answers with Content-Length or chunked."""

    def __init__(self) -> None:
        self._buffer = b""
        self._then: Then | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, then: Then) -> None:
        """Calls `then` with the answer."""
        self._then = then
        self.transport.write(request)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body; status 0 where the connection ended without an answer."""
        if self.closed:
            return 0, b""
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def then(status: int, body: bytes) -> None:
            if not answered.done():
                answered.set_result((status, body))

        self.send(request, then)
        return await answered

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_ends = self._buffer.find(b"\r\n\r\n")
        if head_ends < 0:
            return
        head, rest = self._buffer[:head_ends].lower(), self._buffer[head_ends + 4 :]
        _, told, length = head.partition(b"\r\ncontent-length:")
        if len(rest) < int(length.split(b"\r\n", 1)[0]) if told else not rest.endswith(b"0\r\n\r\n"):
            return
        status, self._buffer = int(head[9:12]), b""
        if b"\r\nconnection: close" in head:
            self.closed = True
            self.transport.close()
        self._answer(status, rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._answer(0, b"")

    def _answer(self, status: int, body: bytes) -> None:
        then, self._then = self._then, None
        if then:
            then(status, body)


async def connect(host: str, port: int) -> HttpConnection:
    """Raises OSError."""
    _, connection = await asyncio.get_running_loop().create_connection(HttpConnection, host, port)
    return connection


def send_email(source: str, recipients: Sequence[str], subject: str) -> dict[str, str]:
    """Parameters of a SendEmail with a short text."""
    to = {f"Destination.ToAddresses.member.{number}": each for number, each in enumerate(recipients, 1)}
    return {
        "Action": "SendEmail",
        "Source": source,
        "Message.Subject.Data": subject,
        "Message.Body.Text.Data": "Hello.\n" + "A short line of plain text to send.\n" * 8,
        **to,
    }


def send_by_template(source: str, recipients: Sequence[str], template: str, test_id: str) -> dict[str, str]:
    """Parameters of a SendTemplatedEmail."""
    to = {f"Destination.ToAddresses.member.{number}": each for number, each in enumerate(recipients, 1)}
    return {
        "Action": "SendTemplatedEmail",
        "Source": source,
        "Template": template,
        "TemplateData": json.dumps({"id": test_id}),
        **to,
    }


def send_bulk(source: str, mails: Sequence[tuple[str, Sequence[str]]], template: str) -> dict[str, str]:
    """Parameters of a SendBulkTemplatedEmail: a mail for each (test id, recipients)."""
    form = {"Action": "SendBulkTemplatedEmail", "Source": source, "Template": template, "DefaultTemplateData": "{}"}
    for place, (test_id, recipients) in enumerate(mails, 1):
        one = f"Destinations.member.{place}"
        form[f"{one}.ReplacementTemplateData"] = json.dumps({"id": test_id})
        for number, each in enumerate(recipients, 1):
            form[f"{one}.Destination.ToAddresses.member.{number}"] = each
    return form


def bulk_message_ids(body: bytes) -> list[str]:
    """One for each mail of a SendBulkTemplatedEmail, in their order; empty where it was not taken."""
    members = body.partition(b"<Status>")[2].split(b"</member>")[:-1]
    return [message_id_of(member) if b"<Status>Success<" in member else "" for member in members]


def send_raw_email(source: str, recipients: Sequence[str], message: bytes) -> dict[str, str]:
    """Parameters of a SendRawEmail."""
    to = {f"Destinations.member.{number}": each for number, each in enumerate(recipients, 1)}
    return {
        "Action": "SendRawEmail",
        "Source": source,
        "RawMessage.Data": base64.b64encode(message).decode(),
        **to,
    }


TEMPLATE = "load-template"
TEMPLATE_PARTS = {
    "Template.SubjectPart": "load id={{id}}",
    "Template.TextPart": "Hello {{name}},\n{{#each items}}- {{this}}\n{{/each}}" + "A short line of text.\n" * 8,
    "Template.HtmlPart": "<html><body><p>Hello {{name}},</p>\n"
    "<ul>{{#each items}}<li>{{this}}</li>{{/each}}</ul>\n</body></html>",
}


def send_templated_email(source: str, recipient: str, test_id: str) -> dict[str, str]:
    """Parameters of a SendTemplatedEmail with the template that `_verify` makes."""
    return {
        "Action": "SendTemplatedEmail",
        "Source": source,
        "Template": TEMPLATE,
        "TemplateData": _template_data(test_id),
        "Destination.ToAddresses.member.1": recipient,
    }


def send_bulk_templated_email(source: str, recipients: Sequence[str], test_id: str) -> dict[str, str]:
    """Parameters of a SendBulkTemplatedEmail, one recipient a destination."""
    made = {
        "Action": "SendBulkTemplatedEmail",
        "Source": source,
        "Template": TEMPLATE,
        "DefaultTemplateData": _template_data(test_id),
    }
    for number, each in enumerate(recipients, 1):
        made[f"Destinations.member.{number}.Destination.ToAddresses.member.1"] = each
        made[f"Destinations.member.{number}.ReplacementTemplateData"] = _template_data(f"{test_id}-{number}")
    return made


def _template_data(test_id: str) -> str:
    return json.dumps({"id": test_id, "name": f"User {test_id}", "items": ["one", "two", "three"]})


def message_id_of(body: bytes) -> str:
    """The MessageId of an answer; empty where it has none."""
    return body.partition(b"<MessageId>")[2].partition(b"</MessageId>")[0].decode()


class Run:
    """One timed section: connections that take the next request as soon as they have an answer.

    Where the server ends a connection after each answer (moto does), the next request comes over a new one.
    """

    def __init__(self, requests: Iterator[bytes], host: str, port: int) -> None:
        self._requests, self._host, self._port = requests, host, port
        self._reconnecting: set[asyncio.Task[None]] = set()
        self.seconds = list[float]()
        self.failures: Counter[str] = Counter()
        self.sample = ""

    async def over(self, callers: int) -> float:
        """Seconds that it took, connections made before."""
        connections = [await connect(self._host, self._port) for _ in range(callers)]
        ends = [asyncio.get_running_loop().create_future() for _ in connections]
        began = time.perf_counter()
        for connection, end in zip(connections, ends, strict=True):
            self._next(connection, end)
        await asyncio.gather(*ends)
        return time.perf_counter() - began

    def _next(self, connection: HttpConnection, end: "asyncio.Future[None]") -> None:
        if connection.closed:
            task = asyncio.get_running_loop().create_task(self._reconnect(end))
            self._reconnecting.add(task)
            task.add_done_callback(self._reconnecting.discard)
            return
        request = next(self._requests, None)
        if request is None:
            connection.transport.close()
            end.set_result(None)
            return
        sent = time.perf_counter()

        def then(status: int, body: bytes) -> None:
            self.seconds.append(time.perf_counter() - sent)
            if status != 200 or b"<MessageId>" not in body:
                self.failures[str(status)] += 1
                self.sample = self.sample or body[:300].decode("latin-1")
            self._next(connection, end)

        connection.send(request, then)

    async def _reconnect(self, end: "asyncio.Future[None]") -> None:
        try:
            self._next(await connect(self._host, self._port), end)
        except OSError as error:
            end.set_exception(error)


def _requests(asked: argparse.Namespace, host: str, count: int) -> list[bytes]:
    signer, stamp = Signer(asked.access_key, asked.secret_key, host), int(time.time())
    made = []
    for number in range(count):
        test_id, to = f"{stamp}-{number}", [f"user{number}@example.net"]
        if asked.bulk:
            many = [f"user{number}-{each}@example.net" for each in range(asked.bulk)]
            parameters = send_bulk_templated_email(asked.source, many, test_id)
        elif asked.templated:
            parameters = send_templated_email(asked.source, to[0], test_id)
        elif asked.raw:
            parameters = send_raw_email(asked.source, to, filled_message(asked.source, to[0], test_id, asked.raw))
        else:
            parameters = send_email(asked.source, to, f"load id={test_id}")
        if asked.set:
            parameters["ConfigurationSetName"] = asked.set
        made.append(signer.request(parameters))
    return made


async def _verify(asked: argparse.Namespace, host: str, port: int) -> None:
    signer = Signer(asked.access_key, asked.secret_key, f"{host}:{port}")
    domain = asked.source.rpartition("@")[2]
    actions = [
        {"Action": "VerifyDomainIdentity", "Domain": domain},
        {"Action": "VerifyEmailIdentity", "EmailAddress": asked.source},
    ]
    if asked.templated or asked.bulk:
        actions.append({"Action": "CreateTemplate", "Template.TemplateName": TEMPLATE, **TEMPLATE_PARTS})
    for action in actions:
        connection = await connect(host, port)
        status, body = await connection.ask(signer.request(action))
        connection.transport.close()
        if status != 200 and b"<Code>AlreadyExists</Code>" not in body:
            raise SystemExit(f"{action['Action']}: {status} {body[:300].decode('latin-1')}")


async def _over(run: Run, asked: argparse.Namespace) -> float:
    return await asyncio.wait_for(run.over(asked.callers), asked.timeout)


async def _load(asked: argparse.Namespace, host: str, port: int) -> dict[str, object]:
    await _verify(asked, host, port)
    warm_up = min(WARM_UP, asked.requests)
    requests = _requests(asked, f"{host}:{port}", asked.requests + warm_up)
    await _over(Run(iter(requests[:warm_up]), host, port), asked)
    run, began_s = Run(iter(requests[warm_up:]), host, port), time.time()
    took_s = await _over(run, asked)
    good = len(run.seconds) - sum(run.failures.values())
    return {
        "rate": round(good / took_s, 1),
        "accepted": good,
        "began_s": began_s,
        "p50_ms": percentile_ms(run.seconds, 0.5),
        "p99_ms": percentile_ms(run.seconds, 0.99),
        "failures": dict(run.failures),
        "sample": run.sample,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("-n", "--requests", type=int, default=2000)
    parser.add_argument("-c", "--callers", type=int, default=16)
    parser.add_argument("--raw", type=int, default=0, metavar="BYTES", help="SendRawEmail with messages of this size")
    parser.add_argument("--templated", action="store_true", help="SendTemplatedEmail")
    parser.add_argument("--bulk", type=int, default=0, metavar="N", help="SendBulkTemplatedEmail with N destinations")
    parser.add_argument("--set", default="", help="a configuration set")
    parser.add_argument("--source", default="sender@bench.example.com")
    parser.add_argument("--access-key", default="posthouse")
    parser.add_argument("--secret-key", default="posthouse-secret")
    parser.add_argument("--timeout", type=float, default=300)
    asked = parser.parse_args()
    at = urlsplit(asked.url)
    print_json(new_loop().run_until_complete(_load(asked, at.hostname or "127.0.0.1", at.port or 80)))


if __name__ == "__main__":
    main()
