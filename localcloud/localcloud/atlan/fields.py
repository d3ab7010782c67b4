"""What the index knows of an asset: values by the names of index fields, as they are stored and as they are found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from localcloud.atlan.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.atlan.assets import Asset
    from localcloud.atlan.definitions import Definitions
    from localcloud.atlan.types import Index, Value

Token: TypeAlias = str | int | float | bool

_SYSTEM: dict[str, tuple[Callable[[Asset], Value], Index]] = {
    "__guid": (lambda asset: asset.guid, "keyword"),
    "__typeName": (lambda asset: asset.type_name, "text"),
    "__superTypeNames": (lambda asset: list(asset.type.supers), "text"),
    "__state": (lambda asset: asset.status, "keyword"),
    "__timestamp": (lambda asset: asset.created_at, "number"),
    "__modificationTimestamp": (lambda asset: asset.updated_at, "number"),
    "__createdBy": (lambda asset: asset.created_by, "keyword"),
    "__modifiedBy": (lambda asset: asset.updated_by, "keyword"),
}
_WORDS = re.compile(r"[ _\-'/@]+")
_INDEXED: dict[str, Index] = {name: one.index for kind in TYPES.values() for name, one in kind.by_name.items()}


class Field(msgspec.Struct, frozen=True):
    """A field of the index.

    `raw` reads the value of an asset; `token` turns a value, or a word that is searched, into what is compared; the
    words of an `analysed` field are compared one by one.
    """

    name: str
    raw: Callable[[Asset], Value]
    lower: bool = False
    analysed: bool = False

    def tokens(self, asset: Asset) -> list[Token]:
        """What the index holds of an asset."""
        value = self.raw(asset)
        values = value if isinstance(value, list) else [] if value is None else [value]
        found: list[Token] = []
        for one in values:
            if isinstance(one, str) and self.analysed:
                found += words(one)
            elif isinstance(one, (str, int, float, bool)):
                found.append(self.token(one))
        return found

    def token(self, value: Token) -> Token:
        """A value as it is compared; a word field takes search words as they are."""
        return value.lower() if isinstance(value, str) and self.lower else value


def words(text: str) -> list[Token]:
    """The words of a text as the catalog's analyser finds them."""
    return [word.lower() for word in _WORDS.split(text) if word]


def field(name: str, definitions: Definitions) -> Field | None:
    """The field of the index with that name; None: there is none, and nothing is found by it.

    Args:
        name: Such as `name.keyword`, `__typeName.keyword`, or the id of an attribute of custom metadata.
        definitions: The custom metadata.
    """
    base, _, part = name.partition(".")
    if base in _SYSTEM:
        raw, index = _SYSTEM[base]
        return _of(name, raw, index, part)
    if base in _INDEXED:
        return _of(name, lambda asset: asset.attributes.get(base), _INDEXED[base], part)
    attribute = definitions.attribute(base)
    if attribute is None:
        return None

    def custom(asset: Asset) -> Value:
        return next((values[base] for values in asset.custom_metadata.values() if base in values), None)

    return _of(name, custom, attribute.value.index, part)


def _of(name: str, raw: Callable[[Asset], Value], index: Index, part: str) -> Field | None:
    match index, part:
        case (("text" | "text_exact"), ""):
            return Field(name, raw, analysed=True)
        case (("text" | "text_exact"), "keyword"):
            return Field(name, raw, lower=index == "text")
        case (("keyword" | "normal"), ""):
            return Field(name, raw, lower=index == "normal")
        case (("keyword" | "normal"), "text"):
            return Field(name, raw, analysed=True)
        case (("number" | "flag"), ("" | "date")):
            return Field(name, raw)
    return None
