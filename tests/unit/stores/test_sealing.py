"""Seal: what is closed opens with the same key, for the same purpose, whole, and not otherwise."""

import multiprocessing
from pathlib import Path

import pytest

from posthouse.ports.stores import StoreRefused, StoreUnavailable
from posthouse.stores.sealing import Seal, master_key


def test_what_was_closed_opens_again(tmp_path: Path) -> None:
    seal = Seal(tmp_path / "master.key")
    for secret in (b"", b"secret", bytes(range(256)) * 100):
        assert seal.open(seal.close(secret, "me"), "me") == secret
        assert Seal(tmp_path / "master.key").open(seal.close(secret, "me"), "me") == secret


def test_the_same_secret_is_never_sealed_the_same_way(tmp_path: Path) -> None:
    seal = Seal(tmp_path / "master.key")
    assert seal.close(b"secret", "me") != seal.close(b"secret", "me")


def test_what_was_changed_or_moved_does_not_open(tmp_path: Path) -> None:
    seal = Seal(tmp_path / "master.key")
    sealed = seal.close(b"secret", "me")
    with pytest.raises(StoreRefused, match="the secret of you was not sealed with the key in"):
        seal.open(sealed, "you")
    for changed in (
        *(sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in range(len(sealed))),
        *(sealed[:i] for i in range(len(sealed))),
        sealed + b"x",
    ):
        with pytest.raises(StoreRefused):
            seal.open(changed, "me")


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    master_key(tmp_path / "master.key")
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["master.key"]


def _key(path: Path) -> bytes:
    return master_key(path)


def test_processes_that_make_the_key_at_once_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        keys = pool.map(_key, [tmp_path / "master.key"] * 32)
    assert len(set(keys)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["master.key"]


def test_a_file_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_bytes(b"short")
    with pytest.raises(StoreRefused, match="does not hold a master key"):
        master_key(tmp_path / "master.key")


def test_a_key_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        master_key(tmp_path / "nowhere" / "master.key")
