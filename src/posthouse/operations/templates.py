"""E-mail templates. Source: API reference, the operations named here; texts, order and paging as observed.

Parsing and rendering go to a thread: a template of 500 KB may take a second, and others wait.
"""

import asyncio

import msgspec

from posthouse.domain.messages import Text
from posthouse.domain.scope import Caller, Scope
from posthouse.domain.templates import (
    MAX_TEMPLATES,
    RenderingFailure,
    ReplacedContent,
    Template,
    TemplateContent,
    check_content,
    check_new_template,
    check_template_name,
    content_key,
    is_template_name,
    no_such_template,
    render,
)
from posthouse.mail.compose import compose_preview
from posthouse.mail.outgoing import date_value
from posthouse.model import generated as model
from posthouse.model.errors import InvalidParameterValue
from posthouse.operations.context import Context
from posthouse.operations.paging import Pages
from posthouse.ports.records import Transaction

DEFAULT_PAGE, MAX_PAGE = 10, 100


async def create_template(
    req: model.CreateTemplateRequest, caller: Caller, ctx: Context
) -> model.CreateTemplateResponse:
    scope, name = caller.scope, req.template.template_name
    check_template_name(name)
    content = await _checked_content(req.template)
    async with ctx.stores.records.transaction() as tx:
        known = await tx.templates.get(scope, name)
        check_new_template(name, known is not None, await tx.templates.count(scope))
        await _keep(tx, scope, name, content, ctx.clock.now_ms())
    return model.CreateTemplateResponse()


async def _checked_content(template: model.Template) -> TemplateContent:
    content = TemplateContent(subject=template.subject_part, text=template.text_part, html=template.html_part)
    await asyncio.to_thread(check_content, template.template_name, content)
    return content


async def _keep(tx: Transaction, scope: Scope, name: str, content: TemplateContent, created_ms: int) -> None:
    key = content_key(name, content)
    await tx.template_contents.put(scope, key, content)
    # The same content may have been this template's before.
    await tx.replaced_contents.delete(scope, key)
    await tx.templates.put(scope, name, Template(created_ms=created_ms, content=key))


async def update_template(
    req: model.UpdateTemplateRequest, caller: Caller, ctx: Context
) -> model.UpdateTemplateResponse:
    """Replaces the whole of it: a part that is not given is gone."""
    scope, name = caller.scope, req.template.template_name
    content = await _checked_content(req.template)
    async with ctx.stores.records.transaction() as tx:
        known = await _find(tx, scope, name)
        await _give_up(tx, scope, known, ctx)
        await _keep(tx, scope, name, content, known.created_ms)
    return model.UpdateTemplateResponse()


async def _find(tx: Transaction, scope: Scope, name: str) -> Template:
    found = await tx.templates.get(scope, name) if is_template_name(name) else None
    if found is None:
        raise no_such_template(name)
    return found


async def _give_up(tx: Transaction, scope: Scope, template: Template, ctx: Context) -> None:
    """Accepted mail may still need its content: `upkeep/templates.py` removes it when that cannot be any more."""
    await tx.replaced_contents.put(scope, template.content, ReplacedContent(ctx.clock.now_ms()))


async def delete_template(
    req: model.DeleteTemplateRequest, caller: Caller, ctx: Context
) -> model.DeleteTemplateResponse:
    # Recorded: deleting a missing one succeeds.
    scope, name = caller.scope, req.template_name
    async with ctx.stores.records.transaction() as tx:
        known = await tx.templates.get(scope, name) if is_template_name(name) else None
        if known is not None:
            await tx.templates.delete(scope, name)
            await _give_up(tx, scope, known, ctx)
    return model.DeleteTemplateResponse()


async def get_template(req: model.GetTemplateRequest, caller: Caller, ctx: Context) -> model.GetTemplateResponse:
    content = await _content(req.template_name, caller.scope, ctx)
    return model.GetTemplateResponse(
        template=model.Template(
            template_name=req.template_name,
            subject_part=content.subject,
            text_part=content.text,
            html_part=content.html,
        )
    )


async def _content(name: str, scope: Scope, ctx: Context) -> TemplateContent:
    async with ctx.stores.records.reading() as reading:
        template = await _find(reading, scope, name)
        content = await reading.template_contents.get(scope, template.content)
    assert content is not None, "a template's content stays as long as the template"
    return content


async def list_templates(req: model.ListTemplatesRequest, caller: Caller, ctx: Context) -> model.ListTemplatesResponse:
    """Newest first. All are looked at for one page: 30 ms where there are 20,000, and SES allows one call a second."""
    asked = DEFAULT_PAGE if req.max_items is None else req.max_items
    limit = asked if 1 <= asked <= MAX_PAGE else MAX_PAGE
    pages = Pages("templates", caller.scope)
    before = _position(pages, req.next_token)
    async with ctx.stores.records.reading() as reading:
        found = await reading.templates.page(caller.scope, "", MAX_TEMPLATES)
    newest = sorted(((template.created_ms, name) for name, template in found), reverse=True)
    page = [each for each in newest if before is None or each < before][: limit + 1]
    return model.ListTemplatesResponse(
        templates_metadata=tuple(
            [model.TemplateMetadata(name=name, created_timestamp_ms=at_ms) for at_ms, name in page[:limit]]
        ),
        next_token=_token(pages, page[limit - 1]) if len(page) > limit else None,
    )


_read_position = msgspec.json.Decoder(tuple[int, str]).decode


def _token(pages: Pages, position: tuple[int, str]) -> str:
    """For the page after the template that was created then and has this name."""
    return pages.token_after(msgspec.json.encode(position).decode())


def _position(pages: Pages, token: str | None) -> tuple[int, str] | None:
    """What a token stands for; None: from the start."""
    if not token:
        return None
    try:
        position = _read_position(pages.name_before(token) or "")
    except msgspec.DecodeError:
        position = None
    if position is None or _token(pages, position) != token:
        raise InvalidParameterValue(f"Invalid PageToken <{token}>.")
    return position


async def test_render_template(
    req: model.TestRenderTemplateRequest, caller: Caller, ctx: Context
) -> model.TestRenderTemplateResponse:
    content = await _content(req.template_name, caller.scope, ctx)
    try:
        preview = await asyncio.to_thread(_preview, content, req.template_data, ctx.clock.now_ms(), ctx.random(8).hex())
    except RenderingFailure as failure:
        raise failure.error(req.template_name) from None
    return model.TestRenderTemplateResponse(rendered_template=preview)


def _preview(content: TemplateContent, data_json: str, at_ms: int, mark: str) -> str:
    rendered = render(content, data_json)
    text, html = (part if part is None else Text(part) for part in (rendered.text, rendered.html))
    return compose_preview(Text(rendered.subject), text, html, date_value(at_ms), mark).to_bytes().decode("ascii")
