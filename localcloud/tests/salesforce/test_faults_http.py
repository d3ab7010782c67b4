"""What a client meets on the wire when a switch is on: seen from raw sockets where it matters."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from localcloud.salesforce.org import Org
from localcloud.serving.fewer import first_rows

Serve = Callable[..., Any]
NAMES = "SELECT Name FROM Opportunity ORDER BY Id"
QUERY = f"/services/data/v60.0/query?q={quote(NAMES)}"


class Line:
    """A bare connection that has sent one request."""

    def __init__(self, client: Any, target: str = QUERY) -> None:
        address = urlsplit(client.server.url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=20)
        request = f"GET {target} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        request += f"Authorization: {client.http.headers['Authorization']}\r\n\r\n"
        self.socket.sendall(request.encode())

    def __enter__(self) -> socket.socket:
        return self.socket

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def everything(line: socket.socket) -> bytes:
    """What comes until the server closes in good order."""
    parts = []
    while part := line.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def asked(client: Any, after: int) -> list[Any]:
    """The requests after that number, as soon as there is one."""
    page = client.http.get(
        f"{client.server.url}/__localcloud__/journal", params={"after": after, "wait": 20}, timeout=30
    )
    requests_: list[Any] = page.json()["requests"]
    return requests_


def test_a_drop_closes_without_a_word(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(drop=[{"pattern": "FROM Opp", "mode": "drop"}])
    with Line(client) as line:
        assert everything(line) == b""


def test_a_reset_is_a_reset(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(drop=[{"pattern": "FROM Opp", "mode": "reset"}])
    with Line(client) as line, pytest.raises(ConnectionResetError):
        line.recv(1)


def test_a_reset_can_come_in_the_middle_of_a_body(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(drop=[{"pattern": "FROM Opp", "mode": "reset", "after_bytes": 20}])
    with Line(client) as line, pytest.raises(ConnectionResetError):
        everything(line)
    assert client.server.journal().requests[-1].status == 200, "it was carried out"


def test_a_hang_holds_the_connection_until_the_server_stops(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    before = client.server.journal().total
    client.server.control(drop=[{"pattern": "FROM Opp", "mode": "hang"}])
    with Line(client) as line:
        assert [(one["status"], one["fault"]) for one in asked(client, before)] == [(0, "hang")]
        assert client.query(NAMES).status_code == 200, "others are answered meanwhile"
        line.setblocking(False)
        with pytest.raises(BlockingIOError):
            line.recv(1)
        line.setblocking(True)
        stopping = threading.Thread(target=client.server.stop)
        stopping.start()
        assert everything(line) == b""
        stopping.join()


def test_a_hang_can_begin_in_the_middle_of_a_body(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(drop=[{"pattern": "FROM Opp", "mode": "hang", "after_bytes": 5}])
    with Line(client) as line:
        received = b""
        while not received.endswith(b'\r\n\r\n{"tot'):
            received += line.recv(65_536)
        line.setblocking(False)
        with pytest.raises(BlockingIOError):
            line.recv(1)


@pytest.mark.parametrize(("asked_for", "share"), [({}, 0.5), ({"after_bytes": 7}, None)])
def test_a_truncated_body_is_shorter_than_promised(
    own_org: Org, serve: Serve, asked_for: dict[str, int], share: float | None
) -> None:
    client = serve(own_org)
    whole = client.query(NAMES).content
    client.server.control(drop=[{"pattern": "FROM Opp", "mode": "truncate", **asked_for}])
    with Line(client) as line:
        head, _, body = everything(line).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(whole)}".encode() in head
    assert body == whole[: 7 if share is None else len(whole) // 2]


def test_an_answer_can_hold_fewer_rows_than_it_says(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    whole = client.http.get(f"{client.server.url}{QUERY}").json()
    assert whole["totalSize"] > 1
    client.server.control(drop=[{"pattern": "FROM Opp", "mode": "shorten", "after_rows": 1}])
    short = client.http.get(f"{client.server.url}{QUERY}").json()
    assert short == {**whole, "records": whole["records"][:1]}
    assert client.http.get(f"{client.server.url}{QUERY}").json() == whole


def test_fewer_rows_of_csv_end_where_a_row_ends() -> None:
    body = b'"A"\n"one\nand ""two"""\n"three"\n'
    assert [first_rows(body, rows) for rows in range(4)] == [
        b'"A"\n',
        b'"A"\n"one\nand ""two"""\n',
        body,
        body,
    ]
    assert first_rows(b'{"a":1}', 1) == b'{"a":1}'


def test_only_a_shortened_answer_has_fewer_rows(own_org: Org, serve: Serve) -> None:
    with pytest.raises(ValueError, match="shorten"):
        serve(own_org).server.control(drop=[{"mode": "reset", "after_rows": 1}])


