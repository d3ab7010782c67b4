"""The API of the catalog: which request asks for what, and the answers, apart from any socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.atlan import people
from localcloud.atlan.assets import Asset, header, references
from localcloud.atlan.definitions import SetDef  # noqa: TC001 - msgspec reads it at run time
from localcloud.atlan.entities import BulkIn, Entities, EntityIn, Flags, Mutation
from localcloud.atlan.errors import (
    AtlanError,
    bad_request,
    guid_not_found,
    has_references,
    name_not_found,
    typedef_not_found,
)
from localcloud.atlan.evaluating import Question, evaluate
from localcloud.atlan.lineage import Lineage, LineageIn
from localcloud.atlan.login import Caller, TokenIn
from localcloud.atlan.search import Searches, SearchIn
from localcloud.atlan.types import TYPES, EntityType, Value
from localcloud.serving import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.atlan.login import Logins
    from localcloud.atlan.store import Store
    from localcloud.atlan.switches import Switches

    Route = tuple[str, Callable[["Call", Caller], "Answer"]]

_META = "/api/meta/"
_SERVICE = "/api/service/"
_STRUCTS: list[Value] = [
    {
        "category": "STRUCT",
        "guid": "7a0c6c1e-2f54-4f0e-9d0b-0c5a1f3e8b21",
        "name": "AwsTag",
        "description": "A tag and its value, of an object in AWS.",
        "typeVersion": "1.0",
        "version": 1,
        "attributeDefs": [
            {"name": name, "typeName": "string", "isOptional": False, "cardinality": "SINGLE", "isUnique": False}
            for name in ("awsTagKey", "awsTagValue")
        ],
    }
]
"""Never empty: pyatlan takes an answer without any for that of an expired token."""


class Call(wire.Call, frozen=True):
    """A request to the catalog."""

    def parameter(self, name: str) -> str:
        """The first value of a parameter, or an empty text."""
        return self.parameters.get(name, [""])[0]

    def flag(self, name: str) -> bool:
        """Whether a parameter is true."""
        return self.parameter(name).lower() == "true"


class Answer(msgspec.Struct, frozen=True):
    """What goes back; `rows` assets are in it, and `kind` is the sort of request, for the journal."""

    status: int
    body: bytes = b""
    kind: str = "other"
    rows: int = 0


class Api:
    """Answers requests.

    Args:
        store: The catalog's memory.
        logins: Who may ask.
        switches: What misbehaves.
    """

    def __init__(self, store: Store, logins: Logins, switches: Switches) -> None:
        self._store = store
        self._logins = logins
        self._switches = switches
        self._entities = Entities(store, switches.guard)
        self._searches = Searches(store, switches)
        self._lineage = Lineage(store)

    def kind(self, call: Call) -> str:
        """The sort of a request, for the journal."""
        found = self._route(call)
        return found[0] if found else "other"

    def answer(self, call: Call) -> Answer:
        """Answer a request.

        Raises:
            AtlanError: It is refused.
        """
        found = self._route(call)
        if found is None:
            raise AtlanError(404, "404", f"there is no {call.method} {call.path} here")
        kind, do = found
        if kind == "oauth_token":
            return msgspec.structs.replace(do(call, Caller("", "")), kind=kind)
        caller = self._logins.caller(call.headers.get("authorization"))
        try:
            return msgspec.structs.replace(do(call, caller), kind=kind)
        except msgspec.MsgspecError as error:
            raise bad_request(f"the body is not right: {error}") from error

    def _route(self, call: Call) -> Route | None:
        if call.path.startswith(_META):
            return self._meta(call.method, call.path.removeprefix(_META).split("/"))
        if call.path.startswith(_SERVICE):
            return self._service(call.method, call.path.removeprefix(_SERVICE))
        if call.method == "POST" and call.path.startswith("/events/openlineage/"):
            return "openlineage", lambda _call, _caller: Answer(202)
        return None

    def _meta(self, method: str, steps: list[str]) -> Route | None:
        match steps:
            case ["types", *rest]:
                return self._of_types(method, rest)
            case ["entity", *rest]:
                return self._of_entities(method, rest)
            case ["search", "indexsearch"] if method == "POST":
                return "search", self._search
            case ["lineage", "list"] if method == "POST":
                return "lineage_list", self._lineage_list
        return None

    def _of_types(self, method: str, steps: list[str]) -> Route | None:
        match [method, *steps]:
            case ["GET", "typedefs"]:
                return "typedefs_read", self._typedefs
            case ["POST", "typedefs"]:
                return "typedefs_create", self._define
            case ["PUT", "typedefs"]:
                return "typedefs_update", self._redefine
            case ["GET", "typedef", "name", name]:
                return "typedef", lambda _call, _caller: self._typedef(name)
            case ["DELETE", "typedef", "name", name]:
                return "typedef_delete", lambda _call, _caller: self._undefine(name)
        return None

    def _of_entities(self, method: str, steps: list[str]) -> Route | None:
        found: Route | None = None
        match [method, *steps]:
            case ["POST", "bulk"]:
                found = "bulk", self._bulk
            case ["POST", "evaluator"]:
                found = "evaluate", self._evaluate
            case ["DELETE", "bulk"]:
                found = "bulk_delete", self._delete
            case ["GET", "guid", guid]:
                found = "entity", lambda call, _caller: self._by_guid(call, guid)
            case ["GET", "uniqueAttribute", "type", name]:
                found = "entity_by_name", lambda call, _caller: self._by_name(call, name)
            case ["PUT", "uniqueAttribute", "type", name]:
                found = "entity_update", lambda call, caller: self._update(call, caller, name)
            case ["POST", "guid", guid, "businessmetadata", set_id]:
                found = "custom_metadata", lambda call, caller: self._custom(call, caller, guid, set_id)
        return found

    def _service(self, method: str, path: str) -> Route | None:
        if (method, path) == ("POST", "oauth-clients/token"):
            return "oauth_token", lambda call, _caller: self._token(call)
        found = people.PAGES.get(path) if method == "GET" else None
        if found is None:
            return None
        kind, page = found
        return kind, lambda call, caller: _json(page(caller, _wanted(call), self._store.clock.now_ms()))

    def _token(self, call: Call) -> Answer:
        try:
            asked = msgspec.json.decode(call.body, type=TokenIn)
        except msgspec.MsgspecError as error:
            raise bad_request(f"the body is not right: {error}") from error
        return _json(self._logins.token(asked))

    def _typedefs(self, call: Call, _caller: Caller) -> Answer:
        wanted = {one.upper() for one in call.parameters.get("type", [])}
        body: dict[str, object] = {
            name: [] for name in ("enumDefs", "structDefs", "classificationDefs", "entityDefs", "relationshipDefs")
        }
        body["businessMetadataDefs"] = []
        if not wanted or "STRUCT" in wanted:
            body["structDefs"] = _STRUCTS
        if not wanted or "BUSINESS_METADATA" in wanted:
            body["businessMetadataDefs"] = list(self._store.definitions)
        if not wanted or "ENTITY" in wanted:
            body["entityDefs"] = [_entity_def(one) for one in TYPES.values()]
        return _json(body)

    def _typedef(self, name: str) -> Answer:
        found = self._store.definitions.get(name)
        if found is not None:
            return _json(found)
        if name in TYPES:
            return _json(_entity_def(TYPES[name]))
        raise typedef_not_found(name)

    def _define(self, call: Call, caller: Caller) -> Answer:
        sets = _sets(call)
        for one in sets:
            self._switches.require("create_custom_metadata", f"create businessMetadata-def {one.display_name}")
        made = [self._store.definitions.create(one, self._store.clock.now_ms(), caller.username) for one in sets]
        self._store.save_definitions()
        return _json({"businessMetadataDefs": made, **_NO_OTHERS})

    def _redefine(self, call: Call, caller: Caller) -> Answer:
        sets = _sets(call)
        for one in sets:
            self._switches.require("create_custom_metadata", f"update businessMetadata-def {one.display_name}")
        made = [self._store.definitions.update(one, self._store.clock.now_ms(), caller.username) for one in sets]
        self._store.save_definitions()
        return _json({"businessMetadataDefs": made, **_NO_OTHERS})

    def _undefine(self, name: str) -> Answer:
        self._switches.require("create_custom_metadata", f"delete businessMetadata-def {name}")
        if self._store.definitions.get(name) and any(name in one.custom_metadata for one in self._store.assets()):
            raise has_references(name)
        self._store.definitions.delete(name)
        self._store.save_definitions()
        return Answer(204)

    def _search(self, call: Call, _caller: Caller) -> Answer:
        self._switches.require("search", "indexsearch")
        body = self._searches.answer(msgspec.json.decode(call.body, type=SearchIn))
        entities = body.get("entities")
        return _json(body, rows=len(entities) if isinstance(entities, list) else 0)

    def _lineage_list(self, call: Call, _caller: Caller) -> Answer:
        body = self._lineage.answer(msgspec.json.decode(call.body, type=LineageIn))
        entities = body["entities"]
        return _json(body, rows=len(entities) if isinstance(entities, list) else 0)

    def _bulk(self, call: Call, caller: Caller) -> Answer:
        tags = [name for name in ("replaceClassifications", "replaceTags", "appendTags") if call.flag(name)]
        if len(tags) > 1:
            raise bad_request("Only one of [replaceClassifications, replaceTags, appendTags] can be true")
        flags = Flags(call.flag("replaceBusinessAttributes"), call.flag("overwriteBusinessAttributes"))
        entities = msgspec.json.decode(call.body, type=BulkIn).entities
        return _mutated(self._entities.save(entities, flags, caller.username), "UPDATE")

    def _evaluate(self, call: Call, _caller: Caller) -> Answer:
        questions = msgspec.json.decode(call.body, type=list[Question])
        return _json(list(evaluate(self._store, self._switches, questions)))

    def _update(self, call: Call, caller: Caller, type_name: str) -> Answer:
        entity = msgspec.json.decode(call.body, type=_OneIn).entity
        name = call.parameter("attr:qualifiedName")
        return _mutated(self._entities.update_named(type_name, name, entity, caller.username), "PARTIAL_UPDATE")

    def _delete(self, call: Call, caller: Caller) -> Answer:
        purge = call.parameter("deleteType").upper() in {"PURGE", "HARD"}
        guids = call.parameters.get("guid", [])
        return _mutated(self._entities.delete(guids, purge=purge, who=caller.username), "UPDATE")

    def _custom(self, call: Call, caller: Caller, guid: str, set_id: str) -> Answer:
        values = msgspec.json.decode(call.body, type=dict[str, Value])
        self._entities.set_custom_metadata(guid, set_id, values, caller.username)
        return Answer(204, rows=1)

    def _by_guid(self, call: Call, guid: str) -> Answer:
        found = self._store.get(guid)
        if found is None:
            raise guid_not_found(guid)
        return self._whole(found, bare=call.flag("ignoreRelationships"))

    def _by_name(self, call: Call, type_name: str) -> Answer:
        if type_name not in TYPES:
            raise AtlanError(400, "ATLAS-400-00-014", f"Type ENTITY with name {type_name} does not exist")
        name = call.parameter("attr:qualifiedName")
        found = self._store.named(type_name, name)
        if found is None:
            raise name_not_found(type_name, name)
        return self._whole(found, bare=call.flag("ignoreRelationships"))

    def _whole(self, asset: Asset, *, bare: bool) -> Answer:
        """The long form of an asset: all attributes, all custom metadata and, unless `bare`, what is around it."""
        entity = header(asset, asset.attributes)
        entity["businessAttributes"] = asset.custom_metadata  # type: ignore[assignment]
        entity["isIncomplete"] = False
        entity["relationshipAttributes"] = {} if bare else self._around(asset)
        return _json({"referredEntities": {}, "entity": entity}, rows=1)

    def _around(self, asset: Asset) -> dict[str, Value]:
        around: dict[str, Value] = {name: references(asset, name, self._store.get) for name in asset.type.relation}
        for other in self._store.assets():
            for name, guids in other.references.items():
                if asset.guid in guids and name in other.type.relation:
                    listed = around.setdefault(other.type.relation[name].inverse, [])
                    if isinstance(listed, list):
                        listed.append(
                            {"guid": other.guid, "typeName": other.type_name, "displayText": other.name}
                            | {"uniqueAttributes": {"qualifiedName": other.qualified_name}}
                        )
        return around


class _OneIn(msgspec.Struct):
    entity: EntityIn


class _TypedefsIn(msgspec.Struct, rename="camel"):
    business_metadata_defs: list[SetDef] = []
    enum_defs: list[Value] = []
    classification_defs: list[Value] = []
    entity_defs: list[Value] = []


_NO_OTHERS: dict[str, list[Value]] = {
    name: [] for name in ("enumDefs", "structDefs", "classificationDefs", "entityDefs", "relationshipDefs")
}


def _wanted(call: Call) -> people.Wanted:
    offset, limit = call.parameter("offset"), call.parameter("limit")
    return people.Wanted(
        call.parameter("filter"),
        int(offset) if offset.isdecimal() else 0,
        int(limit) if limit.isdecimal() else 20,
    )


def _sets(call: Call) -> list[SetDef]:
    asked = msgspec.json.decode(call.body, type=_TypedefsIn)
    if asked.enum_defs or asked.classification_defs or asked.entity_defs:
        raise bad_request("this stand-in defines custom metadata only")
    return asked.business_metadata_defs


def _entity_def(kind: EntityType) -> dict[str, Value]:
    return {
        "category": "ENTITY",
        "name": kind.name,
        "superTypes": [] if kind.parent is None else [kind.parent],
        "attributeDefs": [
            {"name": one.name, "typeName": one.type, "isOptional": one.name not in {"name", "qualifiedName"}}
            for one in kind.attributes
        ],
        "relationshipAttributeDefs": [{"name": one.name, "isOptional": True} for one in kind.relations],
    }


def _mutated(mutation: Mutation, update: str) -> Answer:
    parts = {"CREATE": mutation.created, update: mutation.updated, "DELETE": mutation.deleted}
    body: dict[str, object] = {
        "mutatedEntities": {
            name: [header(one, {"name": one.name, "qualifiedName": one.qualified_name}) for one in assets]
            for name, assets in parts.items()
            if assets
        },
        "guidAssignments": mutation.assignments,
    }
    return _json(body, rows=sum(len(assets) for assets in parts.values()))


def _json(content: object, rows: int = 0) -> Answer:
    return Answer(200, msgspec.json.encode(content), rows=rows)
