"""What strangers write into DNS, envelopes and header fields: read without raising, written without harm.

POSTHOUSE_FUZZ_INPUTS sets how many inputs are made; the default takes a few seconds.
"""

import random
from collections.abc import Sequence

import pytest
from tests.fuzz.inputs import inputs

from posthouse.domain.verdicts import Authentication, DkimResult, DmarcResult, SpfResult, Verdict, Verdicts
from posthouse.mail import arc, dkim_verify, dmarc, headers, malware
from posthouse.mail.dkim_verify import Refusal
from posthouse.mail.verdict_headers import added_head, with_verdicts

ROUNDS = inputs(3000)
RECORD_PIECES = [
    *("v=DMARC1", "v=DMARC1;", "V = DMARC1", "v=spf1", "p=", "sp=", "np=", "psd=", "t=", "adkim=", "aspf=", "rua="),
    *("none", "quarantine", "reject", "REJECT", "y", "n", "u", "s", "r", "mailto:a@b", ";", "; ", " ", "=", ",", "!"),
    *("\x00", "\u00e9", "\t", "\r\n", "v=DKIM1;", "k=rsa;", "k=ed25519;", "p=AAAA", "h=sha256", "t=s"),
]
TEXT_PIECES = [
    *("dkim=pass", "dmarc=pass", "spf=pass", "; ", ";", "(", ")", '"', "\\", "\r\n", "\n", "\r", "\x00", "\u00e9"),
    *("Authentication-Results: ", "amazonses.com", "header.from=bank", "a@b", "@", "=", "<", ">", " ", "\t", "x" * 400),
]
FIELD_PIECES = [
    *(
        b"v=1;",
        b"a=rsa-sha256;",
        b"b=",
        b"b=AAAA;",
        b"bh=AAAA;",
        b"d=ex.test;",
        b"h=from:to;",
        b"s=s1;",
        b"i=1;",
        b"i=2;",
    ),
    *(
        b"cv=none;",
        b"cv=pass;",
        b"l=1;",
        b"t=1;",
        b"x=9;",
        b"c=relaxed/relaxed;",
        b"q=dns/txt;",
        b"=",
        b";",
        b" ",
        b"\r\n ",
    ),
    *(b"\xff", b"\0", b"amazonses.com", b"(", b")", b'"', b"\\"),
]
NAMES = [b"DKIM-Signature", b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results", b"From"]


@pytest.fixture
def rng() -> random.Random:
    return random.Random(2027)


def some(rng: random.Random, pieces: Sequence[str], most: int = 8) -> str:
    return "".join(rng.choices(pieces, k=rng.randrange(most)))


def test_any_zone_gives_an_evaluation(rng: random.Random) -> None:
    domains = ["a.b.ex.test", "b.ex.test", "ex.test", "test", "c.b.ex.test", "other.test", "1.2.3.4.5.6.7.8.9.ex.test"]
    for _ in range(ROUNDS):
        identifiers = [
            dmarc.Identifier(rng.choice(["spf", "dkim"]), rng.choice(domains), rng.choice(["pass", "fail", "unknown"]))
            for _ in range(rng.randrange(5))
        ]
        evaluating, asked = dmarc.evaluate(rng.choice(domains), identifiers), []
        try:
            ask = next(evaluating)
            while True:
                asked.append(ask)
                answer = (
                    None if rng.random() < 0.05 else tuple(some(rng, RECORD_PIECES) for _ in range(rng.randrange(3)))
                )
                ask = evaluating.send(answer)
        except StopIteration as end:
            found = end.value
        assert found.result in ("none", "pass", "fail", "temperror")
        assert (found.policy is None) == (found.result in ("none", "temperror"))
        assert len(asked) == len(set(asked)), "no name is asked for twice"
        assert len(asked) <= 8 * 3 + 1


def test_any_key_record_is_a_key_or_a_refusal(rng: random.Random) -> None:
    field = headers.fields(b"DKIM-Signature: v=1; a=rsa-sha256; d=ex.test; s=s1; h=from; bh=AAAA; b=AAAA\r\n")[0]
    claim = dkim_verify.read(field, 1)
    assert claim.refusal is None
    for _ in range(ROUNDS):
        assert isinstance(dkim_verify.read_key([some(rng, RECORD_PIECES)], claim), Refusal)


def test_any_signature_fields_are_judged(rng: random.Random) -> None:
    for _ in range(ROUNDS):
        lines = [
            rng.choice(NAMES) + b": " + b"".join(rng.choices(FIELD_PIECES, k=rng.randrange(15))) + b"\r\n"
            for _ in range(rng.randrange(1, 6))
        ]
        raw = b"".join(lines) + b"\r\nbody\r\n"
        message = headers.read(raw)
        for field in message.fields:
            claim = dkim_verify.read(field, 1_800_000_000)
            assert claim.refusal is not None or (claim.domain and claim.selector)
            dkim_verify.signed_text(claim, message.fields)
        chain = arc.read(message.fields)
        keys = {each.key_name: Refusal("permerror", "") for each in chain.claims}
        assert arc.check(chain, keys, message.fields, dkim_verify.digests_of(message.body)).result in ("none", "fail")
        assert with_verdicts(raw, b"X: y\r\n", "amazonses.com").count(b"X: y\r\n") == 1
        assert not malware.holds_test_file(raw)
        assert malware.carries_files(raw) in (True, False)


def test_what_is_written_holds_our_results_and_no_others(rng: random.Random) -> None:
    for _ in range(ROUNDS):
        text = [some(rng, TEXT_PIECES) for _ in range(7)]
        result = rng.choice(["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"])
        found = Authentication(
            client_ip=text[0],
            helo=text[1],
            spf=SpfResult(result=result, domain=text[2], sender=text[3]),
            dkim=tuple(DkimResult(result="fail", identity=each) for each in text[4 : 4 + rng.randrange(3)]),
            dmarc=DmarcResult(result="fail", author_domain=text[6]),
        )
        made = added_head(Verdicts(authentication=found, spam=Verdict.GRAY, virus=Verdict.GRAY), "ses.test", "x")
        assert made.isascii()
        assert all(len(line) <= 998 for line in made.split(b"\r\n"))
        fields = headers.fields(made)
        assert [field.key for field in fields] == [
            *(b"x-ses-spam-verdict", b"x-ses-virus-verdict", b"received-spf", b"authentication-results"),
            b"x-ses-receipt",
        ]
        results = [piece.strip() for piece in fields[3].value.split(";")]
        methods = [piece.partition("=")[0] for piece in results if piece.startswith(("spf=", "dkim=", "dmarc="))]
        assert methods == ["spf", *["dkim"] * len(found.dkim), "dmarc"]
        assert "dmarc=pass" not in fields[3].value
        assert "dkim=pass" not in fields[3].value
