"""Links and pixel in HTML, with a browser's parser as judge of what was changed and what was not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.html_oracle import LINK, PIXEL, Tracked
from tests.unit.mail.newsletters import NEWSLETTERS

from posthouse.mail.tracking import MAX_LINKS, MAX_TARGET

PIXEL_TAG = f'<img alt="" src="{PIXEL}" style="display: none; width: 1px; height: 1px;">'.encode()


@pytest.mark.parametrize("name", NEWSLETTERS)
def test_a_browser_sees_the_same_page_with_tracked_links(name: str) -> None:
    html, links = NEWSLETTERS[name]
    tracked = Tracked(html, opens=False)
    assert len(tracked.targets) == links
    tracked.check()


@pytest.mark.parametrize("name", NEWSLETTERS)
def test_a_browser_sees_one_picture_more(name: str) -> None:
    tracked = Tracked(NEWSLETTERS[name][0], clicks=False)
    assert tracked.after.replace(PIXEL_TAG, b"") == tracked.html
    if name != "plaintext":
        tracked.check()


def one(html: bytes) -> str:
    """Where the only link of an HTML text leads to."""
    [target] = Tracked(html).targets
    return target.url


def test_nothing_else_changes() -> None:
    html = b"<P  CLASS = x >\xff&nbsp<A\tHREF='http://a.example/' ID=1>\r\n  x</a ></p>"
    tracked = Tracked(html, opens=False)
    assert tracked.after == html.replace(b"http://a.example/", f"{LINK}1".encode())


def test_the_target_is_what_a_browser_would_follow() -> None:
    assert one(b'<a href=" https://a.example/?a=1&amp;b=2&copy=3&#38;d&reg=4&sect5 ">') == (
        "https://a.example/?a=1&b=2&copy=3&d&reg=4&sect5"
    )


def test_links_are_numbered_in_order() -> None:
    targets = Tracked(b"<a href=https://a.example/><a href=https://b.example/><a href=https://a.example/>").targets
    assert [(t.number, t.url[8]) for t in targets] == [(1, "a"), (2, "b"), (3, "a")]


def test_no_more_than_250_links_and_none_too_long() -> None:
    tracked = Tracked(b"<a ses:tags=a:b href=https://a.example/>" * 251)
    assert len(tracked.targets) == MAX_LINKS
    assert tracked.after.count(b"https://a.example/") == 1
    assert b"ses:tags" not in tracked.after
    url = b"https://a.example/".ljust(MAX_TARGET, b"x")
    assert len(Tracked(b"<a href=%b>" % url).targets) == 1
    assert not Tracked(b"<a href=%bx>" % url).targets
    assert not Tracked(b"<a ses:tags=a:b href=%b>" % url).targets


def test_tags_travel_with_their_link() -> None:
    html = (
        b'<a href="https://a.example/" ses:tags=" Color:red; size : XL ;Color:b-1_;no;:x;y:;a b:c;d:e\xc3\xa9;">x</a>'
    )
    tracked = Tracked(html, opens=False)
    assert tracked.targets[0].tags == (("Color", "red"), ("size", "XL"), ("Color", "b-1_"))
    assert tracked.after == f'<a href="{LINK}1">x</a>'.encode()


def test_what_is_not_to_be_tracked_loses_the_word_alone() -> None:
    tracked = Tracked(b'<a ses:no-track ses:tags="a:b" href="https://a.example/u?t=1&x=2">x</a>', opens=False)
    assert (tracked.targets, tracked.after) == ([], b'<a href="https://a.example/u?t=1&x=2">x</a>')


def test_without_click_tracking_attributes_stay() -> None:
    html = b'<a ses:no-track href="https://a.example/">x</a>'
    assert Tracked(html, clicks=False, opens=False).after == html


@pytest.mark.parametrize(
    ("html", "where"),
    [
        (b"<p>x</p>", b"<p>x</p>@"),
        (b"<p>x</p>\r\n \r\n", b"<p>x</p>@\r\n \r\n"),
        (b"<body>x</body></html>\r\n", b"<body>x@</body></html>\r\n"),
        (b"<body>x</BODY\n>y</body>z", b"<body>x</BODY\n>y@</body>z"),
        (b"<body>x<!-- </body> -->", b"<body>x<!-- </body> -->@"),
        (b"<p>x<!-- never closed </body>", b"<p>x@<!-- never closed </body>"),
        (b'<p>x<img alt="never closed', b'<p>x@<img alt="never closed'),
        (b"{{ses:openTracker}}<p>x {{ses:openTracker}}</body>", b"@<p>x </body>"),
        (b"<p>x</p>{{ses:openTracker}}", b"<p>x</p>@"),
        (b'<!--{{ses:openTracker}}--><p title="{{ses:openTracker}}">{{ses:openTracker}}', b'<!----><p title="">@'),
        (b"<title>{{ses:openTracker}}</title></body>", b"<title></title>@</body>"),
    ],
)
def test_the_pixel_has_its_place(html: bytes, where: bytes) -> None:
    assert Tracked(html, clicks=False).after == where.replace(b"@", PIXEL_TAG)


def test_without_open_tracking_nobody_sees_its_placeholder() -> None:
    assert Tracked(b"<p>x{{ses:openTracker}}y</p>", opens=False).after == b"<p>xy</p>"


def test_a_placeholder_in_an_attribute_that_goes_goes_with_it() -> None:
    tracked = Tracked(b'<a ses:tags="{{ses:openTracker}}" href=https://a.example/>x</a>', opens=False)
    assert tracked.after == f"<a href={LINK}1>x</a>".encode()


PIECES = [
    *(b"<a ", b"<A", b"<a\t", b"</a>", b"<p>", b"</p>", b"<b>", b"</b>", b"<img ", b"<table>", b"<td>", b"</table>"),
    *(b'href="', b"href='", b"href=", b"HREF = ", b'"', b"'", b">", b"/>", b"/", b"=", b" ", b"\n", b"<", b"&", b";"),
    *(b"https://a.example/", b"http://b.example/?x=1&amp;y=2", b"mailto:a@b", b"x", b"&copy", b"&#38;", b"#"),
    *(b" ses:no-track ", b' ses:tags="k:v"', b" ses:tags=a:b", b"<!--", b"-->", b"--!>", b"<!-->", b"<![if x]>", b"<?"),
    *(b"<script>", b"</script>", b"<style>", b"</style>", b"<title>", b"</title>", b"<textarea>", b"</textarea>"),
    *(b"<!doctype html>", b"</", b"</body>", b"<body>", b"</html>", b"\xc3\xa9", b"<br/>", b"<div class=x>", b"</div>"),
    *(b"<!-- <script>", b"<noscript>", b"</noscript>", b"<xmp>", b"</xmp>", b"<script/>", b"<iframe>", b"</iframe>"),
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join))
def test_whatever_the_html_a_browser_sees_it_as_it_was(html: bytes) -> None:
    Tracked(html, opens=False).check()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join))
def test_whatever_the_html_a_pixel_changes_no_other_byte(html: bytes) -> None:
    tracked = Tracked(html, clicks=False)
    assert tracked.after.count(PIXEL_TAG) == 1
    assert tracked.after.replace(PIXEL_TAG, b"") == html


@pytest.mark.parametrize(
    "piece",
    [
        *(
            b"<",
            b"<a",
            b"<a ",
            b"<a href=",
            b"<a href='",
            b"<!--",
            b"<!--x",
            b"--",
            b"<![CDATA[",
            b"<svg>",
            b"</",
            b"&",
        ),
        *(b"<script>", b"<script><!--", b"<script ", b"<title>", b"</title", b"<?", b"<!x", b"a=", b'"', b"= ", b"/ "),
        *(
            b"<a href=https://x.example/?",
            b'<a href="&',
            b"<a ses:tags=a:b;",
            b"{{ses:openTracker}}",
            b"&amp",
            b"<a &#",
        ),
    ],
)
def test_hostile_html_takes_no_more_time_than_it_has_bytes(piece: bytes) -> None:
    # Twenty thousand times a piece: with anything quadratic in it this would take minutes.
    Tracked(b"<p>" + piece * (400_000 // len(piece)))
    Tracked(b'<a href="' + piece * (400_000 // len(piece)) + b'">')
    Tracked(b"<script>" + piece * (400_000 // len(piece)))
