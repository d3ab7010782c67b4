"""A catalog that stands still until it is told to move, and ways to ask it by plain HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from localcloud.atlan.assets import Asset
from localcloud.atlan.running import Running, serve_in_thread
from localcloud.clock import OrgClock

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def stopped() -> float:
    """A machine clock that stands still."""
    return 1_700_000_000.0


class Client:
    """A caller with an API key."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {server.api_key}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, body: object = None, **parameters: Any) -> requests.Response:
        """A request; the path is below `/api/meta/`, or a whole one."""
        whole = path if path.startswith("/") else f"/api/meta/{path}"
        return self.http.request(method, self.server.url + whole, json=body, params=parameters, timeout=30)

    def bulk(self, *entities: dict[str, Any], **flags: bool) -> requests.Response:
        """A bulk write."""
        texts = {name: str(value).lower() for name, value in flags.items()}
        return self.ask("POST", "entity/bulk/", {"entities": list(entities)}, **texts)

    def merge(self, *entities: dict[str, Any]) -> requests.Response:
        """A bulk write that merges custom metadata."""
        return self.bulk(*entities, replaceBusinessAttributes=True, overwriteBusinessAttributes=False)

    def search(self, query: dict[str, Any] | None = None, **dsl: Any) -> dict[str, Any]:
        """The answer to a search."""
        attributes = dsl.pop("attributes", [])
        asked = {"size": 100, **({} if query is None else {"query": query}), **dsl}
        answer = self.ask("POST", "search/indexsearch", {"dsl": asked, "attributes": attributes})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def found(self, query: dict[str, Any], **dsl: Any) -> list[str]:
        """The names that a search finds."""
        entities = self.search(query, **dsl).get("entities", [])
        return [one["displayText"] for one in entities]

    def refused(self, answer: requests.Response) -> tuple[int, str]:
        """Status and code of a refusal."""
        return answer.status_code, answer.json()["errorCode"]

    def asset(self, type_name: str, name: str) -> Asset:
        """An asset by its API name, or by its name where it has none."""
        found = [
            one
            for one in self.server.assets(type_name)
            if one.attributes.get("apiName", one.name) == name and one.attributes.get("schemaName") != "SALESFORCE_DEV"
        ]
        return found[0]

    def update_of(self, asset: Asset, **more: Any) -> dict[str, Any]:
        """An entity that means an asset by its GUID."""
        attributes = {"qualifiedName": asset.qualified_name, "name": asset.name}
        return {"typeName": asset.type_name, "guid": asset.guid, "attributes": attributes, **more}

    def define(self, name: str = "Activity", **types: str) -> dict[str, Any]:
        """Define a set of custom metadata; the answer holds the ids."""
        answer = self.ask("POST", "types/typedefs/", definition(name, **types))
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()["businessMetadataDefs"][0]
        return made


def definition(name: str, **types: str) -> dict[str, Any]:
    """The body that defines a set, as pyatlan sends it."""
    attributes = [
        {
            "displayName": shown,
            "name": "",
            "typeName": type_name,
            "cardinality": "SINGLE",
            "isOptional": True,
            "options": {
                "applicableEntityTypes": '["Asset"]',
                "maxStrLength": "100000000",
                "primitiveType": type_name,
                "isEnum": False,
                "showInOverview": True,
            },
        }
        for shown, type_name in types.items()
    ]
    one = {"category": "BUSINESS_METADATA", "name": name, "displayName": name, "attributeDefs": attributes}
    return {"businessMetadataDefs": [one], "enumDefs": [], "entityDefs": []}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Serves catalogs until the test ends; gives a client with a key. The clock stands still."""
    with ExitStack() as stack:

        def start(folder: Path | None = None, **options: Any) -> Client:
            options.setdefault("clock", OrgClock(NOW, real=stopped))
            return stack.enter_context(Client(stack.enter_context(serve_in_thread(folder or tmp_path, **options))))

        yield start


@pytest.fixture
def catalog(serve: Callable[..., Client]) -> Client:
    """A fresh catalog."""
    return serve()


@pytest.fixture(scope="session")
def body_of() -> Callable[..., dict[str, Any]]:
    """Makes the body that defines a set of custom metadata."""
    return definition