def test_a_shortened_body_is_whole_as_far_as_http_can_tell(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(drop=[{"pattern": "FROM Opp", "mode": "shorten"}])
    answer = client.query(NAMES)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


def test_an_answer_can_be_padded_to_5_mb_and_says_the_same(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    plain = client.query(NAMES)
    client.server.control(pad=[{"pattern": "FROM Opp"}])
    big = client.query(NAMES)
    assert len(big.content) == 5 * 2**20
    assert big.json() == plain.json()
    assert len(client.query(NAMES).content) == len(plain.content)


def test_delays_add_up_and_use_the_clock_that_was_given(own_org: Org, serve: Serve) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    client = serve(own_org, sleep=sleep)
    client.server.control(latency_ms=250, delay=[{"pattern": "FROM Opp", "seconds": 2, "times": 1}])
    client.query(NAMES)
    client.query(NAMES)
    client.token(client.sign())
    assert slept == [2.25, 0.25], "the general latency is that of the data API"


def test_a_failure_can_say_whatever_salesforce_says(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    failure = {"pattern": "FROM Opp", "status": 403, "code": "API_DISABLED_FOR_ORG", "message": "API is not enabled"}
    client.server.control(fail=[failure])
    answer = client.query(NAMES)
    assert answer.status_code == 403
    assert answer.json() == [{"message": "API is not enabled", "errorCode": "API_DISABLED_FOR_ORG"}]


def test_an_expired_cursor_is_gone_for_good_and_a_new_one_works(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    own_org.load("Group", [{"Name": f"G{number:03d}", "Type": "Regular"} for number in range(450)])
    statement = "SELECT Name FROM Group WHERE Type = 'Regular'"

    def first() -> str:
        answer = client.get("query", params={"q": statement}, headers={"Sforce-Query-Options": "batchSize=200"})
        url: str = answer.json()["nextRecordsUrl"]
        return url

    one, other = first(), first()
    assert client.get(one).status_code == 200
    client.server.control(expire_locator=[{"pattern": "query/01g"}])
    answers = [client.get(one), client.get(one)]
    assert [(answer.status_code, answer.json()[0]["errorCode"]) for answer in answers] == [
        (400, "INVALID_QUERY_LOCATOR")
    ] * 2
    assert client.get(other).status_code == 200
    assert client.get(first()).status_code == 200


def test_a_quota_can_end_after_so_many_more_calls(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.get("limits")
    client.server.control(quota={"left": 1})
    assert [client.get("limits").status_code for _ in range(2)] == [200, 403]
    assert client.server.journal().requests[-1].fault == "quota"


def test_after_a_key_rotation_only_the_new_key_signs(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    old = client.sign()
    client.server.control(login={"rotate_key": True})
    refused = client.token(old)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert client.token(client.sign()).status_code == 200


def test_rows_made_just_now_can_be_made_late(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(insert=[{"object": "Invoice__c", "rows": [{"Name": "A"}]}])
    client.server.control(delay_visibility=[{"object": "Invoice__c", "last_seconds": 5, "delay_seconds": 30}])
    assert client.names("SELECT Name FROM Invoice__c") == []
    client.server.control(clock={"advance_seconds": 30})
    assert client.names("SELECT Name FROM Invoice__c") == ["A"]


@pytest.mark.parametrize(
    "late",
    [
        {"delay_seconds": 1},
        {"delay_seconds": 1, "from": "2024-03-15T08:00:02Z"},
        {"delay_seconds": 1, "from": "2024-03-15T08:00:02Z", "to": "2024-03-15T08:00:04Z", "last_seconds": 1},
    ],
)
def test_late_rows_need_one_interval(own_org: Org, serve: Serve, late: dict[str, object]) -> None:
    client = serve(own_org)
    with pytest.raises(ValueError, match="needs `from` and `to`, or else `last_seconds`"):
        client.server.control(delay_visibility=[{"object": "Case", **late}])


def test_a_row_that_is_there_already_is_refused_in_one_sentence(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    row = {"Id": own_org.new_id("Account", 0), "Name": "Twice"}
    with pytest.raises(ValueError, match="cannot be inserted"):
        client.server.control(insert=[{"object": "Account", "rows": [row]}])


def test_the_journal_names_each_fault_that_struck(own_org: Org, serve: Serve) -> None:
    async def sleep(_seconds: float) -> None:
        pass

    client = serve(own_org, sleep=sleep)
    client.server.control(
        clear_journal=True,
        delay=[{"pattern": "FROM Opp", "seconds": 1.5, "times": 1}],
        fail=[{"pattern": "FROM Opp"}],
        query_timeout=[{"pattern": "FROM Opp"}],
        drop=[{"pattern": "FROM Opp", "mode": "shorten", "skip": 2}],
    )
    for _ in range(4):
        client.query(NAMES)
    found = [(one.status, one.fault) for one in client.server.journal().requests]
    assert found == [(503, "delay 1.5 s; fail 503"), (400, "query_timeout"), (200, "shorten"), (200, None)]


def waiting_reader(client: Any) -> Line:
    """A connection whose reader waits a minute for the next request; by now the server knows of it."""
    line = Line(client, f"/__localcloud__/journal?after={client.server.journal().total}&wait=60")
    for _ in range(2):  # asked behind it, and answered
        client.get("/__localcloud__/journal")
    return line


def test_a_waiting_reader_of_the_journal_hears_of_a_request_at_once(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    with waiting_reader(client) as line:
        client.get("limits")
        line.settimeout(20)
        received = b""
        while not received.endswith(b"]}"):
            received += line.recv(65_536)
    page = json.loads(received.partition(b"\r\n\r\n")[2])
    assert [one["kind"] for one in page["requests"]] == ["limits"]


def test_a_waiting_reader_is_let_go_when_the_server_stops(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    with waiting_reader(client) as line:
        client.server.stop()
        line.settimeout(20)
        answer = everything(line)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["requests"] == []


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"Host": "rebound.example:80"}, "Host"),
        ({"Origin": "https://elsewhere.example"}, "another site"),
        ({"Origin": "null"}, "another site"),
    ],
)
def test_a_page_of_another_site_cannot_turn_switches(
    own_org: Org, serve: Serve, headers: dict[str, str], word: str
) -> None:
    client = serve(own_org)
    url = f"{client.server.url}/__localcloud__/control"
    answer = client.http.post(url, data='{"latency_ms": 5}', headers=headers)
    assert answer.status_code == 403
    assert word in answer.json()["error"]
    assert client.server.control().latency_ms == 0
    own = {"Origin": client.server.url}
    assert client.http.post(url, data='{"latency_ms": 5}', headers=own).status_code == 200
