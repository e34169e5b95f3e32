"""Policy documents: the JSON that an identity's owner writes, read strictly.

Source: SES developer guide, "Sending authorization policies" (elements, which are required, 4 KB); IAM user guide,
"JSON policy element reference". Errors are InvalidPolicy; the texts are ours, since SES's are not known but for the
few that it documents.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

from posthouse.domain.policy_conditions import (
    Absence,
    Condition,
    InvalidCondition,
    compile_patterns,
    read_condition,
)
from posthouse.domain.wildcards import Pattern
from posthouse.model.generated import InvalidPolicyException

MAX_POLICY_BYTES = 4096
"""Of the document without white space (API reference of PutIdentityPolicy: 4 KB)."""
MAX_WRITTEN = 64 * 1024
"""Characters with white space: more than anybody's indentation makes of 4 KB."""

_VERSIONS = ("2012-10-17", "2008-10-17")
_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*+")|[ \t\r\n]+', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ACTION = re.compile(r"\*|ses:[a-z0-9*?]{1,64}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_IAM_ARN = re.compile(
    r"arn:aws[a-z-]{0,20}:(?:iam|sts)::([0-9]{12}):"
    r"(?:(root)|(?:user|role|assumed-role|federated-user)/[A-Za-z0-9_+=,.@/-]{1,600})"
)
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")


@dataclass(frozen=True, slots=True)
class Principals:
    """Whom a statement is about. Services are valid and nobody who calls here."""

    anybody: bool
    accounts: frozenset[str]
    arns: frozenset[str]

    def include(self, arn: str) -> bool:
        return self.anybody or arn in self.arns or arn.split(":")[4] in self.accounts


