"""How an RPC of the Pub/Sub API fails, what that means for us, and the exceptions that say it.

    MicroDecisionError
      PubSubError                     exit 1   the service refused, or failed for too long
        ReplayIdError                          the stored replay id is expired, or of another stream
        ProtocolError                          the service broke its own contract
        PayloadError                           an event or its schema cannot be read: the topic stops, and skips nothing
      SubscriptionClosedError         exit 1   `close` was called meanwhile
      DeliveryLimitError              exit 3   the org's event deliveries are used up (a QuotaCeilingError)
      TopicPermissionError            exit 2   the user may not subscribe (an ObjectPermissionError)
      TopicNotFoundError              exit 2   there is no such topic (a ConfigurationError)

Source: Pub/Sub API guide, "Handle Errors" and "Retry RPC Calls"; statuses without a code as clients report them in
public issues. It is the `error-code` trailer that tells failures apart; the gRPC status alone does not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from microdecisions.errors import (
    CertificateError,
    ConfigurationError,
    LoginError,
    MicroDecisionError,
    ObjectPermissionError,
    QuotaCeilingError,
    UnreachableError,
)

__all__ = [
    "Action",
    "DeliveryLimitError",
    "PayloadError",
    "ProtocolError",
    "PubSubError",
    "Refused",
    "ReplayIdError",
    "SubscriptionClosedError",
    "TopicNotFoundError",
    "TopicPermissionError",
    "classify",
    "error_of",
]

PREFIX: Final = "sfdc.platform.eventbus.grpc."


class Action(StrEnum):
    """What a failure asks of the client."""

    LOGIN_AGAIN = "login_again"
    RETRY = "retry"
    EARLIEST = "earliest"
    DELIVERY_LIMIT = "delivery_limit"
    NO_PERMISSION = "no_permission"
    NO_TOPIC = "no_topic"
    FATAL = "fatal"


class Refused(msgspec.Struct, frozen=True):
    """A failure, understood.

    Attributes:
        status: The gRPC status, such as `INTERNAL`.
        code: The error code without its prefix; empty where there was none.
        action: What to do about it.
        sentence: For a person; names the topic or schema it is about, and holds no value.
        slow: The service asks for less: wait longer than after other failures.
    """

    status: str
    code: str
    action: Action
    sentence: str
    slow: bool = False

    @property
    def answered(self) -> bool:
        """Whether the service itself said so, rather than the connection to it."""
        return self.code not in {"", _TLS_CERTIFICATE, _TLS_MISSING, _CONNECTION}


class PubSubError(MicroDecisionError):
    """The Pub/Sub API refused, or failed for too long.

    Attributes:
        refused: The failure, where the service answered one.
    """

    def __init__(self, message: str, refused: Refused | None = None) -> None:
        super().__init__(message)
        self.refused = refused


class ReplayIdError(PubSubError):
    """The replay id cannot be resumed from: it is out of retention, or belongs to a stream that is gone."""


class ProtocolError(PubSubError):
    """The service broke its own contract, so that going on would lose or double events."""


class PayloadError(PubSubError):
    """An event or its schema cannot be read; the topic has to stop, as skipping would lose the event."""


class SubscriptionClosedError(MicroDecisionError):
    """The subscription was closed."""


class DeliveryLimitError(QuotaCeilingError):
    """The org's allocation of event deliveries is used up; events wait on the bus for 72 hours."""


class TopicPermissionError(ObjectPermissionError):
    """The logged-in user may not subscribe to the topic, or not read its schema."""


class TopicNotFoundError(ConfigurationError):
    """The org has no such topic."""


