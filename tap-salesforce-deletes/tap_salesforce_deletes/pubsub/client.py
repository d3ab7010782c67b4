"""The Pub/Sub API for the tap: what a topic is, the schemas of its events, and subscriptions, over one connection."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from microdecisions.retries import Clocks, RetryPolicy
from tap_salesforce_deletes.pubsub.avro import EventSchema
from tap_salesforce_deletes.pubsub.errors import ProtocolError
from tap_salesforce_deletes.pubsub.line import Line, Timing, TopicInfo
from tap_salesforce_deletes.pubsub.subscription import Subscription

if TYPE_CHECKING:
    from typing import Self

    from microdecisions.retries import StopFlag
    from tap_salesforce_deletes.pubsub.line import TokenSource
    from tap_salesforce_deletes.pubsub.subscription import Start

__all__ = ["PubSubClient", "Timing", "TopicInfo"]

_MOST_SCHEMAS: Final = 256  # kept; the one that came first goes first


class PubSubClient:
    """A connection to the Pub/Sub API; may be used by many threads. Nothing is sent before the first call.

    Args:
        endpoint: Host and port; without a port 7443.
        tokens: Gives the token of the session for None; for a token that was refused a new one. Called by one thread
            at a time, and once for each refused token, whatever the number of topics.
        plaintext: Without TLS; on this machine only.
        ca_bundle: A PEM file of certificates to trust in place of the system's; without it `REQUESTS_CA_BUNDLE` or
            `CURL_CA_BUNDLE` may name one.
        policy: How often and how long to try again.
        clocks: Time and chance.
        stop: When it is set, `topic` and `schema` end their pauses; subscriptions are ended by `close`.
        timing: Limits in seconds.

    Raises:
        ConfigurationError: The endpoint is none, or plaintext leaves this machine.
        CertificateError: `ca_bundle` cannot be read.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        tokens: TokenSource,
        plaintext: bool = False,
        ca_bundle: str | None = None,
        policy: RetryPolicy | None = None,
        clocks: Clocks | None = None,
        stop: StopFlag | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._line = Line(
            endpoint,
            tokens=tokens,
            plaintext=plaintext,
            ca_bundle=ca_bundle,
            policy=policy or RetryPolicy(),
            clocks=clocks or Clocks(),
            stop=stop,
            timing=timing or Timing(),
        )
        self._lock = threading.Lock()
        self._schemas: dict[str, EventSchema] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all subscriptions, also under other threads, and close the connection."""
        self._line.close()

    def topic(self, name: str) -> TopicInfo:
        """Ask about a topic.

        Raises:
            TopicNotFoundError: The org has no such topic.
            TopicPermissionError: The user may not know about it.
            PubSubError: The service refused, or failed for too long.
            UnreachableError: It did not answer, after all tries.
            LoginError: No session is accepted.
            CertificateError: Its certificate is not trusted.
            InterruptedRunError: The stop flag is set.
            SubscriptionClosedError: The client was closed.
        """
        return self._line.topic(name)

    def schema(self, schema_id: str) -> EventSchema:
        """The schema that an event names; asked for once.

        Raises:
            ProtocolError: The id is blank, or another schema was answered.
            PayloadError: It is no schema of an event.
            TopicPermissionError: The user may not read it.
            PubSubError: And the others of `topic`.
        """
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        if not schema_id:
            raise ProtocolError(
                "The Pub/Sub API sent an event without the id of its schema: it cannot be read, and nothing behind it "
                "is taken, so that none is lost; please report this with the name of the topic."
            )
        made = EventSchema.parse(schema_id, self._line.schema_json(schema_id))
        with self._lock:
            self._schemas[schema_id] = made
            while len(self._schemas) > _MOST_SCHEMAS:
                del self._schemas[next(iter(self._schemas))]
        return made

    def subscription(self, topic: str, start: Start) -> Subscription:
        """A subscription, which connects at its first `receive`.

        Args:
            topic: Its name.
            start: `Earliest()`, `Latest()` or `After(replay_id)`.
        """
        made = Subscription(self._line, topic, start)
        self._line.remember(made)
        return made
