"""The words of verification mail, and custom ones as messages."""

import base64
import email
import email.policy
import re
from email.message import EmailMessage

from posthouse.domain.scope import Scope
from posthouse.domain.verification_html import read_content
from posthouse.mail.compose import compose
from posthouse.mail.verification import NOTICE, custom_draft, plain_words, verification_draft, with_images

SCOPE = Scope("111111111111", "eu-west-1")
URL = "http://mail.example.org/verify/" + "Ab-_" * 60
PICTURE = bytes(range(256)) * 3


def read(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def custom(content: str) -> EmailMessage:
    found = read_content(content)
    draft = custom_draft("a@b.example", "ann@x.example", "Grüße", content, found, URL, "posthouse.test")
    return read(with_images(draft, found, "mark") if found.images else compose(draft, "id"))


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_our_mail_has_the_link_whole_in_text_and_html() -> None:
    draft = verification_draft("ann@x.example", SCOPE, URL, "posthouse.test")
    message = read(compose(draft, "id"))
    assert message["From"] == "Posthouse <no-reply@posthouse.test>"
    assert message["To"] == "ann@x.example"
    assert message["Subject"] == "Posthouse - Email Address Verification Request in region eu-west-1"
    assert URL in body(message, "plain").splitlines()
    assert body(message, "html").count(f'href="{URL}"') == 2
    for kind in ("plain", "html"):
        assert "ann@x.example" in body(message, kind)
        assert "111111111111" in body(message, kind)


def test_an_address_is_never_markup_of_our_mail() -> None:
    draft = verification_draft('"<script>"@x.example', SCOPE, URL, "posthouse.test")
    assert draft.html is not None
    assert "<script>" not in draft.html.data


def test_a_custom_mail_is_the_content_then_the_link_and_the_notice() -> None:
    message = custom("<html><body><h1>Welcome &amp; hello</h1><p>One  step</p></body></html>")
    html = body(message, "html")
    assert re.search(rf'</p>\s*<p><a href="{URL}">.*postmaster@posthouse\.test.*</body></html>', html, re.DOTALL)
    assert NOTICE in html
    assert message["Subject"] == "Grüße"
    text = body(message, "plain")
    assert text.startswith("Welcome & hello\n\nOne step\n\n" + URL)
    assert NOTICE in text


def test_the_notice_stands_outside_of_what_the_content_left_open() -> None:
    html = body(custom("<div><textarea>x"), "html")
    assert html.startswith("<div><textarea>x</textarea></div>\n<p><a href=")


def test_base64_images_become_parts_that_the_content_refers_to() -> None:
    written = base64.b64encode(PICTURE).decode()
    message = custom(
        f"<p>x</p><img src='data:image/png;base64,{written}'></body><img src=data:image/jpg;base64,{written}>"
    )
    html = body(message, "html")
    assert message.get_content_type() == "multipart/related"
    assert "data:" not in html
    parts = [part for part in message.walk() if part.get_content_maintype() == "image"]
    assert [part.get_content_type() for part in parts] == ["image/png", "image/jpeg"]
    for part in parts:
        assert part.get_content() == PICTURE
        assert part.get_content_disposition() == "inline"
        assert f"cid:{part['Content-ID'].strip('<>')}" in html


def test_words_without_markup_have_a_line_for_each_block() -> None:
    read_ = read_content("<p>a <b>b</b>\n c</p><p> </p>d<br>e<table><tr><td>f</td><td>g</td></tr></table>")
    assert plain_words(read_.pieces) == "a b c\n\nd\n\ne\n\nfg"
