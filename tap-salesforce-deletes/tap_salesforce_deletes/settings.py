"""Settings of the tap: the shared ones and its own, declared once."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from msgspec import Meta

from microdecisions.errors import ConfigurationError
from microdecisions.settings import RunSettings, is_loopback
from tap_salesforce_deletes.topics import TOPICS_SCHEMA, Topic, parse_topics

__all__ = ["TapSettings"]

_ENDPOINT = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?):(?P<port>[0-9]{1,5})"
)
_OBJECT_PATTERN = re.compile(r"[A-Za-z0-9_*?]{1,120}")


class TapSettings(RunSettings, frozen=True, kw_only=True):
    """All settings of `tap-salesforce-deletes`.

    Raises:
        ConfigurationError: one setting or a pair of them cannot be used.
    """

    topics: Annotated[
        Any,
        Meta(
            title="Topics",
            description="What to subscribe to: names such as `/data/ChangeEvents`, `/data/AccountChangeEvent`, "
            "`/data/Deletes__chn`, `/event/Record_Deleted__e`, or objects with `topic` and `fields` for platform "
            "events whose fields have names of your own. None: the delete log and the recycle bin alone.",
            extra_json_schema=TOPICS_SCHEMA,
        ),
    ] = ()
    pubsub_endpoint: Annotated[
        str,
        Meta(
            title="Pub/Sub endpoint",
            description="Host and port of the Pub/Sub API; Salesforce lists the regional ones.",
        ),
    ] = "api.pubsub.salesforce.com:7443"
    pubsub_plaintext: Annotated[
        bool,
        Meta(title="Pub/Sub without TLS", description="Speak to the Pub/Sub endpoint without TLS; this machine only."),
    ] = False
    start_from: Annotated[
        Literal["earliest", "latest"],
        Meta(
            title="Start from",
            description="Where a topic without a stored position begins: `earliest`, what the bus still keeps (three "
            "days), or `latest`, what comes from now on.",
        ),
    ] = "earliest"
    idle_timeout_seconds: Annotated[
        int,
        Meta(
            title="Idle timeout (s)",
            description="A topic on which nothing came for so long counts as drained, and the run goes on with the "
            "rest. What comes later is for the next run.",
            ge=1,
            le=300,
        ),
    ] = 10
    max_events_per_run: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            title="Events per run",
            description="Stop a run once so many events of all topics are read; each costs one of the org's daily "
            "deliveries. 100 are on their way for each topic, so up to 100 a topic come on top. The next run goes on "
            "from there.",
        ),
    ] = None
    delivery_percent_total: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(
            title="Ceiling for event deliveries (%)",
            description="Stop with exit code 3 once all subscribers have used this share of the org's event deliveries "
            "of 24 hours.",
        ),
    ] = None
    reconcile: Annotated[
        Literal["auto", "always", "never"],
        Meta(
            title="Reconcile",
            description="When to ask for the delete log (getDeleted) and the recycle bin (queryAll): `auto` asks in "
            "each run for the objects of `reconcile_objects` that no topic of change events covers, for the others "
            "once a day and after a hole; `always` asks for all of them in each run; `never` makes each hole a `gap` "
            "event.",
        ),
    ] = "auto"
    reconcile_objects: Annotated[
        tuple[str, ...],
        Meta(
            title="Objects to reconcile",
            description="Patterns of API names such as `Account` or `Invoice*`; when empty, all replicateable objects "
            "whose field history is tracked.",
        ),
    ] = ()
    enrich: Annotated[
        Literal["auto", "never"],
        Meta(
            title="Enrich",
            description="`auto` looks rows that are still in the recycle bin up, for what their witness did not tell: "
            "who deleted them, their owner and last values; one API call for up to 400 of them.",
        ),
    ] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_endpoint()
        topics = self.parsed_topics
        for pattern in self.reconcile_objects:
            if _OBJECT_PATTERN.fullmatch(pattern) is None:
                raise ConfigurationError(
                    "Setting `reconcile_objects` takes API names of objects, such as `Account`, or patterns of them, "
                    "such as `Invoice*`."
                )
        if not topics and self.reconcile == "never":
            raise ConfigurationError(
                "Setting `topics` is empty and `reconcile` is `never`: nothing would be read. Name topics, or set "
                "`reconcile` to `auto`."
            )
        if self.reconcile == "never" and self.reconcile_objects:
            raise ConfigurationError(
                "Setting `reconcile_objects` does not go with `reconcile` `never`: remove one of them."
            )

    @property
    def parsed_topics(self) -> tuple[Topic, ...]:
        """The topics to subscribe to."""
        return parse_topics(self.topics)

    def _check_endpoint(self) -> None:
        match = _ENDPOINT.fullmatch(self.pubsub_endpoint)
        if match is None or not 1 <= int(match["port"]) <= 65_535:
            raise ConfigurationError(
                "Setting `pubsub_endpoint` must be a host and a port, such as `api.pubsub.salesforce.com:7443`."
            )
        if self.pubsub_plaintext and not is_loopback(match["host"].strip("[]")):
            raise ConfigurationError(
                "Setting `pubsub_plaintext` is for this machine only: with another `pubsub_endpoint` the access token "
                "would travel unprotected. Set it to false."
            )
