"""Metrics as text: added up over processes, numbers in full."""

from posthouse.observe import Metrics, render


def metrics(amount: float) -> Metrics:
    made = Metrics()
    made.describe("mails_total", "counter", "mails")
    made.add("mails_total", amount, to='a"b')
    return made


def test_processes_are_added_up() -> None:
    parts = [(each.samples(), each.kinds) for each in (metrics(1), metrics(2.5))]
    assert render(parts) == '# HELP mails_total mails\n# TYPE mails_total counter\nmails_total{to="a\\"b"} 3.5\n'


def test_large_numbers_are_told_in_full() -> None:
    for amount, text in ((12_345_678, "12345678"), (1234567.25, "1234567.25"), (0.0123, "0.0123"), (0, "0")):
        part = metrics(amount)
        assert f"}} {text}\n" in render([(part.samples(), part.kinds)])
