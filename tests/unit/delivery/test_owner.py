"""Which lease holders are known to be gone."""

import os
from pathlib import Path

from posthouse.delivery.owner import is_known_dead, own_name


def parts(nonce: str = "n") -> list[str]:
    return own_name(nonce).split("/")


def test_this_process_lives() -> None:
    assert not is_known_dead(own_name("a"))
    assert own_name("a") != own_name("b")


def test_a_process_that_is_gone_is_dead() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    host, boot, space, _, start, nonce = parts()
    assert is_known_dead("/".join((host, boot, space, str(child), start, nonce)))


def test_a_process_id_given_out_again_is_another_process() -> None:
    host, boot, space, pid, start, nonce = parts()
    assert is_known_dead("/".join((host, boot, space, pid, str(int(start) - 1), nonce)))


def test_nothing_is_known_of_other_machines_boots_and_namespaces() -> None:
    for i in range(3):
        other = parts()
        other[i] += "x"
        other[3] = "4194999"
        assert not is_known_dead("/".join(other))


def test_odd_names_are_not_known_dead() -> None:
    for name in (
        "",
        "/",
        "a/b/c/d/e/f",
        "/".join([*parts()[:3], "١", "1", "n"]),
        "/".join([*parts()[:3], "1", "", "n"]),
    ):
        assert not is_known_dead(name)


def test_without_proc_nothing_is_known(tmp_path: Path) -> None:
    name = own_name("n", tmp_path)
    assert name.count("/") == 5
    assert not is_known_dead(name, tmp_path)
