"""Contents of templates, kept in memory: they never change, so nothing has to be forgotten but for room."""

from collections import OrderedDict

from posthouse.domain.scope import Scope
from posthouse.domain.templates import TemplateContent
from posthouse.ports.records import RecordStore

MAX_CHARS = 16 * 1024 * 1024
"""Of all that is kept."""


class TemplateContents:
    """Reads through to the records; who was used longest ago goes first."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._kept: OrderedDict[tuple[Scope, str], TemplateContent] = OrderedDict()
        self._chars = 0

    async def get(self, scope: Scope, key: str) -> TemplateContent | None:
        """None: no template has it any more, and for so long that it was swept away."""
        content = self._kept.get((scope, key))
        if content is not None:
            self._kept.move_to_end((scope, key))
            return content
        async with self._records.reading() as reading:
            content = await reading.template_contents.get(scope, key)
        if content is not None and (scope, key) not in self._kept:
            self._kept[scope, key] = content
            self._chars += _size(content)
            while self._chars > MAX_CHARS and len(self._kept) > 1:
                self._chars -= _size(self._kept.popitem(last=False)[1])
        return content


def _size(content: TemplateContent) -> int:
    return sum(len(part) for part in (content.subject, content.text, content.html) if part)
