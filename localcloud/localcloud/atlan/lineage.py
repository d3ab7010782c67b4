"""The list of what an asset leads to, or comes from, through the processes that connect them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

import msgspec

from localcloud.atlan.assets import Asset, chosen, header
from localcloud.atlan.errors import AtlanError, bad_request, guid_not_found
from localcloud.atlan.types import DATASETS, PROCESSES, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localcloud.atlan.store import Store

_DEEPEST = 2**30 - 1


class Criterion(msgspec.Struct, rename="camel"):
    """A condition on an asset, or a group of conditions."""

    attribute_name: str | None = None
    operator: str = "="
    attribute_value: Value = None
    condition: Literal["AND", "OR"] = "AND"
    criterion: list[Criterion] | None = None

    def holds(self, asset: Asset) -> bool:
        """Whether an asset meets it.

        Raises:
            AtlanError: 400, the operator is not known here.
        """
        if self.criterion is not None:
            found = [one.holds(asset) for one in self.criterion]
            return all(found) if self.condition == "AND" else any(found)
        held, wanted = _value(asset, self.attribute_name or ""), self.attribute_value
        text, other = str(held or ""), str(wanted if wanted is not None else "")
        outcomes = {
            "=": text == other,
            "eq": text == other,
            "!=": text != other,
            "neq": text != other,
            "startsWith": text.startswith(other),
            "endsWith": text.endswith(other),
            "contains": other in text,
            "isNull": held is None,
            "notNull": held is not None,
        }
        if self.operator not in outcomes:
            raise bad_request(f"operator {self.operator} is not known to this stand-in")
        return outcomes[self.operator]


class LineageIn(msgspec.Struct, rename="camel"):
    """The body of a request for a list."""

    guid: str = ""
    depth: int | None = None
    direction: Literal["INPUT", "OUTPUT", "BOTH"] | None = None
    start: int | None = msgspec.field(name="from", default=None)
    size: int | None = None
    attributes: list[str] | None = None
    relation_attributes: list[str] | None = None
    entity_filters: Criterion | None = None
    entity_traversal_filters: Criterion | None = None
    immediate_neighbours: bool | None = None


class Lineage:
    """Follows lineage.

    Args:
        store: The catalog's memory; lineage is read from the graph, not from the index.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, asked: LineageIn) -> dict[str, Value]:
        """The body of an answer.

        Raises:
            AtlanError: The request is not right, or the asset is not there.
        """
        if asked.size is None or asked.size < 0:
            raise bad_request("Invalid 'size' value, 'size' should be greater than or equal to zero")
        if asked.start is None or asked.start < 0:
            raise bad_request("The 'from' parameter is missing or invalid")
        if asked.depth is None or not 0 <= asked.depth <= _DEEPEST:
            raise bad_request("The 'depth' parameter is missing or invalid")
        if asked.direction not in {"INPUT", "OUTPUT"}:
            raise bad_request("Invalid request, mandatory key 'direction' is required")
        base = self._store.get(asked.guid)
        if base is None:
            raise guid_not_found(asked.guid)
        if base.type_name not in DATASETS | PROCESSES:
            message = f"Given instance guid {asked.guid} with type {base.type_name} is not a valid lineage entity type."
            raise AtlanError(404, "ATLAS-404-00-011", message)
        found = [
            (one, level)
            for one, level in self.walk(base, asked.depth, asked.direction, asked.entity_traversal_filters)
            if asked.entity_filters is None or asked.entity_filters.holds(one)
        ]
        if asked.immediate_neighbours:
            found.insert(0, (base, 0))
        page = found[asked.start : asked.start + asked.size]
        related = asked.relation_attributes or ()
        entities: list[Value] = [
            header(one, chosen(one, asked.attributes or (), self._store.get, related)) | {"depth": level}
            for one, level in page
        ]
        return {
            "entities": entities,
            "hasMore": asked.start + asked.size < len(found),
            "entityCount": len(page),
            "searchParameters": msgspec.to_builtins(asked),
        }

    def walk(
        self, base: Asset, depth: int, direction: Literal["INPUT", "OUTPUT"], traverse: Criterion | None = None
    ) -> Iterable[tuple[Asset, int]]:
        """What lies that way, the nearest first, each with its distance: processes, then what they lead to."""
        ahead, behind = ("outputs", "inputs") if direction == "OUTPUT" else ("inputs", "outputs")
        starts: dict[str, list[Asset]] = {}
        for process in self._store.processes():
            for guid in process.references.get(behind, ()):
                starts.setdefault(guid, []).append(process)
        seen = {base.guid}
        queue = deque([(base, 0 if base.type_name in DATASETS else 1)])
        while queue:
            current, level = queue.popleft()
            if current.type_name in PROCESSES:
                steps = [self._store.get(guid) for guid in current.references.get(ahead, ())]
                next_level = level
            else:
                steps = list(starts.get(current.guid, []))
                next_level = level + 1
            for one in steps:
                if one is None or one.guid in seen or next_level > depth:
                    continue
                if traverse is not None and not traverse.holds(one):
                    continue
                seen.add(one.guid)
                yield one, next_level
                queue.append((one, next_level))


def _value(asset: Asset, name: str) -> Value:
    match name:
        case "__state":
            return asset.status
        case "__guid":
            return asset.guid
        case "__typeName":
            return asset.type_name
    return asset.attributes.get(name)
