"""Every error that the Pub/Sub API documents: its code, its gRPC status, what it says.

Source: Pub/Sub API guide, "Handle Errors" (codes and descriptions). The status is documented or was quoted by
clients for service.unavailable, service.auth.error, service.protection.triggered, topic.not.found,
schema.validation.failed and the codes of a wrong replay id, count or topic; of the others it is what the gRPC
documentation suggests.
"""

from __future__ import annotations

import grpc
import msgspec

PREFIX = "sfdc.platform.eventbus.grpc."
_Code = grpc.StatusCode

TABLE: dict[str, tuple[grpc.StatusCode, str]] = {
    "concurrent.client.limit.exceeded": (
        _Code.RESOURCE_EXHAUSTED,
        "The maximum number of concurrent clients across all topics has been exceeded.",
    ),
    "service.unavailable": (_Code.INTERNAL, "The service is unavailable. Try again later."),
    "service.auth.error": (
        _Code.UNAUTHENTICATED,
        "An authentication exception occurred. Provide valid authentication via metadata headers.",
    ),
    "service.auth.headers.invalid": (_Code.UNAUTHENTICATED, "The value of an authentication header is not valid."),
    "service.auth.refresh.invalid": (_Code.UNAUTHENTICATED, "The auth refresh token is invalid."),
    "service.protection.triggered": (
        _Code.RESOURCE_EXHAUSTED,
        "The service received too many connections and doesn't have the resources to accept new connections.",
    ),
    "service.protection.stream.limit.triggered": (
        _Code.RESOURCE_EXHAUSTED,
        "The stream received too many requests. Reduce the frequency of requests.",
    ),
    "service.tenant.license": (_Code.PERMISSION_DENIED, "The org isn't licensed to use the Pub/Sub API."),
    "topic.not.found": (_Code.NOT_FOUND, "The topic information for org {tenant} not found for topic {topic}."),
    "topic.meta.permission": (_Code.PERMISSION_DENIED, "An error occurred while getting the metadata of the topic."),
    "topic.api.unavailable": (_Code.UNAVAILABLE, "The topic information is unavailable. Try again later."),
    "topic.validation.empty": (_Code.INVALID_ARGUMENT, "The topic name can't be blank."),
    "schema.meta.permission": (_Code.PERMISSION_DENIED, "An error occurred while getting the schema."),
    "schema.api.unavailable": (_Code.UNAVAILABLE, "The schema information is unavailable. Try again later."),
    "schema.validation.failed": (
        _Code.INVALID_ARGUMENT,
        "Schema validation failed. The schema ID can't be blank.",
    ),
    "subscription.fetch.replayid.corrupted": (
        _Code.INVALID_ARGUMENT,
        "The Replay ID validation failed. Ensure that the Replay ID is valid and within the retention window.",
    ),
    "subscription.fetch.replayid.validation.failed": (
        _Code.INVALID_ARGUMENT,
        "The Replay ID validation failed. A Replay ID must be provided with the CUSTOM replay preset.",
    ),
    "subscription.fetch.replay.repeated": (
        _Code.INTERNAL,
        "An event was received with a lower replay ID than the previous event. Restart the subscription.",
    ),
    "subscription.fetch.overflow": (
        _Code.RESOURCE_EXHAUSTED,
        "The client requested more events than it processed.",
    ),
    "subscription.fetch.requested.events.invalid": (
        _Code.INVALID_ARGUMENT,
        "The number of requested events must be greater than zero.",
    ),
    "subscription.fetch.topic.mismatch": (
        _Code.INVALID_ARGUMENT,
        "The topic name must be the same in all requests of a stream.",
    ),
    "subscription.fetch.request.invalid": (_Code.INVALID_ARGUMENT, "The fetch request is missing the auth refresh."),
    "subscription.limit.exceeded": (
        _Code.RESOURCE_EXHAUSTED,
        "You have exceeded the event delivery limit for your org.",
    ),
    "subscription.topic.cannot.subscribe": (
        _Code.PERMISSION_DENIED,
        "The user doesn't have permission to subscribe to the topic.",
    ),
    "subscription.internal.error": (_Code.INTERNAL, "An internal error occurred. Restart the subscription."),
    "publish.stream.sweeper.timeout": (
        _Code.DEADLINE_EXCEEDED,
        "The stream was closed because no publish request was sent in time.",
    ),
    "publish.auth.refresh.invalid": (
        _Code.INVALID_ARGUMENT,
        "An auth refresh isn't allowed in the initial publish request.",
    ),
    "publish.event.count.invalid": (
        _Code.INVALID_ARGUMENT,
        "A publish request must contain at least one event and no more than 200.",
    ),
    "publish.topic.mismatch": (
        _Code.INVALID_ARGUMENT,
        "The topic name must be the same in all requests of a stream.",
    ),
    "publish.topic.validation.empty": (_Code.INVALID_ARGUMENT, "The topic name can't be blank."),
    "managed.subscription.already.active": (
        _Code.FAILED_PRECONDITION,
        "An active subscription with the same ID exists.",
    ),
    "managed.subscription.config.stopped": (_Code.FAILED_PRECONDITION, "The managed subscription is stopped."),
    "managed.subscription.config.deleted": (_Code.FAILED_PRECONDITION, "The managed subscription was deleted."),
    "managed.subscription.developer.name.not.found": (
        _Code.NOT_FOUND,
        "No managed subscription with this developer name was found.",
    ),
    "managed.subscription.subscription.id.not.found": (
        _Code.NOT_FOUND,
        "No managed subscription with this ID was found.",
    ),
    "managed.subscription.subscription.id.invalid": (
        _Code.INVALID_ARGUMENT,
        "A subscription ID has 15 or 18 characters.",
    ),
    "managed.subscription.id.or.developer.name.empty": (
        _Code.INVALID_ARGUMENT,
        "Provide either a subscription ID or a developer name.",
    ),
    "managed.subscription.fetch.request.events.invalid": (
        _Code.INVALID_ARGUMENT,
        "The number of requested events can't be negative.",
    ),
    "managed.subscription.fetch.request.invalid": (
        _Code.INVALID_ARGUMENT,
        "The request needs a commit request or an auth refresh.",
    ),
    "managed.subscription.fetch.request.commit.request.restricted": (
        _Code.INVALID_ARGUMENT,
        "A commit request isn't allowed in the initial request.",
    ),
    "managed.subscription.fetch.request.auth.request.restricted": (
        _Code.INVALID_ARGUMENT,
        "An auth refresh isn't allowed in the initial request.",
    ),
}
"""Code without the prefix: status and message."""

