"""E-mail templates: what an account keeps under a name, what may be kept, and what a template and its data make.

Source: API reference of CreateTemplate, UpdateTemplate and TestRenderTemplate; SES developer guide, "Using templates to
send personalized email" and its quotas; texts as observed. Where the sources give none, a text is ours.

A template names its content by a key, and a content never changes: an accepted mail refers to exactly the text that it
was accepted with, even where its template is updated or deleted a moment later. The key takes in the template's name,
so that no two templates share a content and nobody has to count users.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from posthouse.model.errors import InvalidParameterValue, ServiceError
from posthouse.model.generated import (
    AlreadyExistsException,
    InvalidRenderingParameterException,
    InvalidTemplateException,
    LimitExceededException,
    MissingRenderingAttributeException,
    TemplateDoesNotExistException,
)

if TYPE_CHECKING:
    from posthouse.domain.handlebars import Program

MAX_TEMPLATES = 20_000
MAX_NAME = 64
"""Characters. SES's pages name no limit; it is the one that its console and Terraform's provider go by."""
MAX_CONTENT_BYTES = 500 * 1024
"""Text and HTML together."""
KEPT_MS = 3 * 24 * 60 * 60 * 1000
"""How long a content stays that no template has any more: accepted mail may still need it."""
MAX_QUICK_SUBJECT, QUICK_STEPS = 2000, 1000
"""Characters of a subject's template, and steps of its rendering, that a caller may be kept waiting for."""
OPEN_TRACKER = "{{ses:openTracker}}"
"""Where the pixel shall stand in HTML (developer guide); the guide does not say how a template writes it."""
_SHOWN = 1000
"""Characters of an attribute's name: it may be as long as the template."""
_KEPT_PROGRAMS, _KEPT_HUGE_PROGRAMS = 256, 2
_HUGE_CHARS = 64 * 1024
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template without its content, which may have 500 KB: lists do not need it."""

    created_ms: int
    content: str
    """The key of its content."""


class TemplateContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a template held at one time; a part that was not given is None. Never changed."""

    subject: str | None
    text: str | None
    html: str | None


