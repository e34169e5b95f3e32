"""E-mail templates as the admin API answers them. See `web/views.py`."""

import msgspec

from posthouse.web.views import Moment


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template in a list."""

    name: str
    account: str
    region: str
    created_at: Moment


class TemplateList(msgspec.Struct, frozen=True, kw_only=True):
    """By account, region and name."""

    templates: list[Template]
    next: str | None


class TemplateDetail(Template, frozen=True, kw_only=True):
    """A template with its parts; one that it does not have is null."""

    subject: str | None
    text: str | None
    html: str | None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a template and some data make, or why they make nothing."""

    subject: str | None
    text: str | None
    html: str | None
    error: str | None
    """What the Rendering Failure event would say."""