@dataclass(frozen=True, slots=True)
class Statement:
    allows: bool
    principals: Principals
    actions: tuple[Pattern, ...]
    """In lower case: action names have no case."""
    resources: tuple[Pattern, ...]
    conditions: tuple[Condition | Absence, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    statements: tuple[Statement, ...]

    @property
    def denies(self) -> bool:
        """Whether it could forbid anything to anybody."""
        return not all(statement.allows for statement in self.statements)


class _Number(str):
    """A number as it was written: never read as one, so that none is too long or loses digits."""

    __slots__ = ()


def read_policy(document: str, resource: str | None = None) -> Policy:
    """The policy that a document says. `resource`: the ARN that all its resources must name, if it matters.

    Raises InvalidPolicyException.
    """
    top = _elements(_parse(document), "policy", ("Statement",), ("Version", "Id"))
    version = top.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        _refuse("Version", version)
    if "Id" in top:
        _text(top["Id"], "Id")
    written = top["Statement"] if isinstance(top["Statement"], list) else [top["Statement"]]
    if not written:
        _refuse("Statement", "it is empty")
    seen: set[str] = set()
    return Policy(tuple([_statement(each, version == _VERSIONS[0], resource, seen) for each in written]))


def compacted(document: str) -> str:
    """A document that `read_policy` took, without the white space between its elements. As SES gives it back."""
    return _BLANKS.sub(lambda found: found[1] or "", document)


def check_length(document: str) -> None:
    """Raises InvalidPolicyException for a document of more than 4 KB; white space between elements does not count."""
    if len(document) > MAX_WRITTEN or len(document.encode()) > MAX_POLICY_BYTES:
        raise InvalidPolicyException(f"Policy exceeds max allowed size of {MAX_POLICY_BYTES} bytes")


def _parse(document: str) -> Any:
    if len(document) > MAX_WRITTEN:
        check_length(document)
    try:
        return json.loads(
            document, object_pairs_hook=_pairs, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant
        )
    except (json.JSONDecodeError, RecursionError) as error:
        detail = f"{error.msg} at {error.pos}" if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise InvalidPolicyException(f"Policy is not valid JSON: {detail}") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # Readers differ on which of two counts; what differs about a permission must not pass.
        raise InvalidPolicyException("Policy contains a duplicate key")
    return found


def _no_constant(name: str) -> Never:
    raise InvalidPolicyException(f"Policy is not valid JSON: {name}")


def _statement(written: Any, variables: bool, resource: str | None, seen: set[str]) -> Statement:
    required = ("Effect", "Principal", "Action", "Resource")
    found = _elements(written, "Statement", required, ("Sid", "Condition"))
    if "Sid" in found:
        sid = _text(found["Sid"], "Sid")
        if sid in seen:
            _refuse("Sid", f"{sid} stands twice")
        seen.add(sid)
    effect = found["Effect"]
    if effect not in ("Allow", "Deny"):
        _refuse("Effect", effect)
    return Statement(
        allows=effect == "Allow",
        principals=_principals(found["Principal"]),
        actions=_actions(found["Action"]),
        resources=_resources(found["Resource"], variables, resource),
        conditions=_conditions(found.get("Condition", {}), variables),
    )


def _elements(found: Any, where: str, required: Sequence[str], optional: Sequence[str]) -> dict[str, Any]:
    """The members of an object that has all of `required` and nothing but these and `optional`."""
    if not isinstance(found, dict):
        _refuse(where, "it is no object")
    for name in required:
        if name not in found:
            raise InvalidPolicyException(f"Policy is missing required element {name}")
    for name in found:
        if name not in required and name not in optional:
            _refuse("element", name)
    return found


def _principals(found: Any) -> Principals:
    kinds = {"AWS": "*"} if found == "*" else found
    if not isinstance(kinds, dict) or not kinds:
        _refuse("Principal", found)
    accounts, arns, anybody = set[str](), set[str](), False
    for kind, names in kinds.items():
        for name in _texts(names, "Principal"):
            iam = _IAM_ARN.fullmatch(name)
            if kind == "Service" and _SERVICE.fullmatch(name):
                continue
            if kind != "AWS" or not (name == "*" or iam or _ACCOUNT.fullmatch(name)):
                _refuse("Principal", f"{kind} {name}")
            if name == "*":
                anybody = True
            elif iam is None or iam[2]:
                accounts.add(name if iam is None else iam[1])
            else:
                arns.add(name)
    return Principals(anybody, frozenset(accounts), frozenset(arns))


def _actions(found: Any) -> tuple[Pattern, ...]:
    actions = [name.lower() for name in _texts(found, "Action")]
    for action in actions:
        if not _ACTION.fullmatch(action):
            _refuse("Action", action)
    return tuple(map(Pattern, actions))


def _resources(found: Any, variables: bool, resource: str | None) -> tuple[Pattern, ...]:
    """Domains have no case; addresses do."""
    names = [name if "@" in name else name.lower() for name in _texts(found, "Resource")]
    patterns = []
    for name in names:
        try:
            (pattern,) = compile_patterns([name], variables)
        except InvalidCondition as error:
            _refuse("Resource", str(error))
        if resource is not None and not pattern.matches(resource):
            # SES developer guide: the resource is the identity that the policy is attached to.
            _refuse("Resource", name)
        patterns.append(pattern)
    return tuple(patterns)


def _conditions(found: Any, variables: bool) -> tuple[Condition | Absence, ...]:
    if not isinstance(found, dict):
        _refuse("Condition", "it is no object")
    conditions = []
    for operator, keys in found.items():
        if not isinstance(keys, dict) or not keys:
            _refuse("Condition", f"{operator} names no key")
        for key, values in keys.items():
            try:
                conditions.append(read_condition(operator, key, _values(values), variables))
            except InvalidCondition as error:
                _refuse("Condition", str(error))
    return tuple(conditions)


def _values(found: Any) -> list[str]:
    """Condition values may be texts, numbers and truths (IAM user guide)."""
    listed = found if isinstance(found, list) else [found]
    return [str(value).lower() if isinstance(value, bool) else _text(value, "Condition", _Number) for value in listed]


def _texts(found: Any, where: str) -> list[str]:
    listed = found if isinstance(found, list) else [found]
    if not listed:
        _refuse(where, "it is empty")
    return [_text(each, where) for each in listed]


def _text(found: Any, where: str, *also: type) -> str:
    if type(found) not in (str, *also) or _SURROGATE.search(found):
        _refuse(where, "a value is no text")
    return str(found)


def _refuse(where: str, detail: object) -> Never:
    shown = "".join(char if " " <= char <= "~" else "?" for char in str(detail)[:200])
    raise InvalidPolicyException(f"Policy contains invalid {where}: {shown}")
