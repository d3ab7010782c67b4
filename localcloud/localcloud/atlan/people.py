"""Users, roles and keys, as far as a client asks who it is and what it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.atlan.login import KEY_CLIENT_ID, REALM_ROLES, Caller
from localcloud.atlan.types import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    Page = Callable[[Caller, "Wanted", int], dict[str, Value]]


class Wanted(msgspec.Struct, frozen=True):
    """Which records of a list are asked for: those that a filter (JSON) leaves, from an offset on, so many at most."""

    filter: str = ""
    offset: int = 0
    limit: int = 20


_PERSON = "6d2f5a0b-9c1e-4f6a-8a1d-3b7e5c9d0f12"
_SERVICE_USER = "b1a4f7d2-3c5e-4a6b-9d8f-0e1c2b3a4d5f"


def current(caller: Caller, _wanted: Wanted, now_ms: int) -> dict[str, Value]:
    """The user that the caller's key stands for."""
    return {
        "id": _SERVICE_USER,
        "username": caller.username,
        "email": "",
        "emailVerified": False,
        "enabled": True,
        "firstName": caller.client_id,
        "lastName": "",
        "attributes": {},
        "createdTimestamp": now_ms,
        "lastLoginTime": now_ms,
        "roles": list(REALM_ROLES),
        "defaultRoles": [],
        "workspaceRole": "$admin",
        "personas": [],
        "purposes": [],
    }


def whoami(caller: Caller, _wanted: Wanted, _now_ms: int) -> dict[str, Value]:
    """The same, in short."""
    return {"userId": _SERVICE_USER, "username": caller.username, "roles": list(REALM_ROLES)}


def roles(_caller: Caller, wanted: Wanted, _now_ms: int) -> dict[str, Value]:
    """The roles of the tenant."""
    known = (("$admin", "Admin"), ("$member", "Member"), ("$guest", "Guest"))
    return _listed(
        [
            {"id": f"00000000-0000-4000-8000-00000000000{at}", "name": name, "description": text, "level": "workspace"}
            for at, (name, text) in enumerate(known)
        ],
        wanted,
    )


def users(_caller: Caller, wanted: Wanted, now_ms: int) -> dict[str, Value]:
    """The people of the tenant."""
    person: dict[str, Value] = {"id": _PERSON, "username": "admin", "email": "admin@mock.localcloud.invalid"}
    person |= {"enabled": True, "emailVerified": True, "firstName": "Ada", "lastName": "Admin"}
    return _listed([person | {"createdTimestamp": now_ms, "workspaceRole": "$admin", "roles": ["$admin"]}], wanted)


def groups(_caller: Caller, wanted: Wanted, _now_ms: int) -> dict[str, Value]:
    """The groups of the tenant: none."""
    return _listed([], wanted)


def api_tokens(_caller: Caller, wanted: Wanted, now_ms: int) -> dict[str, Value]:
    """The API keys of the tenant, without the keys themselves."""
    key: dict[str, Value] = {"id": _SERVICE_USER, "clientId": KEY_CLIENT_ID, "displayName": "localcloud"}
    about: dict[str, Value] = {"createdAt": str(now_ms), "createdBy": "admin", "displayName": "localcloud"}
    about |= {"clientId": KEY_CLIENT_ID, "description": "The key of a stand-in", "access.token.lifespan": "13"}
    return _listed([key | {"attributes": about | {"workspacePermissions": "[]", "personaQualifiedName": "[]"}}], wanted)


PAGES: dict[str, tuple[str, Page]] = {
    "users/current": ("user", current),
    "whoami": ("whoami", whoami),
    "roles": ("roles", roles),
    "users": ("users", users),
    "v2/groups": ("groups", groups),
    "apikeys": ("api_tokens", api_tokens),
}
"""What is answered at which path below the service, and the kind of the request."""


def _listed(records: list[dict[str, Value]], wanted: Wanted) -> dict[str, Value]:
    """A page of a list, as far as a filter of plain equalities leaves any; other filters are passed over."""
    try:
        asked: object = msgspec.json.decode(wanted.filter) if wanted.filter else {}
    except msgspec.DecodeError:
        asked = {}
    equal = asked if isinstance(asked, dict) else {}
    left = [
        one
        for one in records
        if all(one.get(name) == value for name, value in equal.items() if isinstance(value, str) and name in one)
    ]
    page = left[wanted.offset : wanted.offset + wanted.limit]
    return {"totalRecord": len(records), "filterRecord": len(left), "records": list[Value](page)}
