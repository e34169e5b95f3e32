"""The allow-list of custom verification e-mails."""

import base64

import pytest

from posthouse.domain.verification_html import ALLOWED, MAX_TAGS, read_content
from posthouse.model.generated import CustomVerificationEmailInvalidContentException

PIXEL = base64.b64encode(b"GIF89a" + bytes(20)).decode()


def refusal(content: str) -> str:
    with pytest.raises(CustomVerificationEmailInvalidContentException) as error:
        read_content(content)
    assert error.value.code == "CustomVerificationEmailInvalidContent"
    return error.value.message


@pytest.mark.parametrize("tag", sorted(ALLOWED))
def test_every_tag_and_attribute_of_the_list_is_taken(tag: str) -> None:
    for name in ALLOWED[tag]:
        value = "https://x.example/i.png" if name == "src" else "1"
        read_content(f"<{tag} {name}=\"{value}\" {name.upper()} = '{value}' {name}={value}>x</{tag.upper()}>")


def test_a_page_as_the_developer_guide_shows_is_taken() -> None:
    page = "<html>\n<head></head>\n<body style='font-family:sans-serif;'>\n<h1 style='text-align:center'>Ready?</h1>"
    read = read_content(f"{page}<p>1 < 2 &amp; 3 <br/>done</p><hr /></body>\n</html>")
    assert read.end == (f"{page}<p>1 < 2 &amp; 3 <br/>done</p><hr />").__len__()
    assert read.left_open == []


@pytest.mark.parametrize(
    "content",
    [
        "<script>x</script>", "<a href='https://x.example'>x</a>", "<style>p{}</style>", "<iframe>", "<svg>", "<meta>",
        "<link>", "<object>", "<title>x</title>", "<x-y>", "<p\u212a>", "<base>", "<xmp>", "<noscript>", "<plaintext>",
    ],
)  # fmt: skip
def test_a_tag_that_is_not_on_the_list_is_refused(content: str) -> None:
    assert "is not allowed" in refusal(content)


@pytest.mark.parametrize(
    "content", ["<p onclick=x>", "<p href=x>", "<img onerror>", "<p width=1>", "<form action=x>", "<p style=a onx=b>"]
)
def test_an_attribute_that_is_not_on_the_list_is_refused(content: str) -> None:
    assert "attribute" in refusal(content)


@pytest.mark.parametrize("content", ["<!-- x -->", "<p><!--", "<!doctype html><!--x-->"])
def test_comments_are_refused(content: str) -> None:
    assert "comments" in refusal(content)


@pytest.mark.parametrize(
    "content",
    [
        "<p", "<p class='x", "<p class=\"x>", "<p class==x>", "</", "<?php ?>", "<![CDATA[x]]>", "<!x>", "<p<b>",
        "<textarea><b title=\"</textarea><script>alert(1)</script>\">", "<p title='<'>", "x<!doctype html>", "<p ' >",
    ],
)  # fmt: skip
def test_what_two_readers_might_read_differently_is_refused(content: str) -> None:
    assert "invalid" in refusal(content)


@pytest.mark.parametrize("content", ["", "  \n"])
def test_no_content_is_refused(content: str) -> None:
    assert "empty" in refusal(content)


def test_images_are_hosted_or_written_in_base64() -> None:
    content = f"<img src=' HTTPS://x.example/a.png'><p><img alt=x src='data:image/gif;base64,{PIXEL}'>"
    read = read_content(content)
    assert [content[image.start : image.end] for image in read.images] == [f"data:image/gif;base64,{PIXEL}"]
    assert (read.images[0].subtype, read.images[0].base64) == ("gif", PIXEL)


@pytest.mark.parametrize(
    "source",
    [
        "", "x.png", "/x.png", "javascript:alert(1)", "&#106;avascript:alert(1)", "data:text/html;base64,AAAA", "cid:x",
        "data:image/svg+xml;base64,AAAA", "data:image/png,x", "data:image/png;base64,*", "file:///x", "https://",
    ],
)  # fmt: skip
def test_an_image_from_elsewhere_is_refused(source: str) -> None:
    assert "image" in refusal(f'<img src="{source}">')


def test_elements_that_nobody_closed_are_told_outermost_first() -> None:
    read = read_content("<div><p>a<p>b</div></b></b><textarea>x<select></body></html>")
    assert read.left_open == ["textarea", "select"]


def test_content_has_a_limit() -> None:
    assert "longer than" in refusal("é" * (5 * 1024 * 1024 + 1))
    assert "tags" in refusal("<b>" * (MAX_TAGS + 1))
    read_content("x" * (10 * 1024 * 1024))


@pytest.mark.parametrize(
    "piece",
    [
        "<p class='", "< ", "<p ", "</p", "<p class=x ", "&#", "<!doctype ", "</b>", "<p a", "'\"", "<img src='data:",
        "<b><i></b></i>", " ", "A ",
    ],
)  # fmt: skip
def test_hostile_content_is_read_in_linear_time(piece: str) -> None:
    """Two megabytes that a reader with backtracking would spend hours on; no clock needed to notice that."""
    content = piece * (2 * 1024 * 1024 // len(piece))
    for text in (content, content + ">", content + "<script>", f"<img src='data:image/png;base64,AAAA{content}'>"):
        try:
            read_content(text)
        except CustomVerificationEmailInvalidContentException:
            continue
