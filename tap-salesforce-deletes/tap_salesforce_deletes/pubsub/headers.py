"""The header of a change event, and a short way to it for events that look like the one before.

Most deletes of a topic differ in a few values only. From one that was decoded the long way a template is made: its
bytes are cut into pieces of the same sizes, of which the lengths, the lists and everything behind the header are
literal, and only values are free. What matches it as a whole is exactly such an event: each literal length is followed
by so many bytes, numbers end where their piece ends, and the rest is the precomputed rest of a record whose fields are
all null.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_salesforce_deletes.pubsub.shape import zigzag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_salesforce_deletes.pubsub.shape import Field

__all__ = ["HEADER", "ChangeEventHeader", "Templates"]

HEADER: Final = "ChangeEventHeader"
_MOST_TEMPLATES: Final = 32  # of one schema; one is made per length of the texts and numbers in it
_MOST_KEPT: Final = 1_000


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

_PLAIN: Final = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
_MARK: Final = 0x80  # of a byte of a number that others follow
_FOUR_MARKS: Final = _MARK * (1 + (1 << 7) + (1 << 14) + (1 << 21))
_MOST_BYTES: Final = 9  # of a long: 63 bits cannot be too many
_MOST_BYTES_OF_INT: Final = 4


class _Template(msgspec.Struct, frozen=True):
    """How payloads of one length are cut, and what stands between their values.

    Attributes:
        cut: Gives literal, record id, literal, origin, literal, key, sequence number, timestamp, four bytes of the
            commit number one by one, the rest of them, literal, user, literal.
        literals: The five.
        entity: The object.
        change_type: Such as `DELETE`.
    """

    cut: Callable[[bytes], tuple[Any, ...]]
    literals: tuple[bytes, ...]
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
        # What many events share, by its bytes; only what was looked at is in them.
        self._texts: dict[bytes, str] = {}
        self._numbers: dict[bytes, int] = {}
        self._uppers: dict[bytes, int] = {}

    def header(self, payload: bytes) -> ChangeEventHeader | None:
        """The header of a payload that matches a template and is plain; None: decode it the long way.

        Plain are texts that JSON writes as they are: printable ASCII without quotes and backslashes. The one record id
        is of letters and digits.
        """
        for template in self._by_length.get(len(payload), ()):
            start, record_id, second, origin, third, key, sequence, timestamp, a, b, c, d, upper, fourth, user, end = (
                template.cut(payload)
            )
            if (start, second, third, fourth, end) != template.literals:
                continue
            if not (a & b & c & d & _MARK and record_id.isalnum()) or key.translate(None, _PLAIN):
                return None
            try:
                commit = self._uppers[upper] + a + (b << 7) + (c << 14) + (d << 21) - _FOUR_MARKS
                return ChangeEventHeader(
                    template.entity,
                    (record_id.decode(),),
                    template.change_type,
                    key.decode(),
                    self._numbers[timestamp],
                    self._numbers[sequence],
                    commit >> 1 ^ -(commit & 1),
                    self._texts[origin],
                    self._texts[user],
                )
            except KeyError:
                return self.header(payload) if self._know((origin, user), (timestamp, sequence), upper) else None
        return None

    def _know(self, texts: Sequence[bytes], numbers: Sequence[bytes], upper: bytes) -> bool:
        """Keep what other events may share; False when a text is not plain, or a number is cut otherwise."""
        if any(text.translate(None, _PLAIN) for text in texts) or not all(map(_is_number, (*numbers, upper))):
            return False
        if max(len(self._texts), len(self._numbers), len(self._uppers)) >= _MOST_KEPT:
            self._texts, self._numbers, self._uppers = {}, {}, {}  # not emptied: another thread may look into them
        self._texts |= {text: text.decode() for text in texts}
        self._numbers |= {number: _value(number) for number in numbers}
        self._uppers[upper] = _plain(upper) << 28
        return True

    def learn(self, payload: bytes, header: ChangeEventHeader) -> None:
        """Make a template of a payload that was decoded, and has nothing behind its header."""
        if not self._usable or self._count >= _MOST_TEMPLATES or len(header.record_ids) != 1:
            return
        if header.nulled_fields or header.diff_fields or header.changed_fields or self._rest is None:
            return
        record_id, origin, key, user = (
            text.encode()
            for text in (*header.record_ids, header.change_origin, header.transaction_key, header.commit_user)
        )
        start = _text(header.entity_name) + zigzag(1) + zigzag(len(record_id))
        symbol = payload[len(start) + len(record_id) + 1 :][:1]
        numbers = [zigzag(n) for n in (header.sequence_number, header.commit_timestamp, header.commit_number)]
        literals = (
            start,
            zigzag(0) + symbol + zigzag(len(origin)),
            zigzag(len(key)),
            zigzag(len(user)),
            zigzag(0) * 3 + self._rest,
        )
        upper = len(numbers[2]) - 4
        if symbol >= b"\x80" or upper < 1 or max(map(len, numbers)) > _MOST_BYTES:
            return
        if len(numbers[0]) > _MOST_BYTES_OF_INT:
            return
        parts = (
            *(literals[0], record_id, literals[1], origin, literals[2], key, *numbers[:2]),
            *(literals[3], user, literals[4]),
        )
        sizes = [f"{len(part)}s" for part in parts]
        layout = Struct("".join((*sizes[:8], f"4B{upper}s", *sizes[8:])))
        if b"".join((*parts[:8], numbers[2], *parts[8:])) != payload:  # written in another way, though rightly
            return
        self._count += 1
        template = _Template(layout.unpack, literals, header.entity_name, header.change_type)
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


def _is_number(encoded: bytes) -> bool:
    """Whether bytes are one number, and no more."""
    return encoded[-1] < _MARK <= min(encoded[:-1], default=_MARK)


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
