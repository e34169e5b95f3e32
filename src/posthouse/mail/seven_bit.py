"""A message made fit for a narrower road: seven bits only, or what SMTP carries at all.

Follows RFC 6152 section 3 (to a server without 8BITMIME a message goes in seven bits or not at all), RFC 5321 section
4.5.3.1.6 (lines of 1,000 octets) and RFC 2045 section 2.8 (no NUL in what is not encoded).

Text leaves become quoted-printable or base64, other leaves base64; header values beyond ASCII become encoded words
(RFC 2047) and extended parameters (RFC 2231). What a reader sees stays the same; structure, boundaries and what fits
already stay byte for byte. What was signed or encrypted as a whole (RFC 1847 section 2.1) is left alone. Whatever
signature stands over the message has to be made anew.
"""

import re
from urllib.parse import quote

from posthouse.mail import headers, transfer
from posthouse.mail.encoded_words import decode_words, fold, words
from posthouse.mail.headers import Field, Message
from posthouse.mail.mime import MAX_DEPTH, PARAMETER, Walk, content_start, read_type, spans

_BEYOND_ASCII = bytes(range(128, 256))
_QUESTION_MARKS = bytes(range(128)) + b"?" * 128
_OPAQUE = ("multipart/signed", "multipart/encrypted")
_NEVER_ENCODED = ("message/partial", "message/external-body")  # RFC 2046 sections 5.2.2 and 5.2.3
_ENCODINGS = ("", "7bit", "8bit", "binary", "quoted-printable", "base64")
_ADDRESSES = frozenset(
    {
        *(b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"return-path"),
        *(b"resent-from", b"resent-sender", b"resent-reply-to", b"resent-to", b"resent-cc", b"resent-bcc"),
        *(b"disposition-notification-to", b"errors-to", b"return-receipt-to", b"mail-followup-to"),
    }
)
_PARAMETERS = frozenset((b"content-type", b"content-disposition"))
_BARE = frozenset(
    {
        *(b"message-id", b"in-reply-to", b"references", b"date", b"received", b"resent-message-id", b"resent-date"),
        *(b"mime-version", b"content-id", b"content-transfer-encoding", b"dkim-signature"),
        *(b"list-id", b"list-unsubscribe", b"list-unsubscribe-post"),
    }
)
"""Fields whose grammar has no place for an encoded word, or none worth finding."""
_NAMED = re.compile(rb"[!-9;-~]+[ \t]*:")
"""What begins otherwise is no field, and must not be made one: its name may go over the end of a line."""
_ADDRESS_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+"|<[^>]*+>|\((?:[^()\\]|\\.)*+\)|[,;:]|[^"<(,;:]++', re.DOTALL
)  # fmt: skip
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class _Unconvertible(Exception):
    """Something in it must not be touched, and does not fit as it is."""


def to_seven_bit(message: Message) -> Message | None:
    """The message in seven bits; None where it cannot be: a signed part, or an address, beyond ASCII."""
    try:
        converted = _entity(message, "text/plain", 0, seven_bit=True)
    except _Unconvertible:
        return None
    return converted if converted.body.isascii() else None


def needs_fitting(raw: bytes) -> bool:
    """Whether SMTP cannot carry it as it is."""
    return transfer.has_long_line(raw) or b"\0" in raw


def fit_for_smtp(message: Message) -> Message:
    """The message with no NUL and no line longer than SMTP carries, as far as that can be: header fields folded at
    their blanks, leaves encoded. What must not be changed stays."""
    return _entity(message, "text/plain", 0, seven_bit=False)


