"""Tracking in whole messages: which parts, in which transfer encodings, and what stays as it was."""

import binascii
import email
import email.policy
from collections.abc import Sequence

import pytest
from tests.unit.mail.newsletters import NEWSLETTERS

from posthouse.mail import headers, tracking
from posthouse.mail.headers import Message
from posthouse.mail.tracking import Plan, Target
from posthouse.mail.transfer import has_long_line

HTML = b'<p>Hi <a href="https://a.example/?x=1&amp;y=2">there</a></p>'
LONG = "https://track.example.org/t/c/" + "aB3_-" * 40


def link(target: Target) -> str:
    return f"{LONG}/{target.number}"


BOTH = Plan(link, LONG)
CLICKS = Plan(link, None)
WANTED = HTML.replace(b"https://a.example/?x=1&amp;y=2", f"{LONG}/1".encode())


def message(*head: str, body: bytes) -> Message:
    return headers.read("".join(f"{line}\r\n" for line in head).encode() + b"\r\n" + body)


def multipart(subtype: str, *parts: tuple[str, bytes], boundary: str = "b") -> tuple[str, bytes]:
    mark = f"--{boundary}".encode()
    pieces = [b"%b\r\n%b\r\n\r\n%b\r\n" % (mark, head.encode(), body) for head, body in parts]
    return f'Content-Type: multipart/{subtype}; boundary="{boundary}"', b"".join([*pieces, mark, b"--\r\n"])


def contents(message: Message, content_type: str = "text/html") -> Sequence[bytes]:
    """Decoded parts of a type, as the standard library reads them."""
    read = email.message_from_bytes(message.to_bytes(), policy=email.policy.default)
    return [part.get_payload(decode=True) for part in read.walk() if part.get_content_type() == content_type]


def tracked(message: Message, plan: Plan = CLICKS) -> Message:
    changed = tracking.rewrite(message, plan)
    assert changed is not None
    return changed


def test_text_and_pictures_keep_their_bytes() -> None:
    html = ("Content-Type: text/html; charset=utf-8", HTML)
    others = (
        ("Content-Type: text/plain", b"https://a.example/"),
        ("Content-Type: image/png", b"\x89PNG<a href=https://a.example/>"),
    )
    head, body = multipart("mixed", others[0], html, others[1])
    changed = tracked(message(head, body=b"preamble\r\n" + body + b"epilogue\r\n"))
    assert (
        changed.to_bytes()
        == message(head, body=b"preamble\r\n" + body.replace(HTML, WANTED) + b"epilogue\r\n").to_bytes()
    )


@pytest.mark.parametrize("encoding", ["7bit", "8BIT", "binary", "quoted-printable", " Base64", ""])
@pytest.mark.parametrize("name", NEWSLETTERS)
def test_decoded_content_is_the_same_in_every_encoding(name: str, encoding: str) -> None:
    html = NEWSLETTERS[name][0].replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    kind = encoding.strip().lower()
    encoded = html
    if kind == "base64":
        encoded = binascii.b2a_base64(html)[:-1]
    elif kind == "quoted-printable":
        encoded = binascii.b2a_qp(html + b"\r\n", istext=True)[:-2]
    head = ["Content-Type: text/html", *([f"Content-Transfer-Encoding: {encoding}"] if encoding else [])]
    original = message(*head, body=encoded)
    changed = tracked(original, BOTH)
    in_binary = tracked(message("Content-Type: text/html", "Content-Transfer-Encoding: binary", body=html), BOTH)
    assert contents(changed) == [in_binary.body]
    assert kind == "binary" or not has_long_line(changed.body)
    rest = [field.raw for field in changed.fields if field.key != b"content-transfer-encoding"]
    assert rest == [field.raw for field in original.fields if field.key != b"content-transfer-encoding"]


def test_quoted_printable_is_edited_where_it_stands() -> None:
    start = b'<p>Gr=C3=BC=DF=\r\n=20<a class=3Dx href=3D"'
    rest = b">=E2=82\r\nodd= \r\nly written=3d=2E  \r\n</p>"
    body = start + b'https://a.=\r\nexample/=3Fx" ses:=\r\ntags=3Dx:y' + rest
    targets: list[Target] = []

    def long_link(target: Target) -> str:
        targets.append(target)
        return "https://t.example/?" + "x" * 53 + "=-" + "y" * 73 + "-z"

    head = ("Content-Type: text/html", "Content-Transfer-Encoding: quoted-printable")
    changed = tracked(message(*head, body=body), Plan(long_link, None))
    lines = [b"=", b"https://t.example/?" + b"x" * 53 + b"=", b"=3D-" + b"y" * 69 + b"=", b"yyyy-z=", b'"=', b""]
    assert changed.body == start + b"\r\n".join(lines) + rest
    assert targets == [Target("https://a.example/?x", 1, (("x", "y"),))]


def test_an_equals_sign_that_escapes_nothing_still_does_so() -> None:
    body = b"<p>=<a href=https://a.example/>=4{{ses:openTracker}}1</p>"
    head = ("Content-Type: text/html", "Content-Transfer-Encoding: quoted-printable")
    changed = tracked(message(*head, body=body))
    assert contents(changed) == [f"<p>=<a href={LONG}/1>=41</p>".encode()]


