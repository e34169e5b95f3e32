"""Health and metrics, which must cost nothing."""

import subprocess
import sys

from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import House

LAZY = """
import sys
import posthouse.web.app
print([name for name in ("starlette", "jinja2", "anyio", "posthouse.web.site") if name in sys.modules])
"""


def test_importing_the_entry_loads_no_framework() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_healthz_and_readyz_say_ok(client: Client) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await client.get(path)
        assert (answer.status, answer.text) == (200, "ok")


async def test_readyz_is_503_while_a_role_does_not_serve(house: House) -> None:
    client = house.client(ready=lambda: False)
    assert (await client.get("/readyz")).status == 503
    assert (await client.get("/healthz")).status == 200


async def test_metrics_may_be_awaited_or_not(house: House) -> None:
    async def later() -> str:
        return "posthouse_later 1\n"

    assert (await house.client(metrics=later).get("/metrics")).text == "posthouse_later 1\n"
    answer = await house.client().get("/metrics")
    assert answer.text == "posthouse_up 1\n"
    assert answer.header("content-type").startswith("text/plain; version=0.0.4")


async def test_probes_take_no_other_method(client: Client) -> None:
    answer = await client.request("POST", "/healthz")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


async def test_probes_answer_whatever_the_host_header_says(client: Client) -> None:
    assert (await client.get("/healthz", host="evil.example")).status == 200
