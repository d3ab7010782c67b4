"""Definitions of custom metadata: sets of attributes with hashed ids, and what values they take.

The rules are those of `AtlasBusinessMetadataDefStoreV2` and of `validateBusinessAttributes` in the published source of
the metadata service.
"""

from __future__ import annotations

import json
import secrets
import string
import uuid
from typing import TYPE_CHECKING

import msgspec

from localcloud.atlan.errors import AtlanError, display_name_taken, typedef_not_found
from localcloud.atlan.types import TYPES, Attribute, Value, invalid, normal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from localcloud.atlan.assets import Asset

ID_LENGTH = 22
MOST_ATTRIBUTES = 1_000
"""How many attributes a tenant may define in its life; archived ones count too."""
KEYWORD_MAX_BYTES = 32_766
_LETTERS = string.ascii_letters + string.digits


class AttributeDef(msgspec.Struct, rename="camel", kw_only=True):
    """An attribute of a set. `name` is its hashed id; options are texts, also where they mean a flag."""

    name: str = ""
    display_name: str = ""
    description: str | None = None
    type_name: str = "string"
    options: dict[str, Value] | None = None
    cardinality: str | None = "SINGLE"
    is_optional: bool | None = True
    is_unique: bool | None = False
    is_indexable: bool | None = True
    include_in_notification: bool | None = False
    values_min_count: float | None = 0
    values_max_count: float | None = 1
    index_type: str | None = None

    @property
    def archived(self) -> bool:
        """Whether people do not see it any more."""
        return self.option("isArchived") == "true"

    @property
    def value(self) -> Attribute:
        """What it is to the index and to the check of values."""
        if self.type_name in {"int", "long", "float", "date"}:
            return Attribute(self.name, self.type_name, "number")
        return Attribute(self.name, self.type_name, "flag" if self.type_name == "boolean" else "normal")

    def option(self, name: str) -> Value:
        """One of its options, or None."""
        return (self.options or {}).get(name)

    def is_shown_on(self, asset: Asset) -> bool:
        """Whether people see it there: only on assets of its connections, where it has a list of these."""
        listed = _names(self.option("applicableConnections"))
        own = "qualifiedName" if asset.type_name == "Connection" else "connectionQualifiedName"
        return not listed or str(asset.attributes.get(own) or "") in listed

    def applies_to(self, asset: Asset) -> bool:
        """Whether assets of that type can have it."""
        listed = _names(self.option("applicableEntityTypes"))
        return not listed.isdisjoint((asset.type_name, *asset.type.supers))


class SetDef(msgspec.Struct, rename="camel", kw_only=True):
    """A set of custom metadata. `name` is its hashed id, `display_name` what people call it."""

    category: str = "BUSINESS_METADATA"
    guid: str | None = None
    name: str = ""
    display_name: str = ""
    description: str | None = None
    type_version: str | None = "1.0"
    version: int | None = 1
    create_time: int | None = None
    update_time: int | None = None
    created_by: str | None = None
    updated_by: str | None = None
    options: dict[str, Value] | None = None
    attribute_defs: list[AttributeDef] = []


