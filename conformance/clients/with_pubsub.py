"""Runs inside the environment of aiosfpubsub or pysfpubsub: subscribes from the earliest event on, writes what comes.

One JSON line per record of an event on the standard output, until as many came as were asked for, or none for a
while. The request comes on the standard input.
"""

import asyncio
import json
import os
import sys
import threading
import time

QUIET_S = 25.0
SETTLE_S = 2.0


class Sink:
    """Decodes events and writes them; knows when it is enough."""

    def __init__(self, asked):
        self.wanted = asked["records"]
        self.records = 0
        self.last = time.monotonic()

    def __call__(self, answer, client):
        """Take one answer of the stream."""
        for event in answer.events:
            schema = client.get_schema_json(event.event.schema_id)
            decoded = client.decode(schema, event.event.payload)
            header = decoded["ChangeEventHeader"]
            for record in header["recordIds"]:
                said = {"Id": f"{header['changeType']} {record}", "entity": header["entityName"]}
                print(json.dumps(said), flush=True)
                self.records += 1
        self.last = time.monotonic()
        if not answer.pending_num_requested and hasattr(client, "release_subscription_semaphore"):
            client.release_subscription_semaphore()

    @property
    def done(self):
        """Whether to stop: enough came and nothing more, or nothing for a long while."""
        quiet = time.monotonic() - self.last
        return quiet > (SETTLE_S if self.records >= self.wanted else QUIET_S)


def main():
    """Log in by SOAP, subscribe, stop."""
    asked = json.load(sys.stdin)
    if asked["package"] == "aiosfpubsub":
        from aiosfpubsub import Client  # noqa: PLC0415 - each environment has one of the two
    else:
        from pysfpubsub.pubsub import Client  # noqa: PLC0415
    client = Client(**asked["client"])
    client.auth()
    client.get_topic(asked["topic"])
    sink = Sink(asked)
    if asked["package"] == "aiosfpubsub":
        asyncio.run(listen(client, asked, sink))
    else:
        arguments = (asked["topic"], "EARLIEST", b"", 100, sink)
        threading.Thread(target=client.subscribe, args=arguments, daemon=True).start()
        while not sink.done:
            time.sleep(0.1)
    sys.stdout.flush()
    os._exit(0)  # neither client has a way to stop


async def listen(client, asked, sink):
    """Subscribe until the sink has enough."""
    task = asyncio.create_task(client.subscribe(asked["topic"], "EARLIEST", b"", 100, sink))
    while not sink.done and not task.done():  # noqa: ASYNC110 - what ends it is silence
        await asyncio.sleep(0.1)
    if task.done():
        task.result()


if __name__ == "__main__":
    main()
