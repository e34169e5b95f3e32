"""E-mail templates: what may be kept, and what a template and its data make."""

from typing import Any

import msgspec
import pytest

from posthouse.domain.templates import (
    MAX_CONTENT_BYTES,
    MAX_QUICK_SUBJECT,
    MAX_TEMPLATES,
    RenderingFailure,
    TemplateContent,
    check_content,
    check_new_template,
    check_template_name,
    content_key,
    is_template_name,
    render,
    render_subject,
)
from posthouse.model.errors import ServiceError


def content(subject: str | None = "s", text: str | None = None, html: str | None = None) -> TemplateContent:
    return TemplateContent(subject=subject, text=text, html=html)


def refused(what: Any, *arguments: Any) -> tuple[str, str, dict[str, str]]:
    with pytest.raises(ServiceError) as error:
        what(*arguments)
    return error.value.code, error.value.message, dict(error.value.members)


def failed(of: TemplateContent, data: str) -> tuple[str, str]:
    with pytest.raises(RenderingFailure) as failure:
        render(of, data)
    error = failure.value.error("hello")
    assert error.members == {"TemplateName": "hello"}
    assert error.message == failure.value.message
    return error.code, error.message


def test_each_part_is_rendered_and_what_was_not_given_stays_away() -> None:
    made = render(content("Hi {{n}}", "Dear {{n}}\r\n", "<p>{{n}}</p>"), '{"n":"<Ann & Bob>"}')
    assert (made.subject, made.text, made.html) == ("Hi <Ann & Bob>", "Dear <Ann & Bob>\r\n", "<p><Ann & Bob></p>")
    made = render(content("Hi", None, None), "{}")
    assert (made.subject, made.text, made.html) == ("Hi", None, None)


@pytest.mark.parametrize(
    "value", ["a\\r\\nBcc: x@y.example", "a\\nBcc: x@y.example", "a\\rb", "a\\u0000b", "a\\u0085\\u2028b"]
)
def test_a_subject_is_one_line_whatever_the_data(value: str) -> None:
    subject = render(content("Hi {{n}}\n", None, None), f'{{"n":"{value}"}}').subject
    assert subject.isprintable()
    assert subject in ("Hi a Bcc: x@y.example", "Hi a b")


@pytest.mark.parametrize(
    "data",
    [
        *("", "x", "[]", '"x"', "null", "1", "{", '{"a":}', '{"a":1,}', "{'a':1}", '{"a":1}{}', '{"a":NaN}'),
        *('{"a":Infinity}', '{"a":"\n"}', '{"a":"\\ud800"}', '{"a":1e999}', '{"a":01}', '{"a":+1}', '{"a":1_0}'),
        *('{"a":' * 9000, "[" * 200_000),
    ],
)  # fmt: skip
def test_data_are_one_json_object(data: str) -> None:
    assert failed(content(), data) == ("InvalidRenderingParameter", "Template rendering data is invalid")


def test_data_may_be_empty_and_names_repeated() -> None:
    assert render(content("{{a}}"), '\r\n\t {"a":1, "a":2} ').subject == "2"
    assert render(content("s"), "{}").subject == "s"


def test_the_place_of_the_open_tracker_is_left_for_tracking() -> None:
    for html in ("<p>{{n}}</p>{{ses:openTracker}}", "<p>{{n}}</p>\\{{ses:openTracker}}"):
        assert render(content(html=html), '{"n":1}').html == "<p>1</p>{{ses:openTracker}}"
    with pytest.raises(RenderingFailure):
        render(content(text="{{ses:openTracker}}"), "{}")
    assert render(content(html="{{#each this}}{{@key}}{{/each}}"), '{"n":1}').html == "n"


def test_a_missing_attribute_in_any_part() -> None:
    told = ("MissingRenderingAttribute", "Attribute 'customer.name' is not present in the rendering data.")
    for part in ("subject", "text", "html"):
        of = msgspec.structs.replace(content("s", "t", "h"), **{part: "{{customer.name}}"})
        assert failed(of, '{"customer":{}}') == told
    assert len(failed(content("{{" + "a" * 5000 + "}}"), "{}")[1]) < 1100


