"""The one way the catalog says no: an HTTP status, the metadata service's error code, a message."""

from __future__ import annotations

import msgspec


class AtlanError(Exception):
    """An error as the metadata service answers it.

    Codes and messages are those of `AtlasErrorCode` in the service's published source (atlanhq/atlas-metastore).

    Attributes:
        status: The HTTP status.
        code: `errorCode` of the body.
        message: `errorMessage` of the body.
        headers: Further headers of the answer, such as Retry-After.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def body(self) -> bytes:
        """The body of the answer."""
        return msgspec.json.encode({"errorCode": self.code, "errorMessage": self.message})


def bad_request(message: str) -> AtlanError:
    """A request that makes no sense as a whole."""
    return AtlanError(400, "ATLAS-400-00-029", message)


def invalid_parameters(message: str) -> AtlanError:
    """Parameters that do not fit together."""
    return AtlanError(400, "ATLAS-400-00-01A", f"invalid parameters: {message}")


def no_such_type(name: str) -> AtlanError:
    """An entity of a type that is not defined."""
    return AtlanError(400, "ATLAS-400-00-014", f"Type ENTITY with name {name} does not exist")


def too_many(most: int) -> AtlanError:
    """More entities than one request may hold."""
    message = f"Request Error - Entities should be less than or equal to: {most}"
    return AtlanError(400, "ATLAS-400-00-212", message)


def search_refused(reason: str) -> AtlanError:
    """A query that the index does not understand."""
    return AtlanError(400, "ATLAS-400-00-503", f"ES query failed with response: {reason}")


def unauthorized() -> AtlanError:
    """No token, or one that is not known or has expired."""
    return AtlanError(401, "401", "Unauthorized")


def forbidden(who: str, what: str) -> AtlanError:
    """Something that the caller has no privilege for."""
    return AtlanError(403, "ATLAS-403-00-001", f"{who} is not authorized to perform {what}")


def typedef_not_found(name: str) -> AtlanError:
    """A definition that is not there."""
    return AtlanError(404, "ATLAS-404-00-001", f"Given typename {name} was invalid")


def guid_not_found(guid: str) -> AtlanError:
    """An asset that is not there, by its GUID."""
    return AtlanError(404, "ATLAS-404-00-005", f"Given instance guid {guid} is invalid/not found")


def invalid_entity(messages: list[str]) -> AtlanError:
    """Attributes, or custom metadata, that the types do not allow."""
    said = f"Invalid instance creation/updation parameters passed : [{', '.join(messages)}]"
    return AtlanError(404, "ATLAS-404-00-007", said)


def name_not_found(type_name: str, qualified_name: str) -> AtlanError:
    """An asset that is not there, by its qualified name."""
    said = f"Instance {type_name} with unique attribute {{qualifiedName={qualified_name}}} does not exist"
    return AtlanError(404, "ATLAS-404-00-009", said)


def reference_not_found(what: str) -> AtlanError:
    """An asset that another one refers to, or that is to be updated, and is not there."""
    return AtlanError(404, "ATLAS-404-00-00A", f"Referenced entity {what} is not found")


def display_name_taken(name: str) -> AtlanError:
    """A definition whose name people have seen before."""
    return AtlanError(409, "ATLAS-409-00-012", f"Given type {name} already exists")


def has_references(name: str) -> AtlanError:
    """A definition that assets have values of."""
    return AtlanError(409, "ATLAS-409-00-002", f"Given type {name} has references")


def too_fast(retry_after: int | None) -> AtlanError:
    """More requests than a tenant takes in a minute; the form of this answer is not documented."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return AtlanError(429, "429", "Too Many Requests", headers)