class Definitions:
    """All sets of custom metadata of the tenant.

    Args:
        sets: Those that are there.
        ever: How many attributes were ever defined.
    """

    def __init__(self, sets: Iterable[SetDef] = (), ever: int = 0) -> None:
        self._sets = {one.name: one for one in sets}
        self.ever = ever

    def __iter__(self) -> Iterator[SetDef]:
        return iter(self._sets.values())

    def get(self, name: str) -> SetDef | None:
        """A set by its id."""
        return self._sets.get(name)

    def called(self, display_name: str) -> SetDef | None:
        """A set by the name that people use."""
        return next((one for one in self._sets.values() if one.display_name == display_name), None)

    def attribute(self, name: str) -> AttributeDef | None:
        """An attribute of whichever set, by its id."""
        found = (one for of in self._sets.values() for one in of.attribute_defs if one.name == name)
        return next(found, None)

    def adopt(self, made: SetDef) -> None:
        """Add a set as it is, ids and all."""
        self._sets[made.name] = made
        self.ever += len(made.attribute_defs)

    def create(self, asked: SetDef, now: int, who: str) -> SetDef:
        """Add a set; ids are made here, whatever the caller calls them.

        Raises:
            AtlanError: 409 where the display name is taken, 400 or 404 where an attribute is not right.
        """
        if self.called(asked.display_name) is not None:
            raise display_name_taken(asked.display_name)
        attributes = [msgspec.structs.replace(one, name="") for one in asked.attribute_defs]
        made = msgspec.structs.replace(
            asked, name=_new_id(), guid=str(uuid.uuid4()), version=1, created_by=who, create_time=now, updated_by=who,
            update_time=now, options=_texts(asked.options or {}),
            attribute_defs=self._checked(asked.display_name, attributes),
        )  # fmt: skip
        self._sets[made.name] = made
        return made

    def update(self, asked: SetDef, now: int, who: str) -> SetDef:
        """Replace a set, which may add attributes and take away none; attributes whose id is not known get one.

        Raises:
            AtlanError: 404 where the set is not there, 409 and 400 as for a new one.
        """
        old = next((one for one in self._sets.values() if asked.guid is not None and one.guid == asked.guid), None)
        old = old or self._sets.get(asked.name)
        if old is None:
            raise typedef_not_found(asked.name)
        named = self.called(asked.display_name)
        if named is not None and named is not old:
            raise display_name_taken(asked.display_name)
        known = {one.name: one for one in old.attribute_defs}
        given = {one.name for one in asked.attribute_defs}
        for name in known:
            if name not in given:
                raise AtlanError(400, "ATLAS-400-00-00D", f"{old.name}.{name} : attribute delete not supported")
        for one in asked.attribute_defs:
            before = _names(known[one.name].option("applicableEntityTypes")) if one.name in known else frozenset()
            if not before <= _names(one.option("applicableEntityTypes")):
                message = f"Cannot remove applicableEntityTypes in Attribute Def: {one.name}, "
                raise AtlanError(400, "ATLAS-400-00-093", f"{message}defined in business-metadata: {old.name}")
        attributes = [
            one if one.name in known else msgspec.structs.replace(one, name="") for one in asked.attribute_defs
        ]
        made = msgspec.structs.replace(
            asked, name=old.name, guid=old.guid, version=(old.version or 0) + 1, created_by=old.created_by,
            create_time=old.create_time, updated_by=who, update_time=now, options=_texts(asked.options or {}),
            attribute_defs=self._checked(asked.display_name, attributes),
        )  # fmt: skip
        self._sets[made.name] = made
        return made

    def delete(self, name: str) -> None:
        """Take a set away.

        Raises:
            AtlanError: 404, it is not there.
        """
        if self._sets.pop(name, None) is None:
            raise typedef_not_found(name)

    def check(self, asset: Asset, values: Mapping[str, Mapping[str, Value] | None]) -> list[str]:
        """What is wrong with values for an asset, as sentences; unknown attributes of a known set are passed over."""
        said: list[str] = []
        for name, given in values.items():
            found = self._sets.get(name)
            fitting = [one for one in found.attribute_defs if one.applies_to(asset)] if found else []
            if not fitting:
                said.append(f"{name}: invalid business-metadata for entity type {asset.type_name}")
            for one in fitting:
                value = (given or {}).get(one.name)
                where = f"{asset.type_name}.{name}.{one.name}"
                if invalid(one.value, value):
                    said.append(f"{where}={value}: invalid value for type {one.type_name}")
                elif isinstance(value, str) and one.type_name == "string":
                    said += _too_long(where, one, value)
        return said

    def kept(self, name: str, values: Mapping[str, Value]) -> dict[str, Value]:
        """The values of known attributes of a set, as they are kept; null where one is to go."""
        defined = {one.name: one for one in self._sets[name].attribute_defs}
        return {key: normal(defined[key].value, value) for key, value in values.items() if key in defined}

    def _checked(self, of: str, attributes: list[AttributeDef]) -> list[AttributeDef]:
        shown = [one.display_name for one in attributes if not one.archived]
        for name in shown:
            if shown.count(name) > 1:
                said = f"Given attributeDef {name} for type {of} already exists"
                raise AtlanError(409, "ATLAS-409-00-013", said)
        for one in attributes:
            for type_name in _names(one.option("applicableEntityTypes")):
                if type_name not in TYPES:
                    raise typedef_not_found(type_name)
            if one.type_name == "string" and not one.option("maxStrLength"):
                said = f"Mandatory field {one.display_name}.options.maxStrLength has empty/null value"
                raise AtlanError(400, "ATLAS-400-00-02B", said)
        new = sum(not one.name for one in attributes)
        if self.ever + new > MOST_ATTRIBUTES:
            said = f"invalid parameters: the tenant may define {MOST_ATTRIBUTES} attributes, deleted ones included"
            raise AtlanError(400, "ATLAS-400-00-01A", said)
        self.ever += new
        return [
            msgspec.structs.replace(one, name=one.name or _new_id(), options=_texts(one.options or {}))
            for one in attributes
        ]


def build_id(letter: Callable[[str], str]) -> str:
    """A hashed id of letters and digits.

    Args:
        letter: Chooses one of the letters it is given.
    """
    return "".join(letter(_LETTERS) for _ in range(ID_LENGTH))


def _new_id() -> str:
    return build_id(secrets.choice)


def _names(listed: Value) -> frozenset[str]:
    """The names of a list that is kept as a text of JSON."""
    try:
        found = json.loads(listed) if isinstance(listed, str) and listed else []
    except ValueError:
        return frozenset()
    return frozenset(str(one) for one in found) if isinstance(found, list) else frozenset()


def _texts(options: Mapping[str, Value]) -> dict[str, Value]:
    """Options as the service gives them back: flags and numbers are texts."""
    return {
        name: value if isinstance(value, str) or value is None else msgspec.json.encode(value).decode()
        for name, value in options.items()
    }


def _too_long(where: str, attribute: AttributeDef, value: str) -> list[str]:
    said = []
    longest = str(attribute.option("maxStrLength") or "0")
    if longest.isdigit() and len(value) > int(longest):
        said.append(f"{where}:  Business attribute-value exceeds maximum length limit")
    size = len(value.encode("utf-8", "replace"))
    if size > KEYWORD_MAX_BYTES:
        said.append(
            f"{where}: Business attribute value exceeds Elasticsearch keyword limit. "
            f"Size: {size} bytes, Limit: {KEYWORD_MAX_BYTES} bytes (32KB)."
        )
    return said