_LATER: Final = "The Pub/Sub API cannot serve {place} at the moment: run again later."
_TRANSPORT: Final = "The Pub/Sub API broke off {place}: check the network, and run again."
_OURS: Final = "The Pub/Sub API refuses how {place} was asked for: please report this with the code `{code}`."
_REPLAY_ID: Final = (
    "The replay id of {place} is no longer known to Salesforce: it is older than the 72 hours that events are kept, "
    "or the org was moved."
)
_TOO_MANY: Final = (
    "Salesforce limits how fast {place} may be asked for: run again later, with fewer topics or less often."
)
_FORBIDDEN: Final = (
    "The logged-in user may not subscribe to {place}: grant View All on the object (Read on a platform event), "
    "and check that the topic exists and is selected in Change Data Capture."
)
_LIMIT: Final = (
    "The org's daily event deliveries are used up at {place}: events stay on the bus for 72 hours, so run again when "
    "the allocation recovers, or deliver less with a filtered channel."
)

_CODES: Final[dict[str, tuple[Action, str]]] = {
    "service.unavailable": (Action.RETRY, _LATER),
    "service.auth.error": (
        Action.LOGIN_AGAIN,
        (
            "Salesforce does not accept the session for {place}: check that the user may use the API, and that session "
            "settings and IP ranges let this machine in."
        ),
    ),
    "service.auth.headers.invalid": (
        Action.FATAL,
        (
            "Salesforce does not accept the headers of the login for {place}: check that the login answers the address "
            "and the id of the same org."
        ),
    ),
    "service.auth.refresh.invalid": (Action.FATAL, _OURS),
    "service.protection.triggered": (Action.RETRY, _TOO_MANY),
    "service.protection.stream.limit.triggered": (Action.RETRY, _TOO_MANY),
    "service.tenant.license": (
        Action.FATAL,
        (
            "The org has no licence for the Pub/Sub API, so {place} cannot be read: leave out `topics`, and the delete "
            "log alone is used."
        ),
    ),
    "concurrent.client.limit.exceeded": (
        Action.FATAL,
        "The org has too many Pub/Sub clients at once to serve {place}: stop others, or run again later.",
    ),
    "topic.not.found": (
        Action.NO_TOPIC,
        (
            "The org has no topic {place}: check its spelling (upper and lower case count), and that the object is "
            "selected in Change Data Capture or the channel exists."
        ),
    ),
    "topic.meta.permission": (Action.NO_PERMISSION, _FORBIDDEN),
    "topic.validation.empty": (Action.FATAL, _OURS),
    "topic.api.unavailable": (Action.RETRY, _LATER),
    "schema.meta.permission": (
        Action.NO_PERMISSION,
        "The logged-in user may not read {place}: grant View All on the object (Read on a platform event).",
    ),
    "schema.validation.failed": (Action.FATAL, _OURS),
    "schema.api.unavailable": (Action.RETRY, _LATER),
    "subscription.fetch.replayid.corrupted": (Action.EARLIEST, _REPLAY_ID),
    "subscription.fetch.replayid.validation.failed": (Action.EARLIEST, _REPLAY_ID),
    "subscription.fetch.replay.repeated": (Action.RETRY, _LATER),
    "subscription.fetch.overflow": (Action.FATAL, _OURS),
    "subscription.fetch.requested.events.invalid": (Action.FATAL, _OURS),
    "subscription.fetch.topic.mismatch": (Action.FATAL, _OURS),
    "subscription.fetch.request.invalid": (Action.FATAL, _OURS),
    "subscription.limit.exceeded": (Action.DELIVERY_LIMIT, _LIMIT),
    "subscription.topic.cannot.subscribe": (Action.NO_PERMISSION, _FORBIDDEN),
    "subscription.internal.error": (Action.RETRY, _LATER),
}
_STATUSES: Final[dict[str, tuple[Action, str]]] = {
    "UNAUTHENTICATED": _CODES["service.auth.error"],
    "PERMISSION_DENIED": (Action.NO_PERMISSION, _FORBIDDEN),
    "NOT_FOUND": _CODES["topic.not.found"],
    "RESOURCE_EXHAUSTED": (Action.RETRY, _TOO_MANY),
    "INVALID_ARGUMENT": (Action.FATAL, _OURS),
    "FAILED_PRECONDITION": (Action.FATAL, _OURS),
    "OUT_OF_RANGE": (Action.FATAL, _OURS),
    "UNIMPLEMENTED": (
        Action.FATAL,
        "There is no Pub/Sub API behind `pubsub_endpoint`, so {place} cannot be read: check the setting.",
    ),
}
"""For failures without a code, or with one that is not in the table; any other status is tried again."""

