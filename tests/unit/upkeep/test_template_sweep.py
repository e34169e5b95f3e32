"""The sweep of replaced contents, beside what tests/unit/operations/test_templates.py shows of it."""

import asyncio
import contextlib
import logging

import pytest
from tests.support.context import Callers, open_ses

from posthouse.domain.templates import KEPT_MS, ReplacedContent, TemplateContent
from posthouse.upkeep.templates import TemplateSweep

CONTENT = TemplateContent(subject="s", text=None, html=None)


async def test_many_are_removed_in_all_scopes() -> None:
    async with open_ses() as ses:
        records = ses.ctx.stores.records
        async with records.transaction() as tx:
            for scope in (Callers.ANN.scope, Callers.BOB.scope, Callers.ANN_ELSEWHERE.scope):
                for number in range(90):
                    await tx.template_contents.put(scope, f"{number}", CONTENT)
                    await tx.replaced_contents.put(scope, f"{number}", ReplacedContent(ses.clock.at_ms - KEPT_MS))
            await tx.template_contents.put(Callers.BOB.scope, "in use", CONTENT)
        sweep = TemplateSweep(records, ses.clock)
        assert await sweep.sweep() == 270
        async with records.reading() as reading:
            assert [name for _, name, _ in await reading.template_contents.everywhere()] == ["in use"]
            assert await reading.replaced_contents.everywhere() == []


async def test_it_looks_again_and_again_and_tells(caplog: pytest.LogCaptureFixture) -> None:
    async with open_ses() as ses:
        records = ses.ctx.stores.records
        sweep = TemplateSweep(records, ses.clock, kept_ms=5)
        with caplog.at_level(logging.INFO, "posthouse.upkeep"):
            running = asyncio.create_task(sweep.run(look_s=0.005))
            async with asyncio.timeout(5):
                for times in (1, 2):
                    async with records.transaction() as tx:
                        await tx.template_contents.put(Callers.ANN.scope, "old", CONTENT)
                        await tx.replaced_contents.put(Callers.ANN.scope, "old", ReplacedContent(ses.clock.at_ms - 5))
                    while len(caplog.records) < times:
                        await asyncio.sleep(0.005)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        assert caplog.messages == ["1 replaced contents of templates were removed"] * 2
