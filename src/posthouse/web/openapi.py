"""The admin API described in OpenAPI 3.1, made from the table that serves it and the types it answers with."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from posthouse.web.answers import json_answer
from posthouse.web.problems import ProblemDocument
from posthouse.web.query import Param

if TYPE_CHECKING:
    from posthouse.web.routes import Endpoint

_COMMON_ERRORS = (400, 401, 403, 421)
_REFERENCE = "#/components/schemas/{name}"


def answer(endpoints: "Sequence[Endpoint]", prefix: str, version: str) -> Response:
    return json_answer(document(endpoints, prefix, version))


def document(endpoints: "Sequence[Endpoint]", prefix: str, version: str) -> dict[str, Any]:
    """The whole document as plain values."""
    named = [type for each in endpoints for type in (each.body, each.answer) if type]
    types = [ProblemDocument, *dict.fromkeys(named)]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        paths.setdefault(prefix + each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Posthouse admin API", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": "posthouse_session"},
            },
        },
        # With auth.mode = open no login is asked for; in strict mode either of them.
        "security": [{}, {"basic": []}, {"session": []}],
    }


def _operation(endpoint: "Endpoint") -> dict[str, Any]:
    in_path = re.findall(r"\{([a-z_]+)\}", endpoint.path)
    return {
        **_body(endpoint),
        "operationId": endpoint.handle.__name__,
        "summary": endpoint.summary,
        "parameters": [*(_path_parameter(name) for name in in_path), *map(_query_parameter, endpoint.params)],
        "responses": {str(endpoint.status): _success(endpoint), **_errors((*_COMMON_ERRORS, *endpoint.errors))},
    }


def _body(endpoint: "Endpoint") -> dict[str, Any]:
    if endpoint.body is None:
        return {}
    schema = {"schema": {"$ref": _REFERENCE.format(name=endpoint.body.__name__)}}
    others = {media: {"schema": {"type": "string"}} for media in endpoint.body_media}
    return {"requestBody": {"required": True, "content": {"application/json": schema, **others}}}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameter(param: Param) -> dict[str, Any]:
    schema = dict(param.kind.schema)
    if param.default not in (None, ""):
        schema["default"] = param.default
    return {"name": param.name, "in": "query", "description": param.doc, "schema": schema}


def _success(endpoint: "Endpoint") -> dict[str, Any]:
    content: dict[str, Any] = {}
    if endpoint.answer is not None:
        content["application/json"] = {"schema": {"$ref": _REFERENCE.format(name=endpoint.answer.__name__)}}
    elif not endpoint.media and endpoint.status == 200:
        content["application/json"] = {"schema": {"type": "object"}}
    content |= {media: {"schema": {"type": "string"}} for media in endpoint.media}
    described = {"description": HTTPStatus(endpoint.status).phrase}
    return {**described, "content": content} if content else described


def _errors(statuses: Iterable[int]) -> dict[str, Any]:
    schema = {"schema": {"$ref": _REFERENCE.format(name="ProblemDocument")}}
    return {
        str(status): {"description": HTTPStatus(status).phrase, "content": {"application/problem+json": schema}}
        for status in sorted(statuses)
    }
