"""Random values of the service model, and the same values as botocore writes and reads them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from hypothesis import strategies as st

from posthouse.model.shapes import Limits, Member, Structure

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# What XML 1.0 can carry.
XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r", exclude_characters="\ufffe\uffff"),
    max_size=20,
)
EXAMPLES = {
    "role": "arn:aws:iam::111122223333:role/path/ses-role",
    "connect": "arn:aws:connect:us-east-1:111122223333:instance/01234567-89ab-cdef-0123-456789abcdef",
}


@cache
def service_model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("ses", "service-2"), "ses")


def structures(shape: type[Structure], text: st.SearchStrategy[str]) -> st.SearchStrategy[Structure]:
    """Values of the shape that every reader must give back: no part is so empty that it leaves no trace."""

    def build(values: dict[str, Any]) -> Structure:
        return shape(**{name: value for name, value in values.items() if value is not None})

    always = [m for m in shape.MEMBERS if m.required] or shape.MEMBERS[:1]
    fields = {m.attribute: values(m, text) if m in always else st.none() | values(m, text) for m in shape.MEMBERS}
    return st.fixed_dictionaries(fields).map(build)


def values(member: Member, text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    limits = member.limits or Limits()
    match member.kind:
        case "string":
            return strings(member, limits, text)
        case "list" if member.shape:
            return st.lists(structures(member.shape, text), max_size=3).map(tuple)
        case "list":
            return st.lists(strings(member, limits, text), max_size=3).map(tuple)
        case "map":
            held = structures(member.shape, text) if member.shape else text
            return st.dictionaries(text, held, max_size=3)
        case "structure":
            assert member.shape
            return structures(member.shape, text)
        case "boolean":
            return st.booleans()
        case "blob":
            return st.binary(max_size=50)
        case "double":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "timestamp":
            return st.integers(min_value=0, max_value=4_102_444_800_000)
        case _:
            return st.integers(limits.minimum or -(1 << 31), limits.maximum or (1 << 31) - 1)


def strings(member: Member, limits: Limits, text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    if limits.enum:
        return st.sampled_from(limits.enum)
    if limits.pattern:
        for word, example in EXAMPLES.items():
            if word in limits.pattern:
                return st.just(example)
        return st.text("abcXYZ019_.-", min_size=1, max_size=20)
    # An empty optional string means "not given".
    needs = limits.minimum or (member.kind == "string" and not member.required)
    return text.filter(bool) if needs else text


def plain(value: Any, member: Member | None = None) -> Any:
    """As botocore has it: dictionaries, lists, datetimes."""
    if isinstance(value, Structure):
        pairs = [(m, getattr(value, m.attribute)) for m in value.MEMBERS]
        return {m.name: plain(inner, m) for m, inner in pairs if inner is not None}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if member is not None and member.kind == "timestamp":
        return EPOCH + timedelta(milliseconds=value)
    return value
