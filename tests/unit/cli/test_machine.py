"""Doctor's checks on this machine, each against a machine that is well and one that is not."""

import os
import socket
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from posthouse.cli import machine
from posthouse.cli.findings import Finding, State
from posthouse.cli.migrate import bring_up_to_date
from posthouse.config import Config, load


def config(tmp_path: Path, **settings: str) -> Config:
    environ = {f"POSTHOUSE_{key.upper()}": value for key, value in settings.items()}
    return load(None, {"POSTHOUSE_DATA_DIR": str(tmp_path / "data"), **environ})


def states(findings: list[Finding]) -> list[State]:
    return [each.state for each in findings]


def test_whatever_is_not_well_says_what_to_do(tmp_path: Path) -> None:
    asked = config(tmp_path, delivery__mode="direct")
    assert len(trouble := [each for each in machine.configuration(asked) if each.state is not State.OK]) >= 2
    assert all(each.advice for each in trouble)


def test_open_mode_to_the_world_is_a_warning(tmp_path: Path) -> None:
    asked = config(tmp_path, auth__allow_open="true", http__listen="0.0.0.0:8025")
    assert "0.0.0.0:8025" in machine.configuration(asked)[1].text


def test_a_data_directory_still_to_be_made_is_not_made_by_looking(tmp_path: Path) -> None:
    [found] = machine.data_directory(config(tmp_path))
    assert found.state is not State.FAIL
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "NamedTemporaryFile", refused)
    [found] = machine.data_directory(config(tmp_path))
    assert found.state is State.FAIL
    assert found.text.endswith("cannot be written: Permission denied")


def test_a_slow_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_sync_ms", lambda _: 25.0)
    assert states(machine.data_directory(config(tmp_path))) == [State.WARN]


@pytest.mark.parametrize(("free", "state"), [(10 << 30, State.OK), (1 << 30, State.WARN), (1 << 20, State.FAIL)])
def test_a_disk_that_fills_up_is_told_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert states(machine.disk(config(tmp_path))) == [state]


def test_a_database_of_this_version_is_well(tmp_path: Path) -> None:
    asked = config(tmp_path)
    assert states(machine.database(asked)) == [State.OK]  # not there yet
    bring_up_to_date(asked)
    assert states(machine.database(asked)) == [State.OK]


def test_a_database_of_a_newer_version_fails(tmp_path: Path) -> None:
    asked = config(tmp_path)
    bring_up_to_date(asked)
    with sqlite3.connect(asked.data_path / "posthouse.db") as connection:
        connection.execute("INSERT INTO schema_version VALUES (9999, 'tomorrow', 0)")
    connection.close()
    [found] = machine.database(asked)
    assert found.state is State.FAIL
    assert "9999" in found.text


def test_a_file_that_is_no_database_fails(tmp_path: Path) -> None:
    asked = config(tmp_path)
    asked.data_path.mkdir()
    (asked.data_path / "posthouse.db").write_bytes(b"not a database at all" * 100)
    assert states(machine.database(asked)) == [State.FAIL]


def test_a_database_server_that_is_not_there_fails(tmp_path: Path) -> None:
    assert states(machine.database(config(tmp_path, database__url="postgresql://127.0.0.1:1/x"))) == [State.FAIL]


def test_a_database_from_the_future_tells_of_a_wrong_clock(tmp_path: Path) -> None:
    asked = config(tmp_path)
    assert states(machine.clock(asked)) == [State.OK]
    asked.data_path.mkdir()
    database = asked.data_path / "posthouse.db"
    database.touch()
    os.utime(database, times=(time.time() + 3600, time.time() + 3600))
    assert states(machine.clock(asked)) == [State.FAIL]


@pytest.mark.parametrize(
    ("days", "state"), [(90, State.OK), (5, State.WARN), (-3, State.FAIL)], ids=["valid", "soon", "expired"]
)
def test_a_certificate_is_renewed_in_time(tmp_path: Path, days: int, state: State) -> None:
    path = tmp_path / "chain.pem"
    path.write_bytes(certificate(datetime.now(UTC) + timedelta(days=days, hours=1)))
    asked = config(tmp_path, smtp__tls_cert=str(path), smtp__tls_key=str(path))
    assert states(machine.certificates(asked)) == [state]


def test_a_certificate_with_another_key_fails(tmp_path: Path) -> None:
    ends = datetime.now(UTC) + timedelta(days=90)
    for name in ("one.pem", "other.pem"):
        (tmp_path / name).write_bytes(certificate(ends))
    asked = config(tmp_path, http__tls_cert=str(tmp_path / "one.pem"), http__tls_key=str(tmp_path / "other.pem"))
    assert states(machine.certificates(asked))[0] is State.FAIL


def test_a_missing_certificate_fails(tmp_path: Path) -> None:
    asked = config(tmp_path, http__tls_cert="/nowhere/cert.pem", http__tls_key="/nowhere/key.pem")
    assert states(machine.certificates(asked))[0] is State.FAIL


def certificate(ends: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mx.example.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=365))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + made.public_bytes(pem)


def only_http(tmp_path: Path, at: str) -> Config:
    return config(tmp_path, http__listen=at, smtp__submission_listen=",", smtp__inbound_listen=",")


def test_a_free_port_is_well(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        at = f"127.0.0.1:{other.getsockname()[1]}"
    [found] = machine.ports(only_http(tmp_path, at))
    assert (found.state, found.text) == (State.OK, f"{at} is free: the server does not run")


def test_a_port_that_somebody_else_took_is_a_warning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(10)
        asked = only_http(tmp_path, f"127.0.0.1:{other.getsockname()[1]}")

        def answer() -> None:
            peer = other.accept()[0]
            peer.recv(4096)
            peer.sendall(b"HTTP/1.0 404 Not Found\r\n\r\nsomething else")
            peer.close()

        thread = Thread(target=answer)
        thread.start()
        try:
            assert states(machine.ports(asked)) == [State.WARN]
        finally:
            thread.join()


def test_an_address_that_is_not_ours_fails(tmp_path: Path) -> None:
    # 203.0.113.0/24 is documentation (RFC 5737): no machine has an address of it.
    asked = config(tmp_path, auth__mode="strict", http__listen="203.0.113.77:8025")
    assert machine.ports(asked)[0].state is State.FAIL
