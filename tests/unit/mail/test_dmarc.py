"""DMARC by RFC 9989: records, the tree walk, alignment and policy. Examples are those of its text where it has any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail import dmarc, headers
from posthouse.mail.dmarc import Ask, Evaluation, Identifier, Policy, Record

Zone = dict[str, str | None]
"""Domain -> its policy record; None: the DNS fails. Other names have none."""


def evaluate(author: str, zone: Zone, *identifiers: Identifier, missing: tuple[str, ...] = ()) -> Evaluation:
    return asked(author, zone, *identifiers, missing=missing)[0]


def asked(
    author: str, zone: Zone, *identifiers: Identifier, missing: tuple[str, ...] = ()
) -> tuple[Evaluation, list[Ask]]:
    """The evaluation and what it asked; `missing` are domains that do not exist."""
    evaluating, questions = dmarc.evaluate(author, identifiers), []
    try:
        ask = next(evaluating)
        while True:
            questions.append(ask)
            if ask.kind == "exists":
                ask = evaluating.send(() if ask.domain in missing else ("there",))
            else:
                record = zone.get(ask.domain, "")
                ask = evaluating.send(None if record is None else (record,) if record else ())
    except StopIteration as end:
        return end.value, questions


def spf(domain: str, outcome: str = "pass") -> Identifier:
    return Identifier("spf", domain, outcome)  # type: ignore[arg-type]


def dkim(domain: str, outcome: str = "pass") -> Identifier:
    return Identifier("dkim", domain, outcome)  # type: ignore[arg-type]


# -- records


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("v=DMARC1; p=reject", Record(p=Policy.REJECT)),
        ("v = DMARC1;p = Quarantine ;", Record(p=Policy.QUARANTINE)),
        ("v=DMARC1; p=reject; pct=0; ri=86400; rf=afrf", Record(p=Policy.REJECT)),
        ("v=DMARC1; p=none; sp=quarantine; np=reject", Record(sp=Policy.QUARANTINE, np=Policy.REJECT)),
        ("v=DMARC1; p=reject; adkim=s; aspf=S", Record(p=Policy.REJECT, strict_dkim=True, strict_spf=True)),
        ("v=DMARC1; p=reject; adkim=x; psd=maybe; t=1", Record(p=Policy.REJECT)),
        ("v=DMARC1; p=reject; psd=n; t=y", Record(p=Policy.REJECT, psd="n", testing=True)),
        ("v=DMARC1; p=none; p=reject", Record()),
        ("v=DMARC1; p=reject; garbage; ;=;", Record(p=Policy.REJECT)),
        ("v=DMARC1", Record(applies=False)),
        ("v=DMARC1; psd=y", Record(psd="y", applies=False)),
        ("v=DMARC1; p=rejekt", Record(applies=False)),
        ("v=DMARC1; p=rejekt; rua=mailto:a@b.example", Record()),
        ("v=DMARC1; rua=mailto:a@b.example!10m", Record()),
        ("v=DMARC1; p=reject; sp=rejekt", Record(applies=False)),
        ("v=DMARC1; p=reject; sp=rejekt; rua=nothing, mailto:a@b.example", Record()),
        ("v=dmarc1; p=reject", None),
        ("v=DMARC2; p=reject", None),
        ("v=DMARC12", None),
        ("p=reject; v=DMARC1", None),
        ("v=spf1 -all", None),
        ("", None),
    ],
)
def test_records_are_read_as_they_are_meant(text: str, record: Record | None) -> None:
    assert dmarc.read_record(text) == record


def test_other_texts_at_the_name_do_not_matter_and_two_records_are_none() -> None:
    assert dmarc.read_records(["other", "v=DMARC1; p=reject"]) == Record(p=Policy.REJECT)
    assert dmarc.read_records(["v=DMARC1; p=reject", "v=DMARC1; p=none"]) is None


@given(st.text(max_size=200))
def test_any_text_is_a_record_or_none(text: str) -> None:
    for each in (text, f"v=DMARC1;{text}", f"v=DMARC1; p={text}; sp={text}; rua={text}"):
        assert isinstance(dmarc.read_record(each), Record | None)


# -- the walk


@pytest.mark.parametrize(
    ("domain", "names"),
    [
        ("com", ["com"]),
        ("a.mail.example.com", ["a.mail.example.com", "mail.example.com", "example.com", "com"]),
        (
            "a.b.c.d.e.f.g.h.i.j.mail.example.com",
            [
                "a.b.c.d.e.f.g.h.i.j.mail.example.com",
                *("g.h.i.j.mail.example.com", "h.i.j.mail.example.com", "i.j.mail.example.com", "j.mail.example.com"),
                *("mail.example.com", "example.com", "com"),
            ],
        ),
        ("1.2.3.4.5.6.7.8", ["1.2.3.4.5.6.7.8", *(".".join("12345678"[n:]) for n in range(1, 8))]),
    ],
)
def test_a_walk_asks_at_most_eight_names(domain: str, names: list[str]) -> None:
    assert list(dmarc.names_upwards(domain)) == names
    _, questions = asked(domain, {})
    assert [ask.domain for ask in questions] == names


P, REJECT = "v=DMARC1; p=none", "v=DMARC1; p=reject"


@pytest.mark.parametrize(
    ("domain", "zone", "organization"),
    [
        ("a.mail.example.com", {"mail.example.com": P, "example.com": P}, "example.com"),
        ("a.mail.example.com", {"mail.example.com": f"{P}; psd=n", "example.com": P}, "mail.example.com"),
        ("a.mail.example.com", {"com": f"{P}; psd=y"}, "example.com"),
        ("a.mail.example.com", {"com": "v=DMARC1; psd=y"}, "example.com"),
        ("a.mail.example.com", {}, "a.mail.example.com"),
        ("example.com", {"example.com": f"{P}; psd=y", "com": P}, "example.com"),
        ("a.b.c.d.e.f.g.h.i.j.k.example.com", {"example.com": P}, "example.com"),
        ("mail.giant.bank.example", {"giant.bank.example": P, "bank.example": f"{P}; psd=y"}, "giant.bank.example"),
        ("mail.mega.bank.example", {"bank.example": f"{P}; psd=y"}, "mega.bank.example"),
    ],
)
def test_the_organization_is_found_by_walking_up(domain: str, zone: Zone, organization: str) -> None:
    walked = [(name, dmarc.read_record(zone[name] or "")) for name in dmarc.names_upwards(domain) if name in zone]
    up_to_psd = []
    for name, record in walked:
        assert record is not None
        up_to_psd.append((name, record))
        if record.psd != "u":
            break
    assert dmarc.organization_of(domain, up_to_psd) == organization


# -- pass or fail


def test_the_authors_own_domain_passes_with_one_question() -> None:
    found, questions = asked("example.com", {"example.com": REJECT}, spf("example.com"))
    assert found == Evaluation("pass", "example.com", Policy.REJECT)
    assert questions == [Ask("policy", "example.com")]


def test_the_examples_of_the_text() -> None:
    """RFC 9989, "Organizational and Policy Domain Tree Walk Examples"."""
    simple: Zone = {"example.com": REJECT, "signing.example.com": P}
    assert evaluate("example.com", simple, dkim("signing.example.com")).result == "pass"
    deep = "a.b.c.d.e.f.g.h.i.j.k.example.com"
    found = evaluate(deep, simple, spf("other.example"), dkim("signing.example.com"))
    assert found == Evaluation("pass", "example.com", Policy.REJECT)
    banks: Zone = {"bank.example": f"{P}; psd=y", "giant.bank.example": REJECT}
    assert evaluate("giant.bank.example", banks, spf("mail.giant.bank.example")).result == "pass"
    assert evaluate("giant.bank.example", banks, dkim("mail.mega.bank.example")).result == "fail"


@pytest.mark.parametrize(
    ("record", "identifier", "result"),
    [
        (REJECT, spf("bounce.example.com"), "pass"),
        (f"{REJECT}; aspf=s", spf("bounce.example.com"), "fail"),
        (f"{REJECT}; aspf=s", dkim("bounce.example.com"), "pass"),
        (f"{REJECT}; adkim=s", dkim("bounce.example.com"), "fail"),
        (f"{REJECT}; adkim=s", dkim("example.com"), "pass"),
        (REJECT, spf("example.com", "fail"), "fail"),
        (REJECT, spf("badexample.com"), "fail"),
        (REJECT, spf("example.net"), "fail"),
        (REJECT, spf("com"), "fail"),
    ],
)
def test_alignment_is_relaxed_or_strict(record: str, identifier: Identifier, result: str) -> None:
    assert evaluate("example.com", {"example.com": record}, identifier).result == result


def test_a_sister_under_another_organization_is_not_aligned() -> None:
    """RFC 9989, "Relaxed Alignment Considerations"."""
    zone: Zone = {"example.com": REJECT, "mail.example.com": f"{REJECT}; psd=n"}
    assert evaluate("evil.example.com", zone, spf("mail.example.com")).result == "fail"


def test_strangers_are_not_walked_for() -> None:
    """A mail may bear ten signatures of domains with ten labels each."""
    strangers = [dkim(f"a.b.c.d.e.f.g.{name}.test") for name in "abcdefghij"]
    _, questions = asked("example.com", {"example.com": REJECT}, *strangers)
    assert [ask.domain for ask in questions] == ["example.com", "com"]


def test_no_record_anywhere_is_no_verdict() -> None:
    assert evaluate("example.com", {}, spf("example.com")) == Evaluation("none")
    assert evaluate("example.com", {"example.com": "v=DMARC1"}, spf("example.com")) == Evaluation("none")


def test_dns_that_fails_is_neither_pass_nor_fail() -> None:
    assert evaluate("example.com", {"example.com": None}, spf("example.com")).result == "temperror"
    assert evaluate("a.example.com", {"example.com": None}).result == "temperror"
    assert evaluate("example.com", {"example.com": REJECT}, dkim("example.com", "unknown")).result == "temperror"
    assert evaluate("example.com", {"example.com": REJECT}, dkim("example.net", "unknown")).result == "fail"
    both = (dkim("example.com", "unknown"), spf("example.com"))
    assert evaluate("example.com", {"example.com": REJECT}, *both).result == "pass"


# -- what is asked for


@pytest.mark.parametrize(
    ("author", "record", "policy"),
    [
        ("example.com", "v=DMARC1; p=reject; sp=none; np=none", Policy.REJECT),
        ("a.example.com", "v=DMARC1; p=reject", Policy.REJECT),
        ("a.example.com", "v=DMARC1; p=reject; sp=quarantine; np=none", Policy.QUARANTINE),
        ("gone.example.com", "v=DMARC1; p=none; sp=quarantine; np=reject", Policy.REJECT),
        ("gone.example.com", "v=DMARC1; p=none; sp=quarantine", Policy.QUARANTINE),
        ("example.com", "v=DMARC1; p=reject; t=y", Policy.QUARANTINE),
        ("example.com", "v=DMARC1; p=quarantine; t=y", Policy.NONE),
        ("example.com", "v=DMARC1; p=none; t=y", Policy.NONE),
        ("example.com", "v=DMARC1; p=reject; pct=1", Policy.REJECT),
    ],
)
def test_policies_of_domains_subdomains_and_those_that_do_not_exist(author: str, record: str, policy: Policy) -> None:
    found = evaluate(author, {"example.com": record}, missing=("gone.example.com",))
    assert found == Evaluation("fail", "example.com", policy)


def test_a_public_suffix_may_speak_for_those_who_say_nothing() -> None:
    zone: Zone = {"bank.example": "v=DMARC1; p=reject; psd=y"}
    assert evaluate("mega.bank.example", zone) == Evaluation("fail", "bank.example", Policy.REJECT)
    zone["mega.bank.example"] = P
    assert evaluate("a.mega.bank.example", zone) == Evaluation("fail", "mega.bank.example", Policy.NONE)


# -- whose mail it is


@pytest.mark.parametrize(
    ("head", "domain", "trouble"),
    [
        ("From: Ann <a@Example.COM>", "example.com", ""),
        ("From: a@example.com, b@EXAMPLE.com", "example.com", ""),
        ('From: "a@evil.test" <a@example.com>', "example.com", ""),
        ("From: a@b\u00fccher.example", "xn--bcher-kva.example", ""),
        ("From: <a@example.com.>", "example.com", ""),
        ("From: a@example.com, b@example.net", "", "more than one domain in From"),
        ("From: a@example.com\r\nFrom: a@example.com", "", "more than one From field"),
        ("From : a@example.com\r\nFrom: b@example.net", "", "more than one From field"),
        ("Subject: x", "", "no From field"),
        ("From: ", "", "no address in From"),
        ("From: Ann", "", "no domain in From"),
        ("From: a@[192.0.2.1]", "", "no domain in From"),
        ("From: a@-.example", "", "no domain in From"),
    ],
)
def test_the_author_is_one_domain_or_nobody(head: str, domain: str, trouble: str) -> None:
    assert dmarc.author_of(headers.fields(f"{head}\r\n".encode())) == (domain, trouble)


@given(st.text(max_size=100))
def test_any_author_is_a_domain_or_none(text: str) -> None:
    author = dmarc.author_of(headers.fields(f"From: {text}\r\n".encode("utf-8", "surrogatepass")))
    assert bool(author.domain) is not bool(author.trouble)
    assert author.domain.isascii()
