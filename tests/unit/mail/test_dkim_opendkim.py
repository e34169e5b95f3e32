"""DKIM signatures, judged by OpenDKIM; skipped where it is not installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from posthouse.mail import headers, outgoing
from posthouse.mail.dkim import Canonicalization, SigningKey, public_record, sign

OPENDKIM = shutil.which("opendkim") or shutil.which("opendkim", path="/usr/sbin")
pytestmark = pytest.mark.skipif(OPENDKIM is None, reason="opendkim is not installed")

KEYS = [
    SigningKey("example.com", "sel", generate_private_key(65537, 2048)),
    SigningKey("service.example", "ed", Ed25519PrivateKey.generate()),
]
HEAD = (
    b"From: Ann <a@example.com>\r\nTo: b@x.example\r\nTo: c@x.example,\r\n\td@x.example\r\nSubject: a  b\r\n \tc\r\n"
    b"Date: Thu, 2 May 2024 09:15:30 +0000\r\nMessage-ID: <a@example.com>\r\nFeedback-ID: 1.x\r\n"
)
BODIES = [
    b"Hello  \t world \r\n \r\nfoo\tbar\r\n\r\n\r\n",
    b"plain\r\n",
    b"\r\n\r\n",
    b"",
    b" \r\n\t\r\n",
    b"eight \xe9 bit\r\n",
    b"x" * 990 + b"\r\n" + b"line\r\n" * 3000,
]


def judge(raw: bytes, folder: Path) -> str:
    """OpenDKIM's Authentication-Results for a message, its keys read from a file."""
    records = [
        f"{key.selector}._domainkey.{key.domain} {public_record(key.private_key.public_key())}\n" for key in KEYS
    ]
    (folder / "keys").write_text("".join(records))
    (folder / "conf").write_text(f"TestPublicKeys {folder}/keys\nMode v\nSyslog no\n")
    (folder / "mail.eml").write_bytes(raw)
    command = [str(OPENDKIM), "-x", str(folder / "conf"), "-t", str(folder / "mail.eml"), "-v", "-v"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


@pytest.mark.parametrize("form", ["relaxed/simple", "relaxed/relaxed"])
@pytest.mark.parametrize("number", range(len(BODIES)))
def test_opendkim_verifies_both_algorithms(number: int, form: Canonicalization, tmp_path: Path) -> None:
    fields = headers.fields(HEAD)
    raw = outgoing.assemble(sign(fields, BODIES[number], KEYS, 1714641330, form), fields, BODIES[number])
    answer = judge(raw, tmp_path)
    assert answer.count("dkim=pass") == 2, answer
    assert "header.a=rsa-sha256" in answer
    assert "header.a=ed25519-sha256" in answer


def test_opendkim_refuses_a_second_from(tmp_path: Path) -> None:
    fields = headers.fields(HEAD)
    raw = outgoing.assemble(sign(fields, BODIES[1], KEYS, 1714641330), fields, BODIES[1])
    assert "dkim=pass" not in judge(raw.replace(b"From: Ann", b"From: eve@x.example\r\nFrom: Ann", 1), tmp_path)