_CERTIFICATE: Final = (
    "The certificate of the Pub/Sub API is not trusted, so {place} cannot be read: set `ca_bundle` to a PEM file that "
    "holds the certificate of the authority that signed it."
)
_NO_TLS: Final = "There is no TLS behind `pubsub_endpoint`, so {place} cannot be read: check the setting and its port."
_UNREACHABLE: Final = (
    "The Pub/Sub API does not answer, so {place} cannot be read: check `pubsub_endpoint`, the network and the firewall "
    "(TCP 443 or 7443, HTTP/2)."
)
_TLS_CERTIFICATE: Final = "tls.certificate"  # codes of ours, for failures below gRPC
_TLS_MISSING: Final = "tls.missing"
_CONNECTION: Final = "connection"


def classify(status: str, code: str = "", details: str = "", *, place: str = "the topic") -> Refused:
    """Understand how an RPC ended.

    Args:
        status: The name of the gRPC status.
        code: The `error-code` trailer, with or without its prefix; empty where there was none.
        details: The status message; it is looked at, and never repeated.
        place: What was asked for, such as `/data/ChangeEvents`.
    """
    name = code.removeprefix(PREFIX)
    if not name and status == "UNAVAILABLE":
        name = _below_grpc(details)
    below = {
        _TLS_CERTIFICATE: (Action.FATAL, _CERTIFICATE),
        _TLS_MISSING: (Action.FATAL, _NO_TLS),
        _CONNECTION: (Action.RETRY, _UNREACHABLE),
    }
    known = below.get(name) or _CODES.get(name) or _STATUSES.get(status) or (Action.RETRY, _TRANSPORT)
    action, sentence = known
    slow = name.startswith("service.protection") or (status == "RESOURCE_EXHAUSTED" and action is Action.RETRY)
    # A code that is not in the table comes from the network: it is named only where it looks like a code.
    shown = name if name in _CODES else "".join(c for c in name[:80] if c.isascii() and (c.isalnum() or c == "."))
    return Refused(status, shown, action, sentence.format(place=place, code=shown or status), slow)


def error_of(refused: Refused) -> MicroDecisionError:
    """The exception that ends the work with what was refused."""
    sentence = refused.sentence
    if refused.code == _TLS_CERTIFICATE:
        return CertificateError(sentence)
    if refused.code == _TLS_MISSING or refused.status == "UNIMPLEMENTED":
        return ConfigurationError(sentence)
    if refused.code == _CONNECTION:
        return UnreachableError(sentence)
    if refused.action is Action.LOGIN_AGAIN or refused.code == "service.auth.headers.invalid":
        return LoginError(sentence)
    kinds: dict[Action, type[MicroDecisionError]] = {
        Action.DELIVERY_LIMIT: DeliveryLimitError,
        Action.NO_PERMISSION: TopicPermissionError,
        Action.NO_TOPIC: TopicNotFoundError,
    }
    if (kind := kinds.get(refused.action)) is not None:
        return kind(sentence)
    return (ReplayIdError if refused.action is Action.EARLIEST else PubSubError)(sentence, refused)


def _below_grpc(details: str) -> str:
    """What kept the connection from being made, from gRPC's own words."""
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return _TLS_CERTIFICATE
    if "WRONG_VERSION_NUMBER" in details:
        return _TLS_MISSING
    if "failed to connect" in details or "DNS" in details or "resolve" in details:
        return _CONNECTION
    return ""