RST_STREAM = "RST_STREAM"
"""Names the failure that has no code of its own: what clients see of a stream that was closed under them."""


class PubSubError(Exception):
    """An RPC that ends with an error.

    Attributes:
        code: The documented code with its prefix; empty where an error has none.
        status: The gRPC status.
        message: What the status says, without the RPC's id.
    """

    def __init__(self, code: str, **details: str) -> None:
        name = code.removeprefix(PREFIX)
        if name == RST_STREAM:
            self.code, self.status = "", grpc.StatusCode.UNAVAILABLE
            self.message = "RST_STREAM closed stream. HTTP/2 error code: NO_ERROR"
        else:
            self.code = PREFIX + name
            self.status, template = TABLE[name]
            self.message = template.format(**{"tenant": "", "topic": "", **details})
        super().__init__(f"{self.status.name}: {self.message}")


class Ending(msgspec.Struct, frozen=True):
    """How an RPC ends on the wire: what its status says, and its trailers."""

    details: str
    trailers: tuple[tuple[str, str], ...]


def ending(error: PubSubError, rpc: str, rpc_id: str) -> Ending:
    """The end of an RPC.

    Args:
        error: Why it ends.
        rpc: Its name, such as `Subscribe`.
        rpc_id: Its id, which stands in the message and in a trailer.
    """
    if not error.code:
        return Ending(error.message, ())
    trailers = (("error-code", error.code), ("rpc-id", rpc_id), ("type", rpc))
    return Ending(f"{error.message} rpcId: {rpc_id}", trailers)
