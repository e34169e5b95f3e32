"""SES's header fields about verdicts, written and defended."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.verdicts import Authentication, DkimResult, DmarcResult, SpfResult, Verdict, Verdicts
from posthouse.mail import headers
from posthouse.mail.verdict_headers import added_head, is_forged, receipt_token, with_verdicts

FOUND = Authentication(
    client_ip="198.51.100.140",
    helo="mx.partner.example",
    spf=SpfResult(result="pass", domain="partner.example", sender="amy@partner.example"),
    dkim=(DkimResult(result="pass", domain="partner.example", identity="@partner.example"),),
    dmarc=DmarcResult(result="pass", author_domain="partner.example"),
)
ALL = Verdicts(authentication=FOUND, spam=Verdict.PASS, virus=Verdict.PASS)
KEPT = (
    b"Return-Path: <amy@partner.example>\r\nReceived: from mx.partner.example ([198.51.100.140])\r\n by in.example\r\n"
    b"From: Amy <amy@partner.example>\r\nTo: help@in.shop.example\r\n\r\nHello\r\n"
)


def head_of(verdicts: Verdicts) -> list[tuple[str, str]]:
    """Names and unfolded values, as a notification shows them."""
    return [
        (field.name, field.value) for field in headers.fields(added_head(verdicts, "amazonses.com", "UkVDRUlQVA=="))
    ]


def found(**changes: object) -> Verdicts:
    return msgspec.structs.replace(ALL, authentication=msgspec.structs.replace(FOUND, **changes))


def test_the_fields_are_those_of_ses_byte_for_byte() -> None:
    """ses-payloads/received-sns-utf8.json, and mail in S3 for where SES folds."""
    spf = (
        "pass (spfCheck: domain of partner.example designates 198.51.100.140 as permitted sender) "
        "client-ip=198.51.100.140; envelope-from=amy@partner.example; helo=mx.partner.example;"
    )
    assert added_head(ALL, "amazonses.com", "UkVDRUlQVA==").decode() == (
        "X-SES-Spam-Verdict: PASS\r\n"
        "X-SES-Virus-Verdict: PASS\r\n"
        f"Received-SPF: {spf}\r\n"
        f"Authentication-Results: amazonses.com;\r\n spf={spf}\r\n"
        " dkim=pass header.i=@partner.example;\r\n"
        " dmarc=pass header.from=partner.example;\r\n"
        "X-SES-RECEIPT: UkVDRUlQVA==\r\n"
    )


def test_scans_nobody_asked_for_leave_no_field_and_a_mail_without_signature_no_result() -> None:
    """As mail that SES received under a rule without scanning, unsigned and softfailing, was seen to be."""
    spf = SpfResult(result="softfail", domain="partner.example", sender="amy@partner.example")
    names = dict(head_of(found(dkim=(), spf=spf, dmarc=DmarcResult(result="none")).for_rule(False)))
    assert list(names) == ["Received-SPF", "Authentication-Results", "X-SES-RECEIPT"]
    assert names["Received-SPF"].startswith(
        "softfail (spfCheck: transitioning domain of partner.example does not designate 198.51.100.140 "
    )
    assert "dkim=" not in names["Authentication-Results"]
    assert names["Authentication-Results"].endswith(" dmarc=none;")


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ("fail", "domain of partner.example does not designate 198.51.100.140 as permitted sender"),
        ("neutral", "198.51.100.140 is neither permitted nor denied by domain of partner.example"),
        ("none", "198.51.100.140 is neither permitted nor denied by domain of partner.example"),
        ("permerror", "Error in processing SPF Record"),
        ("temperror", "Error in retrieving data from DNS"),
    ],
)
def test_each_result_of_spf_has_its_words(result: str, says: str) -> None:
    spf = SpfResult(result=result, sender="amy@partner.example")
    assert dict(head_of(found(spf=spf)))["Received-SPF"].startswith(f"{result} (spfCheck: {says}) client-ip=")


def test_results_of_several_signatures_stand_one_below_the_other() -> None:
    dkim = (DkimResult(result="fail", domain="a.example", identity="x@a.example"), *FOUND.dkim)
    value = dict(head_of(found(dkim=dkim)))["Authentication-Results"]
    assert " dkim=fail header.i=x@a.example; dkim=pass header.i=@partner.example; dmarc=" in value


@pytest.mark.parametrize(
    "text",
    [
        "x; dkim=pass header.i=@bank.example",
        "x) dmarc=pass (",
        "dmarc=pass@evil.example",
        "DKIM=pass.evil.example",
        "x\r\nAuthentication-Results: amazonses.com; dmarc=pass",
        '"; dmarc=pass; "@evil.example',
        "dm\x00arc=pass",
        "spf=pass dkim=pass" * 100,
    ],
)
def test_a_strangers_text_is_no_result(text: str) -> None:
    spf = SpfResult(result="fail", domain=text, sender=text)
    failed = found(helo=text, spf=spf, dkim=(), dmarc=DmarcResult(result="fail", author_domain="partner.example"))
    fields = head_of(failed)
    assert [name for name, _ in fields] == [name for name, _ in head_of(ALL)]
    value = dict(fields)["Authentication-Results"]
    results = [piece.strip() for piece in value.split(";")[1:]]
    assert results[0].startswith("spf=fail (spfCheck: ")
    assert results[-2] == "dmarc=fail header.from=partner.example"
    assert "dmarc=pass" not in value.lower()
    assert "dkim=pass" not in value.lower()
    assert "spf=pass" not in value.lower()


@given(st.text(max_size=1500), st.text(max_size=1500), st.text(max_size=500))
def test_any_text_makes_the_same_fields(helo: str, sender: str, domain: str) -> None:
    spf = SpfResult(result="pass", domain=domain, sender=sender)
    made = added_head(found(helo=helo, spf=spf, client_ip=domain), "ses.example", "x")
    assert [field.name for field in headers.fields(made)] == [
        *("X-SES-Spam-Verdict", "X-SES-Virus-Verdict", "Received-SPF", "Authentication-Results", "X-SES-RECEIPT")
    ]
    assert all(len(line) <= 998 for line in made.split(b"\r\n"))
    assert made.isascii()


# -- into the mail


def test_they_stand_below_the_trace_and_above_the_mail() -> None:
    made = with_verdicts(KEPT, added_head(ALL, "amazonses.com", "x"), "amazonses.com")
    names = [field.name for field in headers.read(made).fields]
    assert names == [
        *("Return-Path", "Received", "X-SES-Spam-Verdict", "X-SES-Virus-Verdict", "Received-SPF"),
        *("Authentication-Results", "X-SES-RECEIPT", "From", "To"),
    ]
    assert made.endswith(b"\r\n\r\nHello\r\n")


@pytest.mark.parametrize(
    "forged",
    [
        b"Authentication-Results: amazonses.com; dmarc=pass\r\n",
        b"authentication-results:AMAZONSES.COM;dmarc=pass\r\n",
        b"Authentication-Results: (a (nested) comment) amazonses.com 1; dmarc=pass\r\n",
        b'Authentication-Results: "amazonses.com"; dmarc=pass\r\n',
        b'Authentication-Results: "amazon\\ses.com" 1; dmarc=pass\r\n',
        b"Authentication-Results:\r\n\tamazonses.com\r\n\t; dmarc=pass\r\n",
        b"Authentication-Results: amazonses.com. ; dmarc=pass\r\n",
        b"Authentication-Results : amazonses.com(x); dmarc=pass\r\n",
        b"X-SES-Spam-Verdict: PASS\r\n",
        b"x-ses-virus-verdict: PASS\r\n",
        b"X-SES-RECEIPT: QQ==\r\n",
    ],
)
def test_what_others_wrote_in_our_name_is_removed(forged: bytes) -> None:
    """RFC 8601 section 5."""
    mail = KEPT.replace(b"From:", forged + b"From:")
    assert with_verdicts(mail, b"", "amazonses.com") == KEPT


@pytest.mark.parametrize(
    "honest",
    [
        b"Authentication-Results: mx.google.com; dmarc=pass\r\n",
        b"Authentication-Results: not.amazonses.com; dmarc=pass\r\n",
        b"Authentication-Results: x; reason=amazonses.com;\r\n",
        b"ARC-Authentication-Results: i=1; amazonses.com; dmarc=pass\r\n",
        b"Received-SPF: pass\r\n",
    ],
)
def test_the_word_of_others_stays(honest: bytes) -> None:
    mail = KEPT.replace(b"From:", honest + b"From:")
    assert with_verdicts(mail, b"", "amazonses.com") == mail


def test_a_mail_without_trace_or_empty_line_is_taken_too() -> None:
    assert with_verdicts(b"From: a@b", b"X: y\r\n", "s.example") == b"X: y\r\nFrom: a@b\r\n\r\n"
    assert with_verdicts(b"", b"X: y\r\n", "s.example") == b"X: y\r\n\r\n"


@given(st.binary(max_size=300))
def test_any_field_is_forged_or_not(value: bytes) -> None:
    for field in headers.fields(b"Authentication-Results: " + value):
        assert is_forged(field, "amazonses.com") in (True, False)


def test_deep_comments_cost_no_more_than_flat_ones() -> None:
    field = headers.fields(b"Authentication-Results: " + b"(" * 100_000 + b"amazonses.com;\r\n")[0]
    assert not is_forged(field, "amazonses.com")


def test_a_receipt_is_of_one_mail_and_its_verdicts() -> None:
    token = receipt_token(b"key", "m1", "111111111111/us-east-1", ALL)
    assert token == receipt_token(b"key", "m1", "111111111111/us-east-1", ALL)
    others = [
        receipt_token(b"other", "m1", "111111111111/us-east-1", ALL),
        receipt_token(b"key", "m2", "111111111111/us-east-1", ALL),
        receipt_token(b"key", "m1", "222222222222/us-east-1", ALL),
        receipt_token(b"key", "m1", "111111111111/us-east-1", ALL.for_rule(False)),
    ]
    assert token not in others
    assert token.isascii()
