"""Avro schemas checked and made safe to decode with: what a payload must look like, byte by byte. Pure.

The decoder behind this (fastavro) trusts its input: a negative branch picks one from the end, a type without bytes in
an array makes a list without end, a type inside itself runs out of stack, and some releases take a string that is cut
off. So a payload is walked before it is decoded, and a schema that could not be walked in bounded time is refused.
The walk allocates nothing; whatever a length claims, it is compared with the bytes that are there.

Source: Apache Avro specification, "Schema Declaration" and "Binary Encoding".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_salesforce_deletes.pubsub.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Damaged", "Field", "Shape", "checked", "zigzag"]

_DEEPEST: Final = 32  # levels of types in types; Salesforce's own have 4
_MOST_NODES: Final = 20_000  # types in a schema; an object has at most 900 fields
_MOST_COMPOUND_ITEMS: Final = 10_000  # records in one array: each may take a byte and become a dict


class Damaged(Exception):  # noqa: N818 - never leaves this package: it becomes a PayloadError
    """The bytes are not what the schema says; the argument says how, without a value."""


class Field(msgspec.Struct, frozen=True):
    """One field of the record at the top.

    Attributes:
        name: Its name.
        nested: Names of its own fields, where it is a record or a union with one.
        empty: The bytes that stand for null; None where it cannot be null.
        schema: Its type, as the decoder takes it.
        skip: Walks over it: bytes and where it begins give where it ends, or `Damaged`.
        repeats: Whether there is a list in it.
        height: Levels of types in it.
    """

    name: str
    nested: tuple[str, ...]
    empty: bytes | None
    schema: Any
    skip: Callable[[bytes, int], int]
    repeats: bool
    height: int


class Shape(msgspec.Struct, frozen=True):
    """A record schema that is safe to decode with.

    Attributes:
        name: Its name, without namespace.
        fields: Its fields in order.
        schema: As the decoder takes it: no defaults, no logical types, so that values stay as they were sent.
    """

    name: str
    fields: tuple[Field, ...]
    schema: Any


def checked(raw: object) -> Shape:
    """Check a schema.

    Args:
        raw: What its JSON holds.

    Raises:
        PayloadError: It is no record schema, or one that cannot be decoded in bounded time.
    """
    if not isinstance(raw, dict) or raw.get("type") != "record":
        raise PayloadError("The schema of an event is not that of a record.")
    compiler = _Compiler()
    record = compiler.record(raw, 0, "")
    return Shape(record.name, record.fields, record.schema)


def zigzag(number: int) -> bytes:
    """A number as Avro writes it: zig-zag, seven bits a byte, the lowest first."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to 64 bits, and where it ends."""
    rest = shift = 0
    while True:
        if at >= len(data):
            raise Damaged("ends in the middle of a number")
        byte = data[at]
        at += 1
        rest |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise Damaged("holds a number that is too long")
    if rest >> 64:
        raise Damaged("holds a number that is too long")
    return (rest >> 1) ^ -(rest & 1), at


def _long(data: bytes, at: int) -> int:
    return _number(data, at)[1]


def _int(data: bytes, at: int) -> int:
    number, end = _number(data, at)
    if not -(2**31) <= number < 2**31:
        raise Damaged("holds a number that is too large for its type")
    return end


def _boolean(data: bytes, at: int) -> int:
    if at >= len(data) or data[at] > 1:
        raise Damaged("holds a truth value that is none")
    return at + 1


def _text(data: bytes, at: int) -> int:
    if at < len(data) and data[at] < 0x80:  # the usual case: shorter than 64 bytes
        size = data[at]
        end = at + 1 + (size >> 1)
        if size & 1 or end > len(data):
            raise Damaged("holds a text that does not fit")
        return end
    size, at = _number(data, at)
    if not 0 <= size <= len(data) - at:
        raise Damaged("holds a text that does not fit")
    return at + size


def _of_size(size: int) -> Callable[[bytes, int], int]:
    def skip(data: bytes, at: int) -> int:
        if at + size > len(data):
            raise Damaged("ends in the middle of a value")
        return at + size

    return skip


