"""Reports in the shapes in which servers really send them: Postfix, Exim, Exchange, Gmail, sendmail, qmail, ...

Of a message to dana@mail.example, sometimes to eli@mail.example too.
"""

from pathlib import Path

_HERE = Path(__file__).parent
REPORTS = sorted(path.stem for path in _HERE.glob("*.eml"))


def sample(name: str) -> bytes:
    """As it comes by SMTP."""
    return (_HERE / f"{name}.eml").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
