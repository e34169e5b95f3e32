"""Errors of the admin API as RFC 9457 problem documents."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """``application/problem+json``."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    parameter: str = ""
    """The query parameter at fault."""


class Problem(Exception):
    """An answer that is not success; the text is for whoever called."""

    def __init__(
        self, status: int, detail: str, *, parameter: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.parameter = parameter
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def encode(self) -> bytes:
        return msgspec.json.encode(ProblemDocument(self.title, self.status, self.detail, parameter=self.parameter))


def no_such_message(message_id: str) -> Problem:
    return Problem(404, f"There is no message {message_id}.")