_SCALARS: Final[dict[str, Callable[[bytes, int], int]]] = {
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "float": _of_size(4),
    "double": _of_size(8),
    "bytes": _text,
    "string": _text,
}


def _null(data: bytes, at: int) -> int:  # noqa: ARG001 - it has no bytes
    return at


class _Type(msgspec.Struct, frozen=True):
    """A type: `scalar` without parts, `repeats` with a list inside, so many levels; `fields` and `name` of a record."""

    schema: Any
    skip: Callable[[bytes, int], int]
    scalar: bool = True
    repeats: bool = False
    height: int = 1
    fields: tuple[Field, ...] = ()
    name: str = ""


_NULL: Final = _Type("null", _null)


class _Compiler:
    def __init__(self) -> None:
        self._named: dict[str, _Type] = {}
        self._nodes = 0
        self._serial = 0

    def type(self, raw: object, depth: int, space: str) -> _Type:
        """A type that takes at least one byte."""
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise PayloadError("The schema of an event is larger than any that Salesforce makes.")
        if isinstance(raw, str | list):
            return self._by_name(raw, space) if isinstance(raw, str) else self._union(raw, depth, space)
        if not isinstance(raw, dict):
            raise PayloadError("The schema of an event has a type in a form that Avro does not know.")
        kind = raw.get("type")
        if kind == "record":
            return self.record(raw, depth, space)
        if kind in ("array", "map"):
            return self._repeated(raw, "items" if kind == "array" else "values", depth, space)
        if kind in ("enum", "fixed"):
            return self._enum(raw, space) if kind == "enum" else self._fixed(raw, space)
        return self.type(kind, depth + 1, space)

    def record(self, raw: dict[Any, Any], depth: int, space: str) -> _Type:
        name, space = self._name(raw, space)
        declared = raw.get("fields")
        if not isinstance(declared, list) or not declared:
            raise PayloadError("The schema of an event has a record without fields.")
        fields = tuple(self._field(one, depth + 1, space) for one in declared)
        if len({field.name for field in fields}) != len(fields):
            raise PayloadError("The schema of an event names a field twice.")
        skips = tuple(field.skip for field in fields)

        def skip(data: bytes, at: int) -> int:
            for one in skips:
                at = one(data, at)
            return at

        schema = {
            "type": "record",
            "name": self._alias(),
            "fields": [{"name": field.name, "type": field.schema} for field in fields],
        }
        repeats, height = any(field.repeats for field in fields), self._above(field.height for field in fields)
        return self._keep(name, space, _Type(schema, skip, False, repeats, height, fields, name))

    def _field(self, raw: object, depth: int, space: str) -> Field:
        name = raw.get("name") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or not isinstance(name, str) or not name:
            raise PayloadError("The schema of an event has a field without a name.")
        declared = raw.get("type")
        made = self.type(declared, depth, space)
        nested, empty = tuple(field.name for field in made.fields), None
        if isinstance(declared, list) and "null" in declared:
            empty = zigzag(declared.index("null"))
        return Field(name, nested, empty, made.schema, made.skip, made.repeats, made.height)

    def _by_name(self, raw: str, space: str) -> _Type:
        if raw in _SCALARS:
            return _Type(raw, _SCALARS[raw])
        known = self._named.get(f"{space}.{raw}" if space and "." not in raw else raw) or self._named.get(raw)
        if known is None:
            raise PayloadError("The schema of an event uses a type that it does not declare before.")
        return msgspec.structs.replace(known, schema=known.schema["name"])

    def _union(self, raw: Sequence[object], depth: int, space: str) -> _Type:
        branches = [_NULL if one == "null" else self.type(one, depth + 1, space) for one in raw]
        if not branches or any(isinstance(one, list) for one in raw) or list(raw).count("null") > 1:
            raise PayloadError("The schema of an event has a choice of types that Avro does not know.")
        skips = tuple(branch.skip for branch in branches)
        null = 2 * next((index for index, one in enumerate(branches) if one is _NULL), -1)

        def skip(data: bytes, at: int) -> int:
            if at < len(data) and data[at] == null:
                return at + 1
            index, at = _number(data, at)
            if not 0 <= index < len(skips):
                raise Damaged("holds a choice that the schema does not offer")
            return skips[index](data, at)

        records = [branch for branch in branches if branch.fields]
        fields = records[0].fields if len(records) == 1 else ()
        repeats = any(branch.repeats for branch in branches)
        scalar, height = all(one.scalar for one in branches), self._above(one.height for one in branches)
        return _Type([branch.schema for branch in branches], skip, scalar, repeats, height, fields)

    def _enum(self, raw: dict[Any, Any], space: str) -> _Type:
        name, space = self._name(raw, space)
        symbols = raw.get("symbols")
        if not isinstance(symbols, list) or not symbols or not all(isinstance(one, str) for one in symbols):
            raise PayloadError("The schema of an event has a list of symbols that is none.")
        count = len(symbols)

        def skip(data: bytes, at: int) -> int:
            index, at = _number(data, at)
            if not 0 <= index < count:
                raise Damaged("holds a symbol that the schema does not offer")
            return at

        schema = {"type": "enum", "name": self._alias(), "symbols": symbols}
        return self._keep(name, space, _Type(schema, skip))

    def _fixed(self, raw: dict[Any, Any], space: str) -> _Type:
        name, space = self._name(raw, space)
        size = raw.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 < size < 2**31:
            raise PayloadError("The schema of an event has a size that is none.")
        schema = {"type": "fixed", "name": self._alias(), "size": size}
        return self._keep(name, space, _Type(schema, _of_size(size)))

    def _repeated(self, raw: dict[Any, Any], key: str, depth: int, space: str) -> _Type:
        made = self.type(raw.get(key), depth + 1, space)
        if made.repeats:
            raise PayloadError("The schema of an event has lists in lists, which no event has.")
        skip_item = made.skip if key == "items" else _entry(made.skip)
        skip = _blocks(skip_item, None if made.scalar else _MOST_COMPOUND_ITEMS)
        return _Type({"type": raw["type"], key: made.schema}, skip, False, True, self._above((made.height,)))

    def _name(self, raw: dict[Any, Any], space: str) -> tuple[str, str]:
        name, own = raw.get("name"), raw.get("namespace", space)
        if not isinstance(name, str) or not name or not isinstance(own, str):
            raise PayloadError("The schema of an event has a type without a name.")
        before, _, last = name.rpartition(".")
        return last, before or own

    def _alias(self) -> str:
        """A name that is used once: the decoder refuses a schema that declares one twice."""
        self._serial += 1
        return f"T{self._serial}"

    def _keep(self, name: str, space: str, made: _Type) -> _Type:
        self._named[f"{space}.{name}" if space else name] = made
        return made

    @staticmethod
    def _above(heights: Iterable[int]) -> int:
        """One level more: named types stand for theirs, so that depth alone does not bound a schema."""
        height = 1 + max(heights, default=0)
        if height > _DEEPEST:
            raise PayloadError("The schema of an event is larger than any that Salesforce makes.")
        return height


def _entry(skip_value: Callable[[bytes, int], int]) -> Callable[[bytes, int], int]:
    """An entry of a map: its key, its value."""
    return lambda data, at: skip_value(data, _text(data, at))


def _blocks(skip_item: Callable[[bytes, int], int], most: int | None) -> Callable[[bytes, int], int]:
    """An array or map: blocks with a count, each item of at least one byte."""

    def skip(data: bytes, at: int) -> int:
        total = 0
        while True:
            count, at = _number(data, at)
            if count == 0:
                return at
            end = None
            if count < 0:
                size, at = _number(data, at)
                count, end = -count, at + size
            total += count
            if count > len(data) - at or (most is not None and total > most):
                raise Damaged("holds a list that does not fit")
            for _ in range(count):
                at = skip_item(data, at)
            if end is not None and at != end:
                raise Damaged("holds a list that does not fit")

    return skip
