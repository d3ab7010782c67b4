"""The header of a change event, and a short way to it for events that look like the one before.

Most deletes of a topic differ in a few values only. From one that was decoded the long way a template is made: a
pattern of its bytes in which the lengths, the lists and everything behind the header are literal, and only values of
that length are free. What matches it as a whole is exactly such an event: each literal length is followed by so many
bytes, numbers end where their bytes say, and the rest is the precomputed rest of a record whose fields are all null.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from tap_salesforce_deletes.pubsub.shape import zigzag

if TYPE_CHECKING:
    from tap_salesforce_deletes.pubsub.shape import Field

__all__ = ["HEADER", "ChangeEventHeader", "Templates"]

HEADER: Final = "ChangeEventHeader"
_MOST_TEMPLATES: Final = 32  # of one schema; one is made per length of the texts in it


class ChangeEventHeader(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a change event says about the change. Source: Change Data Capture guide, "Change Event Header Fields".

    Attributes:
        entity_name: The object.
        record_ids: The records: one, many where Salesforce merged events, or a wildcard.
        change_type: `DELETE`, `UNDELETE`, `GAP_DELETE`, ...; may be one that is not documented.
        change_origin: What made the change: `com/salesforce/api/rest/60.0;client=...`; may be empty.
        transaction_key: The same for all changes of a transaction.
        sequence_number: Place in the transaction, from 1.
        commit_timestamp: Milliseconds since 1970, UTC.
        commit_number: Grows with each commit; beyond what a JSON number holds exactly.
        commit_user: 18-character id of the user.
        nulled_fields: Bitmap words; see `EventSchema.named`.
        diff_fields: Bitmap words.
        changed_fields: Bitmap words.
    """

    entity_name: str
    record_ids: tuple[str, ...]
    change_type: str
    transaction_key: str
    commit_timestamp: int
    sequence_number: int = 0
    commit_number: int = 0
    change_origin: str = ""
    commit_user: str = ""
    nulled_fields: tuple[str, ...] = ()
    diff_fields: tuple[str, ...] = ()
    changed_fields: tuple[str, ...] = ()


_STRINGS: Final = ("array", "string")
_ORDER: Final[tuple[tuple[str, object], ...]] = (
    ("entityName", "string"),
    ("recordIds", _STRINGS),
    ("changeType", "enum"),
    ("changeOrigin", "string"),
    ("transactionKey", "string"),
    ("sequenceNumber", "int"),
    ("commitTimestamp", "long"),
    ("commitNumber", "long"),
    ("commitUser", "string"),
    ("nulledFields", _STRINGS),
    ("diffFields", _STRINGS),
    ("changedFields", _STRINGS),
)
"""The header as it is today; with any other there are no templates."""

_MOST_HIGH: Final = 100
_MOST_NUMBERS: Final = 1_000
_FOUR_MARKS: Final = 0x80 * (1 + (1 << 7) + (1 << 14) + (1 << 21))  # of four bytes that others follow

_NUMBER: Final = rb"([\x80-\xff]{0,8}[\x00-\x7f])"  # at most 9 bytes: 63 bits cannot be too long
_INT: Final = rb"([\x80-\xff]{0,3}[\x00-\x7f])"


class _Template(msgspec.Struct, frozen=True):
    pattern: re.Pattern[bytes]
    entity: str
    change_type: str


