"""A small org whose every row is known, and ways to ask it."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import jwt
import pytest
import requests
from acting import Notes, Records

from localcloud.clock import OrgClock
from localcloud.salesforce.actions import Actions
from localcloud.salesforce.org import Org
from localcloud.salesforce.queries import Queries
from localcloud.salesforce.server import Running, serve_in_thread

NOW = datetime(2024, 3, 15, 12, 0, tzinfo=UTC)  # a Friday
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def stopped() -> float:
    """A machine clock that stands still."""
    return 1_700_000_000.0


def stamp(text: str) -> str:
    return f"{text}.000+0000"


def fill(org: Org) -> None:
    """The rows that the tests know."""
    new = org.new_id
    user = [new("User", n) for n in range(3)]
    profile = [new("Profile", n) for n in range(2)]
    account = [new("Account", n) for n in range(3)]
    opportunity = [new("Opportunity", n) for n in range(4)]
    org.load("Profile", [{"Id": profile[0], "Name": "Admin"}, {"Id": profile[1], "Name": "Standard"}])
    org.load(
        "User",
        [
            {"Id": user[0], "Name": "Integration", "LastName": "Integration", "IsActive": True, "Alias": "int"},
            {"Id": user[1], "Name": "Ann Lee", "LastName": "Lee", "FirstName": "Ann", "IsActive": True}
            | {"ProfileId": profile[0], "Title": "VP", "Username": "ann@mock.invalid"},
            {"Id": user[2], "Name": "Bo Ray", "LastName": "Ray", "FirstName": "Bo", "ManagerId": user[1]}
            | {"ProfileId": profile[1]},
        ],
    )
    org.load("Group", [{"Id": new("Group", 0), "Name": "Queue A", "Type": "Queue"}])
    org.load(
        "Account",
        [
            {"Id": account[0], "Name": "Acme", "Industry": "Energy", "AnnualRevenue": Decimal("1234567890.12")}
            | {"NumberOfEmployees": 10, "CreatedDate": stamp("2024-01-10T10:00:00")},
            {"Id": account[1], "Name": "beta 100% _x\\y", "NumberOfEmployees": 200, "ParentId": account[0]}
            | {"CreatedDate": stamp("2024-02-29T23:59:59")},
            {"Id": account[2], "Name": "Gone", "IsDeleted": True, "CreatedDate": stamp("2024-01-01T00:00:00")},
        ],
    )
    org.load(
        "Contact",
        [
            {"LastName": "Zoe", "Name": "Zoe", "AccountId": account[0], "Birthdate": "1990-05-01"},
            {"LastName": "yan", "Name": "yan", "AccountId": account[0]},
            {"LastName": "Xi", "Name": "Xi", "Email": "x@mock.invalid"},
        ],
    )
    org.load(
        "Opportunity",
        [
            {"Id": opportunity[0], "Name": "One", "StageName": "Prospecting", "Amount": Decimal("5.0")}
            | {"CloseDate": "2024-03-15", "CreatedDate": stamp("2024-03-15T08:00:00"), "OwnerId": user[1]}
            | {"AccountId": account[0], "Probability": 10},
            {"Id": opportunity[1], "Name": 'Two\'s "q"', "StageName": "Closed Won", "IsWon": True, "IsClosed": True}
            | {"Amount": Decimal("1234567890.12"), "CloseDate": "2024-03-01", "AccountId": account[0]}
            | {"CreatedDate": stamp("2024-03-01T00:00:00"), "OwnerId": user[2], "Probability": 100},
            {"Id": opportunity[2], "Name": "Three", "StageName": "Qualification", "CloseDate": "2023-12-31"}
            | {"CreatedDate": stamp("2023-12-31T23:59:59"), "OwnerId": user[1], "AccountId": account[1]},
            {"Id": opportunity[3], "Name": "Four", "StageName": "Prospecting", "CloseDate": "2024-04-01", "Amount": 10}
            | {"IsDeleted": True, "CreatedDate": stamp("2024-02-01T00:00:00"), "OwnerId": user[1]},
        ],
    )
    org.load(
        "Case",
        [
            {"CaseNumber": "0001", "Status": "New", "OwnerId": user[1], "Subject": "Line 1\r\nLine 2"},
            {"CaseNumber": "0002", "Status": "Closed", "IsClosed": True, "OwnerId": new("Group", 0)},
        ],
    )
    pairs: list[tuple[str, str | None, object, object]] = [
        ("created", None, None, None),
        ("Amount", "Currency", Decimal("1234567890.12"), Decimal("5.0")),
        ("NextStep", "Text", "007", "1e5"),
        ("Owner", "Text", "Bo Ray", "Ann Lee"),
        ("Owner", "EntityId", user[2], user[1]),
        ("IsPrivate", "Boolean", False, True),
        ("Description", "Text", 'a "b" \\ \u2028 \U0001f600', "é\r\n\t"),
    ]
    org.load(
        "OpportunityFieldHistory",
        [
            {"OpportunityId": opportunity[0], "Field": field, "DataType": kind, "OldValue": old, "NewValue": new_value}
            | {"Id": new("OpportunityFieldHistory", n), "CreatedById": user[1]}
            | {"CreatedDate": stamp(f"2024-03-15T08:00:{n:02d}")}
            for n, (field, kind, old, new_value) in enumerate(pairs)
        ]
        + [
            {"Id": new("OpportunityFieldHistory", 99), "OpportunityId": opportunity[3], "Field": "created"}
            | {"CreatedById": user[2], "CreatedDate": stamp("2024-02-01T00:00:00"), "IsDeleted": True}
        ],
    )


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the known org, closed; to be copied."""
    path = tmp_path_factory.mktemp("filled") / "org"
    with Org.create(path, clock=OrgClock(NOW, real=stopped)) as org:
        fill(org)
    return path


