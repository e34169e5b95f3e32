"""The preparation of outgoing mail on the stores of `open_ses`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.context import Ses

from posthouse.delivery.key_ring import KeyRing
from posthouse.delivery.prepare import Origin, Preparer, Sources
from posthouse.delivery.return_paths import ReturnPaths
from posthouse.delivery.set_options import SetOptions
from posthouse.ports.scanners import VirusScanner
from posthouse.submission.template_contents import TemplateContents

ORIGIN = Origin("posthouse.test", "127.0.0.1")


@asynccontextmanager
async def preparing(
    ses: Ses,
    all_captured: bool = False,
    origin: Origin = ORIGIN,
    service_signature: str = "none",
    virus: VirusScanner | None = None,
) -> AsyncIterator[Preparer]:
    """By default without a signature of the service domain."""
    records = ses.ctx.stores.records
    sources = Sources(
        KeyRing(records, "posthouse.test", service_signature),
        ReturnPaths(records, "posthouse.test", b"k" * 32),
        SetOptions(records),
        TemplateContents(records),
    )
    preparer = Preparer(sources, origin, ses.clock, 1, all_captured, virus)
    try:
        yield preparer
    finally:
        preparer.close()
