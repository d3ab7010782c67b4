"""The stand-in of Atlan, asked by plain HTTP as a person's script would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from running_target import SET

if TYPE_CHECKING:
    from localcloud.atlan.running import Running


def ask(atlan: Running, method: str, path: str, body: object = None, **parameters: str) -> Any:
    """One request of the API; its answer."""
    headers = {"Authorization": f"Bearer {atlan.api_key}"}
    url = f"{atlan.url}/api/meta/{path}"
    answer = requests.request(method, url, json=body, params=parameters, headers=headers, timeout=30)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def definition(atlan: Running, name: str = SET) -> dict[str, Any]:
    """A set of custom metadata, as Atlan defines it."""
    found = ask(atlan, "GET", "types/typedefs/", type="BUSINESS_METADATA")["businessMetadataDefs"]
    return next(one for one in found if one["displayName"] == name)


def define(atlan: Running, changed: dict[str, Any]) -> None:
    """Put a definition in the place of the old one."""
    ask(atlan, "PUT", "types/typedefs/", {"businessMetadataDefs": [changed]})


def shown(atlan: Running, guid: str) -> str:
    """The page of an asset."""
    answer = requests.get(f"{atlan.url}/__localcloud__/page/asset/{guid}", timeout=30)
    answer.raise_for_status()
    return answer.text


def set_attributes(atlan: Running, guid: str, **attributes: str) -> None:
    """Change an asset as a person would."""
    asset = atlan.asset(guid)
    assert asset is not None
    named = {name: asset.attributes[name] for name in ("qualifiedName", "name")}
    entity = {"typeName": asset.type_name, "attributes": {**named, **attributes}}
    path = f"entity/uniqueAttribute/type/{asset.type_name}"
    ask(atlan, "PUT", path, {"entity": entity}, **{"attr:qualifiedName": str(named["qualifiedName"])})


def put_values(atlan: Running, guid: str, values: dict[str, Any], name: str = SET) -> None:
    """Write values of a set on an asset as a person would; None takes one away."""
    found = definition(atlan, name)
    ids = {one["displayName"]: one["name"] for one in found["attributeDefs"]}
    body = {ids[attribute]: value for attribute, value in values.items()}
    ask(atlan, "POST", f"entity/guid/{guid}/businessmetadata/{found['name']}", body)