class ReplacedContent(msgspec.Struct, frozen=True):
    """Stands under the key of a content that no template has any more, apart from it: it is small, contents are not."""

    replaced_ms: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template and its data made."""

    subject: str
    """One line."""
    text: str | None
    html: str | None


Failure = (
    type[MissingRenderingAttributeException]
    | type[InvalidRenderingParameterException]
    | type[InvalidTemplateException]
    | type[TemplateDoesNotExistException]
)


class RenderingFailure(Exception):
    """A template and its data make no mail. TestRenderTemplate answers with `error(...)`; behind the queue it is the
    Rendering Failure event, whose errorMessage is `message`."""

    def __init__(self, message: str, kind: Failure) -> None:
        super().__init__(message)
        self.message = message
        self._kind = kind

    def error(self, template_name: str) -> ServiceError:
        return self._kind(self.message, template_name=template_name)


def content_key(name: str, content: TemplateContent) -> str:
    """The key of a content of the template of this name, as 64 hex digits."""
    return hashlib.sha256(msgspec.json.encode((name, content.subject, content.text, content.html))).hexdigest()


# -- rendering


_read_data = msgspec.json.Decoder(dict[str, Any]).decode


def render(content: TemplateContent, data_json: str) -> Rendered:
    """Raises RenderingFailure."""
    # Where it is needed: a server that starts has no template to read yet, and the records above are wanted at once.
    from posthouse.domain import handlebars

    data = _data(data_json)
    if content.html is not None and OPEN_TRACKER in content.html:
        # Nobody's attribute: it marks a place, which tracking looks for in what is rendered.
        data.setdefault(OPEN_TRACKER.strip("{}"), OPEN_TRACKER)
    try:
        return Rendered(
            # A line end in a name is no reason to lose the mail; as a blank it cannot begin a header of its own.
            subject=_one_line(_render(content.subject, data) or ""),
            text=_render(content.text, data),
            html=_render(content.html, data),
        )
    except handlebars.MissingAttribute as missing:
        message = f"Attribute '{missing.name[:_SHOWN]}' is not present in the rendering data."
        raise RenderingFailure(message, MissingRenderingAttributeException) from None
    except handlebars.LimitExceeded as error:
        raise RenderingFailure(error.reason, InvalidRenderingParameterException) from None
    except handlebars.TemplateError as error:
        raise RenderingFailure(error.reason[:_SHOWN], InvalidTemplateException) from None


def render_subject(content: TemplateContent, data_json: str) -> str:
    """The subject alone, for lists that show a mail before it is rendered; empty where it cannot be, or would take
    longer than who accepts mail has time for."""
    from posthouse.domain import handlebars

    subject = content.subject or ""
    if len(subject) > MAX_QUICK_SUBJECT:
        return ""
    try:
        return _one_line(handlebars.render(_program(subject), _data(data_json), handlebars.Limits(steps=QUICK_STEPS)))
    except (RenderingFailure, handlebars.TemplateError):
        return ""


def _data(data_json: str) -> dict[str, Any]:
    try:
        return _read_data(data_json)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        # RecursionError: the decoder's own word for data nested too deeply.
        message = "Template rendering data is invalid"
        raise RenderingFailure(message, InvalidRenderingParameterException) from None


def _render(part: str | None, data: dict[str, Any]) -> str | None:
    if part is None:
        return None
    from posthouse.domain.handlebars import render as rendered

    return rendered(_program(part), data)


def _program(part: str) -> "Program":
    """Parsed programs are kept, but few huge ones: a hundred thousand tags take some hundred bytes each."""
    return _huge_program(part) if len(part) > _HUGE_CHARS else _program_of(part)


def _parsed(part: str) -> "Program":
    from posthouse.domain.handlebars import parse

    return parse(part)


_program_of = lru_cache(maxsize=_KEPT_PROGRAMS)(_parsed)
_huge_program = lru_cache(maxsize=_KEPT_HUGE_PROGRAMS)(_parsed)


def _one_line(subject: str) -> str:
    return _CONTROLS.sub(" ", subject).strip(" ")


# -- what may be kept


def is_template_name(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME and not _CONTROLS.search(name)


def check_template_name(name: str) -> None:
    if not name:
        raise InvalidParameterValue("The template name must be specified.")
    if len(name) > MAX_NAME:
        raise InvalidParameterValue(f"Template name cannot exceed {MAX_NAME} characters.")
    if not is_template_name(name):
        raise InvalidParameterValue(f"Invalid template name <{name}>.")


def check_content(name: str, content: TemplateContent) -> None:
    """Raises what CreateTemplate and UpdateTemplate refuse."""
    from posthouse.domain.handlebars import TemplateError

    if not content.subject:
        raise InvalidParameterValue("The subject must be specified.")
    if sum(len(part.encode()) for part in (content.text, content.html) if part) > MAX_CONTENT_BYTES:
        raise LimitExceededException(f"Template size exceeds {MAX_CONTENT_BYTES // 1024} KB, text and HTML together.")
    for label, part in (("SubjectPart", content.subject), ("TextPart", content.text), ("HtmlPart", content.html)):
        try:
            _program(part or "")
        except TemplateError as error:
            raise InvalidTemplateException(f"{label}: {error.reason}", template_name=name) from None


def check_new_template(name: str, known: bool, count: int) -> None:
    """May one more template have this name?"""
    if known:
        raise AlreadyExistsException(f"Template {name} already exists.", name=name)
    if count >= MAX_TEMPLATES:
        raise LimitExceededException(f"Template limit of {MAX_TEMPLATES} exceeded.")


def no_such_template(name: str) -> TemplateDoesNotExistException:
    return TemplateDoesNotExistException(f"Template {name} does not exist.", template_name=name)