def _entity(message: Message, default_type: str, depth: int, *, seven_bit: bool) -> Message:
    fields = [_field(each, seven_bit) for each in message.fields]
    if not _is_unfit(message.body, seven_bit):
        return Message(fields, message.body)
    content_type, parameters = read_type(_value(message.fields, b"content-type"), default_type)
    if content_type in _OPAQUE or content_type in _NEVER_ENCODED or depth >= MAX_DEPTH:
        return _untouched(fields, message.body, seven_bit)
    if content_type.startswith("multipart/"):
        body = _parts(message.body, content_type, parameters.get("boundary", ""), depth, seven_bit)
        return Message(_relabelled(fields, "7bit") if body.isascii() else fields, body)
    if content_type == "message/rfc822":
        inner = _entity(headers.read(message.body), "text/plain", depth + 1, seven_bit=seven_bit).to_bytes()
        return Message(_relabelled(fields, "7bit") if inner.isascii() else fields, inner)
    return _leaf(fields, message.body, content_type, seven_bit)


def _is_unfit(data: bytes, seven_bit: bool) -> bool:
    return not data.isascii() if seven_bit else needs_fitting(data)


def _untouched(fields: list[Field], body: bytes, seven_bit: bool) -> Message:
    if seven_bit:
        raise _Unconvertible
    return Message(fields, body)


def _value(fields: list[Field], key: bytes) -> str:
    return next((each.value for each in fields if each.key == key), "")


# -- bodies


def _parts(body: bytes, content_type: str, boundary: str, depth: int, seven_bit: bool) -> bytes:
    """A multipart's content with each part converted; boundaries and what lies between the parts stay."""
    found = Walk()
    limits = spans(body, 0, len(body), boundary.encode("utf-8", "replace"), found) if boundary.isascii() else []
    if not limits or not boundary or not found.complete:
        # An encoding is not allowed here (RFC 2045 section 6.4), and there are no parts that could have one.
        return _untouched([], body, seven_bit).body
    default_type = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
    pieces: list[bytes] = []
    at = 0
    for start, end in limits:
        pieces += [_between(body[at:start], seven_bit), _part(body[start:end], default_type, depth, seven_bit)]
        at = end
    return b"".join([*pieces, _between(body[at:], seven_bit)])


def _between(data: bytes, seven_bit: bool) -> bytes:
    """Delimiters, and text before the first and after the last part, which no reader shows."""
    return data.translate(_QUESTION_MARKS) if seven_bit else data


def _part(raw: bytes, default_type: str, depth: int, seven_bit: bool) -> bytes:
    head_end, start = content_start(raw, 0, len(raw))
    part = Message(headers.fields(raw[:head_end]), raw[start:])
    converted = _entity(part, default_type, depth + 1, seven_bit=seven_bit)
    if converted == part:
        return raw
    head = b"".join([field.raw for field in converted.fields])
    if head and not head.endswith(b"\r\n"):
        head += b"\r\n"
    return head + b"\r\n" + converted.body.removesuffix(b"\r\n" if not raw.endswith(b"\r\n") else b"")


def _leaf(fields: list[Field], body: bytes, content_type: str, seven_bit: bool) -> Message:
    encoding = _value(fields, b"content-transfer-encoding").partition(";")[0].strip().lower()
    if encoding not in _ENCODINGS:
        return _untouched(fields, body, seven_bit)
    data = transfer.read_body(encoding, body)
    if content_type.startswith(("text/", "message/")) and b"\0" not in data:
        name, encoded = transfer.encode_body(data)
    else:
        name, encoded = "base64", transfer.write_base64(data)
    return Message(_relabelled(fields, name), encoded if encoded.endswith(b"\r\n") else encoded + b"\r\n")


def _relabelled(fields: list[Field], encoding: str) -> list[Field]:
    """The fields with this Content-Transfer-Encoding, once."""
    label = Field(b"content-transfer-encoding", f"Content-Transfer-Encoding: {encoding}\r\n".encode("ascii"))
    if encoding == "7bit" and not any(each.key == label.key for each in fields):
        return fields
    kept = [each for each in fields if each.key != label.key]
    places = [at for at, each in enumerate(fields) if each.key == label.key]
    at = places[0] if places else len(kept)
    return [*kept[:at], label, *kept[at:]]


