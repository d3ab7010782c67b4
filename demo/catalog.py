"""Asks the mock Atlan over plain HTTP: assets, their custom metadata, lineage. Knows nothing of the target."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

API_KEY = "localcloud-api-key"  # the stand-in's own (localcloud/README.md)
_PAGE = 500

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset, as the search shows it.

    Attributes:
        guid: Atlan's id.
        kind: Its type.
        name: What users see.
        attributes: Those that were asked for.
        values: What it carries of the set of custom metadata that was asked for, by the attributes' names.
    """

    guid: str
    kind: str
    name: str
    attributes: Mapping[str, Any]
    values: Mapping[str, Any]


def ask(url: str, path: str, body: Json | None = None) -> Json:
    """One request of the API; its answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/meta/{path}", data, headers)  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        found: Json = json.load(answer)
    return found


def page(url: str, path: str) -> str:
    """A page as a person's browser gets it."""
    with urllib.request.urlopen(f"{url}{path}", timeout=30) as answer:  # noqa: S310 - our own address
        return str(answer.read().decode())


def attribute_ids(url: str, display_name: str) -> dict[str, str]:
    """`set.attribute` ids of a set of custom metadata, by the attribute's name; none where there is no such set."""
    found = ask(url, "types/typedefs/?type=BUSINESS_METADATA")["businessMetadataDefs"]
    sets = [one for one in found if one["displayName"] == display_name]
    return {part["displayName"]: f"{one['name']}.{part['name']}" for one in sets for part in one["attributeDefs"]}


def assets(
    url: str, kinds: Sequence[str], attributes: Sequence[str], custom: Mapping[str, str] | None = None
) -> Iterator[Asset]:
    """All live assets of some types.

    Args:
        url: The catalog's address.
        kinds: Names of types.
        attributes: What to bring along.
        custom: From `attribute_ids`.
    """
    ids = custom or {}
    live = [{"terms": {"__typeName.keyword": list(kinds)}}, {"term": {"__state": "ACTIVE"}}]
    start = 0
    while True:
        dsl = {
            "from": start,
            "size": _PAGE,
            "query": {"bool": {"filter": live}},
            "sort": [{"__guid": {"order": "asc"}}],
        }
        answer = ask(url, "search/indexsearch", {"dsl": dsl, "attributes": ["name", *attributes, *ids.values()]})
        found = answer.get("entities") or []
        for one in found:
            carried = one["attributes"]
            values = {name: carried[key] for name, key in ids.items() if carried.get(key) is not None}
            yield Asset(one["guid"], one["typeName"], str(carried.get("name")), carried, values)
        if len(found) < _PAGE:
            return
        start += _PAGE


def schema_name(url: str, name: str) -> str:
    """Qualified name of the warehouse's schema of that name; two would be named alike in two databases."""
    (found,) = [one for one in assets(url, ["Schema"], ["qualifiedName"]) if one.name == name]
    return str(found.attributes["qualifiedName"])
