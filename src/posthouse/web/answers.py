"""Responses of the admin API: JSON of our types, downloads that no browser would run."""

import re
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from posthouse.web.problems import Problem

_UNSAFE_NAME = re.compile(r"""[^A-Za-z0-9 ._()+@-]""")


def json_answer(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def problem_answer(problem: Problem) -> Response:
    return Response(problem.encode(), problem.status, problem.headers, "application/problem+json")


def download(data: bytes, name: str, media_type: str = "application/octet-stream") -> Response:
    """A file to be saved. The name is a stranger's: RFC 6266, ASCII stand-in first, no path, no quotes, no controls."""
    base = re.split(r"[/\\]", name)[-1].strip(". ")[:150] or "attachment"
    plain = _UNSAFE_NAME.sub("_", base)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(base, safe='')}"
    return Response(data, headers={"content-disposition": disposition}, media_type=media_type)