# -- header fields


def _field(field: Field, seven_bit: bool) -> Field:
    if seven_bit and not field.raw.isascii():
        return _ascii_field(field)
    if not seven_bit and transfer.has_long_line(field.raw) and field.raw.isascii() and _NAMED.match(field.raw):
        folded = fold(field.value, len(field.name) + 2)
        return field if folded is None else _made(field, folded)
    return field


def _ascii_field(field: Field) -> Field:
    if not _NAMED.match(field.raw) or field.key in _BARE:
        return Field(field.key.translate(_QUESTION_MARKS), field.raw.translate(_QUESTION_MARKS))
    if field.key in _ADDRESSES:
        value = _address_list(field.value)
    elif field.key in _PARAMETERS:
        value = _parameters(field.value)
    else:
        return headers.field(field.name, field.text)
    folded = fold(value, len(field.name) + 2)
    return _made(field, value if folded is None else folded)


def _made(field: Field, value: str) -> Field:
    return Field(field.key, f"{field.name}: {value}\r\n".encode("ascii"))


def _address_list(value: str) -> str:
    """The value with its names and comments encoded; groups, order and addresses stay. Raises _Unconvertible for
    an address beyond ASCII, which encoded words cannot help (RFC 2047 section 5)."""
    pieces: list[str] = []
    phrase: list[str] = []
    at = 0
    for token in _ADDRESS_TOKEN.finditer(value):
        if token.start() != at:
            raise _Unconvertible
        text, at = token[0], token.end()
        if text[0] == "(":
            phrase.append(text if text.isascii() else f"({_encoded(_unescaped(text))})")
        elif text[0] in "<,;:":
            pieces += [_phrase(phrase, named=text[0] in "<:"), text]
            phrase = []
            if not text.isascii():
                raise _Unconvertible
        else:
            phrase.append(text)
    if at != len(value):
        raise _Unconvertible
    return "".join([*pieces, _phrase(phrase, named=False)])


def _phrase(tokens: list[str], *, named: bool) -> str:
    """Words before an angle bracket or a group's colon, where they are a name; elsewhere they are an address."""
    text = "".join(tokens)
    if text.isascii():
        return text
    if not named:
        raise _Unconvertible
    bare = "".join([_unescaped(each) if each[0] == '"' else each for each in tokens])
    before, after = (" " if each in " \t" else "" for each in (text[0], text[-1]))
    return f"{before}{_encoded(bare)}{after}"


def _unescaped(quoted: str) -> str:
    return _ESCAPED.sub(r"\1", quoted[1:-1])


def _encoded(text: str) -> str:
    return " ".join(words(decode_words(text.strip()), "UTF-8"))


def _parameters(value: str) -> str:
    """``name="ä"`` as ``name*=utf-8''%C3%A4``; what is ASCII stays as it was written."""
    main, _, _ = value.partition(";")
    pieces = [main.strip().encode("ascii", "replace").decode("ascii")]
    at = len(main)
    while 0 <= at < len(value):
        parameter = PARAMETER.match(value, at + 1)
        end = value.find(";", parameter.end() if parameter else at + 1)
        text = value[at + 1 : end if end >= 0 else len(value)].strip()
        if text.isascii() or parameter is None:
            pieces.append(text.encode("ascii", "replace").decode("ascii"))
        else:
            name, quoted, plain = parameter.groups()
            pieces.append(_extended(name, _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain.strip()))
        at = end
    return "; ".join([piece for piece in pieces if piece])


def _extended(name: str, text: str) -> str:
    name = name.encode("ascii", "replace").decode("ascii")
    if "*" in name:  # extended already, against the rules with octets beyond ASCII in it
        return f"{name}={quote(text, safe=_PLAIN_IN_PARAMETERS)}"
    return f"{name}*=utf-8''{quote(text, safe='')}"


_PLAIN_IN_PARAMETERS = "!#$&+-.^_`{|}~%'"
