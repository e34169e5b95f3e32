"""What the stores and operations refuse, as the one line an operator can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

from posthouse.cli.failure import Failed
from posthouse.model.errors import ServiceError
from posthouse.ports.stores import StoreRefused, StoreUnavailable


@contextmanager
def refusals() -> Iterator[None]:
    """Raises Failed for what the caller asked for in vain; bugs stay what they are."""
    try:
        yield
    except (StoreRefused, StoreUnavailable) as error:
        raise Failed(str(error)) from None
    except ServiceError as error:
        raise Failed(error.message or error.code) from None
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise Failed("database.url names PostgreSQL, which needs `pip install posthouse[postgres]`") from None
