"""Values of rendering data, and what JavaScript makes of them: text, truth, members.

Data come from JSON: dict, list, str, int, float, bool, None. Nothing else is ever asked for a member, and members are
keys and indices only: no attribute of the host language can be reached from a template.
"""

from typing import Any, Final

EXACT = 2**53
"""Beyond it a number of JavaScript is no longer exact, and prints as the nearest one that is."""


class Missing:
    """JavaScript's undefined: not there at all, while null is there and prints nothing."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


def member(value: Any, name: str) -> Any:
    """What stands under a key of an object or an index of an array."""
    if type(value) is dict:
        return value.get(name, MISSING)
    if type(value) is list:
        if name == "length":
            return len(value)
        index = _index(name)
        return value[index] if 0 <= index < len(value) else MISSING
    return MISSING


def _index(name: str) -> int:
    """The array index that a property name is; -1 for none. "01" and "1.0" are none in JavaScript."""
    # Ten digits: longer than any index, shorter than what int() would be slow with.
    if len(name) > 10 or not (name.isascii() and name.isdigit()) or (name[0] == "0" and name != "0"):
        return -1
    return int(name)


def is_true(value: Any) -> bool:
    """As #if decides: false, null, 0, "" and the empty array are false, the empty object is true."""
    return bool(value) or type(value) is dict


def is_empty(value: Any) -> bool:
    """As #with decides: 0 is a value."""
    return not value and type(value) is not dict and (type(value) is bool or type(value) not in (int, float))


def is_same(one: Any, other: Any) -> bool:
    """JavaScript's ``==``, as far as it decides whether a block changes the context; containers are themselves only."""
    if one is other:
        return True
    if type(one) in (dict, list) or type(other) in (dict, list):
        return False
    return bool(one == other)


def javascript_text(value: Any) -> str:
    """A value that is neither object nor array, as JavaScript prints it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case Missing():
            return "undefined"
        case int() if -EXACT <= value <= EXACT:
            return str(value)
        case int() | float():
            return _number_text(value)
    return "[object Object]"


def _number_text(number: int | float) -> str:
    """ECMA-262, Number::toString: the shortest digits that read back, exponents only outside 1e-7 .. 1e21."""
    try:
        value = float(number)
    except OverflowError:
        return "Infinity" if number > 0 else "-Infinity"
    if value == 0:
        return "0"
    if value < 0:
        return "-" + _number_text(-value)
    if value == float("inf"):
        return "Infinity"
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "") + power
