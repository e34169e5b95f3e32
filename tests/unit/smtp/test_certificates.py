"""The certificate of our own making."""

import ssl
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from posthouse.smtp.certificates import self_signed, server_context


def test_certificate_is_made_once_and_kept(tmp_path: Path) -> None:
    made = self_signed(tmp_path / "new", "mx.example.com")
    before = made.read_bytes()
    assert self_signed(tmp_path / "new", "other.example.com").read_bytes() == before
    assert list((tmp_path / "new").iterdir()) == [made]


def test_certificate_names_the_host_and_nobody_else_reads_its_key(tmp_path: Path) -> None:
    made = self_signed(tmp_path, "mx.example.com")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate(made.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mx.example.com"]
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_context_speaks_no_old_tls(tmp_path: Path) -> None:
    context = server_context(self_signed(tmp_path, "mx.example.com"))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_host_name_of_any_length_or_an_address_will_do(tmp_path: Path) -> None:
    self_signed(tmp_path / "long", ".".join(["x" * 60] * 4))
    self_signed(tmp_path / "address", "192.0.2.1")
