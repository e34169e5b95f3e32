"""/api/v1/templates: e-mail templates, and what they make of some data."""

import asyncio
from typing import Any

import msgspec
from starlette.responses import Response

from posthouse.domain.scope import Scope
from posthouse.domain.templates import RenderingFailure, TemplateContent, is_template_name, render
from posthouse.web import bodies
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.listing import page_of
from posthouse.web.problems import Problem
from posthouse.web.query import iso
from posthouse.web.template_views import Preview, Template, TemplateDetail, TemplateList


class PreviewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Data as a template is given it: any JSON object."""

    data: dict[str, Any]


async def list_templates(call: Call) -> Response:
    return json_answer(await template_page(call, call.query["limit"]))


async def template_page(call: Call, limit: int) -> TemplateList:
    found, after = await page_of(call, lambda records: records.templates, limit)
    rows = [
        Template(name=name, account=scope.account, region=scope.region, created_at=iso(kept.created_ms))
        for scope, name, kept in found
    ]
    return TemplateList(templates=rows, next=after)


async def show_template(call: Call) -> Response:
    return json_answer(await template_detail(call, call.one_scope(), call.request.path_params["name"]))


async def template_detail(call: Call, scope: Scope, name: str) -> TemplateDetail:
    """Raises Problem (404)."""
    async with call.ctx.stores.records.reading() as records:
        kept = await records.templates.get(scope, name) if is_template_name(name) else None
        content = await records.template_contents.get(scope, kept.content) if kept is not None else None
    if kept is None or content is None:
        raise Problem(404, "There is no such template.")
    return TemplateDetail(
        name=name,
        account=scope.account,
        region=scope.region,
        created_at=iso(kept.created_ms),
        subject=content.subject,
        text=content.text,
        html=content.html,
    )


async def preview_template(call: Call) -> Response:
    asked = await bodies.read(call, PreviewRequest)
    detail = await template_detail(call, call.one_scope(), call.request.path_params["name"])
    return json_answer(await preview_of(detail, msgspec.json.encode(asked.data).decode()))


async def preview_of(template: TemplateDetail, data_json: str) -> Preview:
    """What the parts make of the data. Aside: a large one takes a second."""
    content = TemplateContent(subject=template.subject, text=template.text, html=template.html)
    try:
        made = await asyncio.to_thread(render, content, data_json)
    except RenderingFailure as failure:
        return Preview(subject=None, text=None, html=None, error=failure.message)
    return Preview(subject=made.subject, text=made.text, html=made.html, error=None)
