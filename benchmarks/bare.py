"""Bare readers of the mock org: no parsing, only counting. Each prints one JSON line.

python benchmarks/bare.py rest  < {"url", "token", "statements", "gzip"}
python benchmarks/bare.py bulk  < the same
python benchmarks/bare.py events < {"pubsub", "url", "token", "org_id", "topic", "events", "streams"}
"""

from __future__ import annotations

import http.client
import json
import queue
import re
import resource
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import grpc

from localcloud.salesforce.pubsub.contract import CLASSES, FULL_SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "/services/data/v60.0"
NEXT = re.compile(rb'"nextRecordsUrl":"([^"]+)"')
RECORD = b'{"attributes":{"type":'
CREDIT = 100
LOW_WATER = 300


class Reader:
    """One connection that is kept."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.connection = http.client.HTTPConnection(asked["url"].removeprefix("http://"))
        self.headers = {"Authorization": f"Bearer {asked['token']}"}
        if asked["gzip"]:
            self.headers["Accept-Encoding"] = "gzip"
        self.bytes = 0

    def call(self, method: str, path: str, body: str | None = None) -> tuple[http.client.HTTPResponse, bytes]:
        """One exchange; the body comes unpacked."""
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        self.bytes += len(content)
        if answer.status >= 400:
            sys.exit(f"{method} {path}: {answer.status} {content[:500]!r}")
        if answer.headers.get("Content-Encoding") == "gzip":
            content = zlib.decompress(content, wbits=31)
        return answer, content


def rest(reader: Reader, statement: str) -> int:
    """Rows of a statement, page by page."""
    _, page = reader.call("GET", f"{ROOT}/queryAll?q={quote(statement)}")
    rows = page.count(RECORD)
    while following := NEXT.search(page[:300]):
        _, page = reader.call("GET", following.group(1).decode())
        rows += page.count(RECORD)
    return rows


def bulk(reader: Reader, statement: str) -> int:
    """Rows of a statement by a Bulk query job, set by set, as the headers count them."""
    _, body = reader.call("POST", f"{ROOT}/jobs/query", json.dumps({"operation": "queryAll", "query": statement}))
    job = f"{ROOT}/jobs/query/{json.loads(body)['id']}"
    while (state := json.loads(reader.call("GET", job)[1])["state"]) != "JobComplete":
        if state in {"Failed", "Aborted"}:
            sys.exit(f"the job ended as {state}")
        time.sleep(0.02)
    rows, locator = 0, ""
    while locator != "null":
        answer, _ = reader.call("GET", f"{job}/results?maxRecords=50000" + (f"&locator={locator}" if locator else ""))
        rows += int(answer.headers["Sforce-NumberOfRecords"])
        locator = answer.headers["Sforce-Locator"]
    reader.call("DELETE", job)
    return rows


def events(asked: dict[str, Any]) -> int:
    """Events of a topic from the earliest on, by as many streams as are asked for, each in a thread of its own."""
    with ThreadPoolExecutor(asked["streams"]) as streams:
        return sum(streams.map(stream, [asked] * asked["streams"]))


def stream(asked: dict[str, Any]) -> int:
    """One subscription with a sliding credit; nothing of the events is decoded."""
    ask, answer = CLASSES["FetchRequest"], CLASSES["FetchResponse"]
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def requests() -> Iterator[Any]:
        while (request := waiting.get()) is not None:
            yield request

    metadata = (("accesstoken", asked["token"]), ("instanceurl", asked["url"]), ("tenantid", asked["org_id"]))
    options = [("grpc.max_receive_message_length", 64 * 2**20)]
    with grpc.insecure_channel(asked["pubsub"], options=options) as channel:
        call = channel.stream_stream(
            f"/{FULL_SERVICE}/Subscribe",
            request_serializer=ask.SerializeToString,
            response_deserializer=answer.FromString,
        )
        more = ask(topic_name=asked["topic"], num_requested=CREDIT)
        waiting.put(ask(topic_name=asked["topic"], replay_preset=1, num_requested=CREDIT))
        for _ in range(LOW_WATER // CREDIT - 1):
            waiting.put(more)
        received = 0
        responses: Iterator[Any] = call(requests(), metadata=metadata)
        for response in responses:
            received += len(response.events)
            if received >= asked["events"]:
                break
            if response.pending_num_requested <= LOW_WATER - CREDIT:
                waiting.put(more)
        waiting.put(None)
        return received


def main() -> None:
    """Read what is asked; print rows, seconds and CPU seconds."""
    asked = json.load(sys.stdin)
    kind = sys.argv[1]
    began = time.monotonic()
    if kind == "events":
        rows, size = events(asked), 0
    else:
        reader = Reader(asked)
        read = {"rest": rest, "bulk": bulk}[kind]
        rows, size = sum(read(reader, statement) for statement in asked["statements"]), reader.bytes
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu_s": used.ru_utime + used.ru_stime, "bytes": size}))


if __name__ == "__main__":
    main()