class Templates:
    """Templates of one schema; may be used by many threads.

    Args:
        rest: The bytes behind the header of an event without values; None where there can be none.
        header: The field that is the header, or the first field of a schema without one.
    """

    def __init__(self, rest: bytes | None, header: Field) -> None:
        self._rest = rest
        self._usable = rest is not None and header.name == HEADER and _types(header) == _ORDER
        self._by_length: dict[int, tuple[_Template, ...]] = {}
        self._count = 0
        self._high: dict[bytes, int] = {}
        self._numbers: dict[bytes, int] = {}

    def header(self, payload: bytes) -> ChangeEventHeader | None:
        """The header of a payload that matches a template; None: decode it the long way."""
        for template in self._by_length.get(len(payload), ()):
            match = template.pattern.fullmatch(payload)
            if match is None:
                continue
            record_id, origin, key, sequence, timestamp, commit, user = match.groups()
            try:
                return ChangeEventHeader(
                    template.entity,
                    (record_id.decode(),),
                    template.change_type,
                    key.decode(),
                    self._known(timestamp),
                    self._known(sequence),
                    self._number(commit),
                    origin.decode(),
                    user.decode(),
                )
            except UnicodeDecodeError:
                return None
        return None

    def _known(self, encoded: bytes) -> int:
        """A number from its bytes; stamps and sequence numbers are the same in many events."""
        number = self._numbers.get(encoded)
        if number is None:
            if len(self._numbers) > _MOST_NUMBERS:
                self._numbers = {}
            number = self._numbers[encoded] = _value(encoded)
        return number

    def _number(self, encoded: bytes) -> int:
        """A number from its bytes; the upper ones of commits stay the same for a while."""
        if len(encoded) < 5:
            return _value(encoded)
        upper = encoded[4:]
        high = self._high.get(upper)
        if high is None:
            if len(self._high) > _MOST_HIGH:
                self._high = {}
            high = self._high[upper] = _plain(upper) << 28
        first, second, third, fourth = encoded[:4]
        rest = high + first + (second << 7) + (third << 14) + (fourth << 21) - _FOUR_MARKS
        return rest >> 1 ^ -(rest & 1)

    def learn(self, payload: bytes, header: ChangeEventHeader) -> None:
        """Make a template of a payload that was decoded, and has nothing behind its header."""
        if not self._usable or self._count >= _MOST_TEMPLATES or len(header.record_ids) != 1:
            return
        if header.nulled_fields or header.diff_fields or header.changed_fields or self._rest is None:
            return
        entity, [record_id] = _text(header.entity_name), header.record_ids
        symbol = payload[len(entity) + len(_text(record_id)) + 2 :][:1]
        pattern = b"".join(
            (
                re.escape(entity),
                re.escape(zigzag(1)),
                _free(record_id),
                re.escape(zigzag(0) + symbol),
                _free(header.change_origin),
                _free(header.transaction_key),
                _INT,
                _NUMBER,
                _NUMBER,
                _free(header.commit_user),
                re.escape(zigzag(0) * 3 + self._rest),
            )
        )
        template = _Template(re.compile(pattern, re.DOTALL), header.entity_name, header.change_type)
        if symbol >= b"\x80" or template.pattern.fullmatch(payload) is None:  # written in another way, though rightly
            return
        self._count += 1
        self._by_length[len(payload)] = (*self._by_length.get(len(payload), ()), template)


def _types(header: Field) -> tuple[tuple[str, object], ...]:
    def plain(schema: object) -> object:
        if isinstance(schema, dict):
            return ("array", schema["items"]) if schema["type"] == "array" else schema["type"]
        return schema if isinstance(schema, str) else None

    declared = header.schema.get("fields", ()) if isinstance(header.schema, dict) else ()
    return tuple((field["name"], plain(field["type"])) for field in declared)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return zigzag(len(encoded)) + encoded


def _free(text: str) -> bytes:
    """A pattern for any text of the same length in bytes."""
    size = len(text.encode())
    return re.escape(zigzag(size)) + b"(.{%d})" % size


def _value(encoded: bytes) -> int:
    """A number from its bytes."""
    rest = _plain(encoded)
    return rest >> 1 ^ -(rest & 1)


def _plain(encoded: bytes) -> int:
    """Seven bits a byte, the lowest first."""
    rest = shift = 0
    for byte in encoded:
        rest |= (byte & 0x7F) << shift
        shift += 7
    return rest