def test_a_line_too_long_makes_a_part_quoted_printable() -> None:
    html = b"<p>=" + b"x" * 970 + b'<a href="https://a.example/">x</a>\r\n.\r\n'
    head, body = multipart(
        "mixed",
        ("Content-Type: text/plain", b"x"),
        ("Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\nX-Y: z", html),
    )
    changed = tracked(message(head, body=body))
    assert (
        b"\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\nX-Y: z\r\n\r\n" in changed.body
    )
    assert contents(changed) == [html.replace(b"https://a.example/", f"{LONG}/1".encode())]
    alone = tracked(message("Content-Type: text/html", "X-Y: z", body=html))
    assert [field.name for field in alone.fields] == ["Content-Type", "X-Y", "Content-Transfer-Encoding"]
    assert contents(alone) == contents(changed)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Content-Type: text/plain", HTML),
        ("Content-Type: text/x-amp-html", HTML),
        ("Content-Type: text/html\r\nContent-Disposition: attachment", HTML),
        ("Content-Type: text/html\r\nContent-Disposition: ATTACHMENT; filename=x.html", HTML),
        ("Content-Type: text/html; name=x.html", HTML),
        ("Content-Type: text/html; charset=utf-16le", HTML.decode().encode("utf-16-le")),
        ("Content-Type: text/html; charset=UTF-32", HTML.decode().encode("utf-32")),
        ("Content-Type: text/html", HTML.decode().encode("utf-16")),
        ("Content-Type: text/html; charset=hz-gb-2312", HTML),
        ("Content-Type: text/html\r\nContent-Transfer-Encoding: x-uuencode", HTML),
        (
            "Content-Type: text/html\r\nContent-Transfer-Encoding: base64",
            binascii.b2a_base64(HTML) + b"-- \r\na list's footer",
        ),
        ("Content-Type: application/pkcs7-mime", HTML),
        ("Content-Type: message/rfc822", b"Content-Type: text/html\r\n\r\n" + HTML),
        multipart(
            "signed", ("Content-Type: text/html", HTML), ("Content-Type: application/pgp-signature", b"x"), boundary="s"
        ),
        multipart("encrypted", ("Content-Type: text/html", HTML), boundary="s"),
    ],
)
def test_what_is_no_page_or_not_ours_to_change_is_left_alone(head: str, body: bytes) -> None:
    assert tracking.rewrite(message(head, body=body), BOTH) is None
    outer, whole = multipart("mixed", (head, body), ("Content-Type: text/plain", b"x"), boundary="outer")
    assert tracking.rewrite(message(outer, body=whole), BOTH) is None


def test_mail_beside_a_signed_part_is_tracked() -> None:
    head, signed = multipart("signed", ("Content-Type: text/html", HTML), boundary="s")
    outer, body = multipart("mixed", ("Content-Type: text/html", HTML), (head, signed), boundary="outer")
    changed = tracked(message(outer, body=body), BOTH)
    assert signed in changed.body
    assert changed.body.count(HTML) == 1


def test_a_message_has_one_pixel_and_links_count_through() -> None:
    inner, alternative = multipart(
        "alternative", ("Content-Type: text/plain", b"x"), ("Content-Type: text/html", HTML), boundary="inner"
    )
    outer, body = multipart("mixed", (inner, alternative), ("Content-Type: text/html", HTML), boundary="outer")
    first, second = contents(tracked(message(outer, body=body), BOTH))
    assert (first.count(b"<img"), second.count(b"<img")) == (1, 0)
    assert f'{LONG}/1"'.encode() in first
    assert f'{LONG}/2"'.encode() in second
    body = body[: body.rindex(HTML)] + b"{{ses:openTracker}}" + body[body.rindex(HTML) :]
    first, second = contents(tracked(message(outer, body=body), BOTH))
    assert (first.count(b"<img"), second.count(b"<img")) == (0, 1)
    assert second.startswith(b"<img")


def test_two_byte_characters_that_look_like_tags_are_none() -> None:
    text = "<p>\u65b0\u7740\u60c5\u5831 <a href='https://a.example/'>\u65b0</a>"
    html = text.encode("iso-2022-jp")
    disguised = html + "\u3000".encode("iso-2022-jp").replace(b"!!", b"<a href=https://b.example/>")
    changed = tracked(message("Content-Type: text/html; charset=ISO-2022-JP", body=disguised))
    assert changed.body == disguised.replace(b"https://a.example/", f"{LONG}/1".encode())


def test_nothing_to_track_is_no_change() -> None:
    assert tracking.rewrite(message("Content-Type: text/html", body=b"<p>x</p>"), CLICKS) is None
    assert tracking.rewrite(message("Content-Type: text/html", body=HTML), Plan(None, None)) is None
    assert tracking.rewrite(message(body=HTML), BOTH) is None
    head, _ = multipart("mixed")
    assert tracking.rewrite(message(head, body=b"no parts"), BOTH) is None


def test_a_boundary_that_is_a_dash_away_survives() -> None:
    """A link's folded line may begin with what is the boundary; it is escaped then."""
    html = b"<a href=3Dhttps://a.example/>x</a>"
    head, body = multipart(
        "mixed", ("Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable", html), boundary="-" * 20
    )
    changed = tracked(message(head, body=body), Plan(lambda _: "https://t.example/" + "-" * 300, None))
    assert contents(changed) == [b"<a href=https://t.example/" + b"-" * 300 + b">x</a>"]