@pytest.fixture(scope="session")
def known_org(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    """The known org, which no test changes; its clock stands still at NOW."""
    path = shutil.copytree(filled, tmp_path_factory.mktemp("known") / "org")
    with Org.open(path, clock=OrgClock(NOW, real=stopped)) as org:
        yield org


@pytest.fixture
def own_org(filled: Path, tmp_path: Path) -> Iterator[Org]:
    """A known org that the test may change; its clock stands still until it is moved."""
    path = shutil.copytree(filled, tmp_path / "org")
    with Org.open(path, clock=OrgClock(NOW, real=stopped)) as org:
        yield org


Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def ask(known_org: Org) -> Ask:
    """Runs a statement on the known org: the decoded answer, its numbers as the tokens that were sent."""
    queries = Queries(known_org)

    def run(statement: str, *, all_rows: bool = False, version: float = 60.0) -> dict[str, Any]:
        page = queries.run(statement, known_org.schema, version, all_rows=all_rows)
        answer: dict[str, Any] = json.loads(page.body, parse_float=Decimal)
        return answer

    return run


def assertion(org_path: Path, **changes: object) -> str:
    """A signed assertion as the org's own app makes it, with some claims changed (None: left out)."""
    claims: dict[str, object] = {
        "iss": "localcloud.demo.app",
        "sub": "integration@mock.localcloud.invalid",
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 120,
    }
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(claims, (org_path / "jwt.key").read_text(), algorithm="RS256")


class Client:
    """A caller with a session of its own."""

    def __init__(self, server: Running, *, verify: str | bool = True) -> None:
        self.server = server
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = verify
        self.login()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def login(self) -> None:
        answer = self.token(self.sign())
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def sign(self, **changes: object) -> str:
        return assertion(self.server.org_path, **changes)

    def token(self, signed: str, grant: str = JWT_BEARER) -> requests.Response:
        form = {"grant_type": grant, "assertion": signed}
        return self.http.post(f"{self.server.url}/services/oauth2/token", data=form, timeout=30)

    def get(self, path: str, **options: Any) -> requests.Response:
        """A GET of a path under the data API of version 60.0, or of a whole path."""
        path = path if path.startswith("/") else f"/services/data/v60.0/{path}"
        return self.http.get(self.server.url + path, timeout=30, **options)

    def post(self, path: str, body: object) -> requests.Response:
        return self.http.post(f"{self.server.url}/services/data/v60.0/{path}", json=body, timeout=30)

    def query(self, statement: str, resource: str = "query") -> requests.Response:
        return self.get(resource, params={"q": statement})

    def names(self, statement: str, resource: str = "query") -> list[str]:
        """The names of all records of a statement, over all pages."""
        return [record["Name"] for record in self.records(statement, resource)]

    def records(self, statement: str, resource: str = "query") -> list[dict[str, Any]]:
        page = self.query(statement, resource).json()
        found: list[dict[str, Any]] = page["records"]
        while not page["done"]:
            page = self.get(page["nextRecordsUrl"]).json()
            found += page["records"]
        return found


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """Serves orgs until the test ends; gives a client that is logged in."""
    with ExitStack() as stack:

        def start(org: Org, verify: str | bool = True, **options: Any) -> Client:
            return stack.enter_context(Client(stack.enter_context(serve_in_thread(org, **options)), verify=verify))

        yield start


class Bulk:
    """Bulk query jobs of a caller."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def ask(self, statement: str, version: str = "60.0", **asked: object) -> requests.Response:
        """The answer to the creation of a job."""
        body = {"operation": "query", "query": statement} | asked
        url = f"{self.client.server.url}/services/data/v{version}/jobs/query"
        return self.client.http.post(url, json=body, timeout=30)

    def create(self, statement: str, **asked: Any) -> str:
        """The id of a new job."""
        answer = self.ask(statement, **asked)
        assert answer.status_code == 200, answer.text
        key: str = answer.json()["id"]
        return key

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request below `jobs/query/`."""
        url = f"{self.client.server.url}/services/data/v60.0/jobs/query/{path}"
        return self.client.http.request(method, url, timeout=30, **options)

    def poll(self, key: str) -> dict[str, Any]:
        """What a job says of itself."""
        found: dict[str, Any] = self.call("GET", key).json()
        return found

    def ended(self, key: str) -> dict[str, Any]:
        """What a job says when it has ended."""
        deadline = time.monotonic() + 60
        while (found := self.poll(key))["state"] not in {"JobComplete", "Failed", "Aborted"}:
            assert time.monotonic() < deadline, found
        return found

    def results(self, key: str, **parameters: object) -> requests.Response:
        """One set of results."""
        return self.call("GET", f"{key}/results", params=parameters)

    def sets(self, key: str, **parameters: object) -> list[requests.Response]:
        """All sets of results, following the locators."""
        found = [self.results(key, **parameters)]
        while (locator := found[-1].headers["Sforce-Locator"]) != "null":
            found.append(self.results(key, **parameters, locator=locator))
        return found

    def rows(self, statement: str, **asked: Any) -> list[dict[str, str]]:
        """The rows of a statement, read as CSV."""
        key = self.create(statement, **asked)
        assert self.ended(key)["state"] == "JobComplete", self.poll(key)
        found: list[dict[str, str]] = []
        for answer in self.sets(key):
            found += csv.DictReader(io.StringIO(answer.content.decode(), newline=""))
        return found


@pytest.fixture(scope="session")
def client_of() -> type[Client]:
    """A logged-in client of a server that the test starts itself."""
    return Client


@pytest.fixture(scope="session")
def jobs_of() -> type[Bulk]:
    """Bulk query jobs of a client."""
    return Bulk


@pytest.fixture(scope="module")
def shared_client(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a known org that the tests of a module share: they ask for what changes nothing."""
    path = shutil.copytree(filled, tmp_path_factory.mktemp("shared") / "org")
    with (
        Org.open(path, clock=OrgClock(NOW, real=stopped)) as org,
        serve_in_thread(org) as server,
        Client(server) as client,
    ):
        yield client


@pytest.fixture
def bus() -> Notes:
    return Notes()


@pytest.fixture
def actions(own_org: Org, bus: Notes) -> Actions:
    return Actions(own_org, bus, truth=own_org.path / "truth.jsonl")


@pytest.fixture
def records(own_org: Org) -> Iterator[Records]:
    """The records of a statement, deleted ones too."""
    with Org.open(own_org.path, clock=own_org.clock) as reader:
        queries = Queries(reader)

        def run(statement: str) -> list[dict[str, Any]]:
            page = queries.run(statement, reader.schema, 60.0, all_rows=True)
            found: list[dict[str, Any]] = json.loads(page.body, parse_float=Decimal)["records"]
            for record in found:
                record.pop("attributes")
            return found

        yield run