def test_other_failures_of_rendering() -> None:
    assert failed(content(text="{{#*inline 'p'}}{{> p}}{{/inline}}{{> p}}"), "{}") == (
        "InvalidRenderingParameter",
        "Rendering the template nests too deeply",
    )
    assert failed(content(text="{{> (lookup . 'p')}}"), '{"p":"q"}') == (
        "InvalidTemplate",
        "The partial q could not be found",
    )
    # Could not have been created; an older version may have let it pass.
    assert failed(content(text="{{#if}}"), "{}")[0] == "InvalidTemplate"


def test_what_a_template_must_have() -> None:
    for subject in (None, ""):
        assert refused(check_content, "t", content(subject)) == (
            "InvalidParameterValue", "The subject must be specified.", {},
        )  # fmt: skip
    check_content("t", content("s"))
    check_content("t", content("{{a}}", "{{b}}", "{{c}}"))


@pytest.mark.parametrize(("part", "label"), [("subject", "SubjectPart"), ("text", "TextPart"), ("html", "HtmlPart")])
def test_a_broken_part_is_told(part: str, label: str) -> None:
    broken = msgspec.structs.replace(content("s", "t", "h"), **{part: "Hi\n{{#if a}}"})
    assert refused(check_content, "t", broken) == (
        "InvalidTemplate", f"{label}: line 2: {{{{#if}}}} is not closed", {"TemplateName": "t"},
    )  # fmt: skip


def test_text_and_html_have_500_kb_together() -> None:
    half = "é" * (MAX_CONTENT_BYTES // 4)
    check_content("t", content("s" * 1000, half, half))
    assert refused(check_content, "t", content("s", half, half + "x")) == (
        "LimitExceeded", "Template size exceeds 500 KB, text and HTML together.", {},
    )  # fmt: skip


def test_names() -> None:
    for name in ("a", "order-shipped", "Welcome_2", "with blank", "ünï", "x" * 64):
        check_template_name(name)
        assert is_template_name(name)
    assert refused(check_template_name, "") == ("InvalidParameterValue", "The template name must be specified.", {})
    assert refused(check_template_name, "x" * 65)[1] == "Template name cannot exceed 64 characters."
    for name in ("a\nb", "a\0", "\x7f"):
        assert refused(check_template_name, name)[1] == f"Invalid template name <{name}>."
        assert not is_template_name(name)


def test_one_more_template() -> None:
    check_new_template("t", False, MAX_TEMPLATES - 1)
    assert refused(check_new_template, "t", True, 5) == ("AlreadyExists", "Template t already exists.", {"Name": "t"})
    assert refused(check_new_template, "t", False, MAX_TEMPLATES)[0] == "LimitExceeded"


def test_the_key_of_a_content_takes_in_everything() -> None:
    keys = {
        content_key(name, content(*parts))
        for name in ("a", "b")
        for parts in (("s", None, None), ("s", "", None), ("s", None, ""), ("s", "t", None), ("st", None, None))
    }
    assert len(keys) == 10
    assert content_key("a", content("s", "t")) == content_key("a", content("s", "t"))
    assert all(len(key) == 64 for key in keys)


def test_a_subject_for_lists_is_made_only_where_it_is_quick() -> None:
    def subject(template: str, data: str = '{"a": 1, "list": [1, 2]}') -> str:
        return render_subject(TemplateContent(subject=template, text="{{missing}}", html=None), data)

    assert subject("Hello {{a}}\n!") == "Hello 1 !"
    assert subject("{{#each list}}{{#each ../list}}x{{/each}}{{/each}}") == "xxxx"
    assert subject("{{missing}}") == ""
    assert subject("Hello", "no data") == ""
    assert subject("{{#if") == ""
    assert subject("x" * (MAX_QUICK_SUBJECT + 1)) == ""
    assert subject("{{#each @root.list}}" * 12 + "x" + "{{/each}}" * 12) == ""
