"""What an org has: objects, their fields, limits; by simple-salesforce over our session, as typed structs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from microdecisions.errors import MicroDecisionError, SalesforceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microdecisions.session import SalesforceSession

__all__ = ["FieldDescription", "Limit", "ObjectDescription", "ObjectSummary", "OrgLimits", "SalesforceMetadata"]


class ObjectSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One object of the org as `describeGlobal` lists it.

    Attributes:
        name: API name.
        key_prefix: first three characters of its ids; null for objects without records of their own ids.
        label: name for people.
        queryable: whether it can be read by SOQL.
        associate_entity_type: `History`, `Share`, `Feed`, ... of objects that belong to another one.
        associate_parent_entity: the object they belong to.
        replicateable: whether getDeleted and getUpdated answer for it.
    """

    name: str
    key_prefix: str | None = None
    label: str = ""
    queryable: bool = False
    associate_entity_type: str | None = None
    associate_parent_entity: str | None = None
    replicateable: bool = False


class FieldDescription(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One field of an object.

    Attributes:
        name: API name.
        type: `string`, `picklist`, `reference`, `anyType`, `datetime`, ...
        filterable: whether WHERE may use it.
        sortable: whether ORDER BY may use it.
        nillable: whether it can be empty.
        reference_to: objects that a look-up points to.
        relationship_name: how SOQL names the look-up's target; null for others.
        custom: whether the org made it.
    """

    name: str
    type: str
    filterable: bool = False
    sortable: bool = False
    nillable: bool = False
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    custom: bool = False


class ObjectDescription(ObjectSummary, frozen=True, kw_only=True, rename="camel"):
    """One object with its fields, as `describe` tells it; only fields that the user may see."""

    fields: tuple[FieldDescription, ...] = ()


class Limit(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """An allowance: what there is in all, and what is left of it."""

    max: int
    remaining: int


class OrgLimits(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The allowances that these plugins use up; None where the org does not tell."""

    daily_api_requests: Limit | None = None
    daily_bulk_v2_query_jobs: Limit | None = None
    daily_bulk_v2_query_file_storage_mb: Limit | None = msgspec.field(
        default=None, name="DailyBulkV2QueryFileStorageMB"
    )
    daily_delivered_platform_events: Limit | None = None


class _Global(msgspec.Struct):
    sobjects: list[ObjectSummary]


T = TypeVar("T")


class SalesforceMetadata:
    """Describe calls and limits of an org.

    Safe to use from many threads. Errors are those of the session; an answer of another shape is a `SalesforceError`.
    """

    def __init__(self, session: SalesforceSession) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._made: Any = None

    def describe_global(self) -> list[ObjectSummary]:
        """All objects that the user may see. One API call."""
        return self._ask("the list of objects", lambda client: client.describe(), _Global).sobjects

    def describe(self, name: str) -> ObjectDescription:
        """One object with its fields. One API call.

        Raises:
            SalesforceError: among others `NOT_FOUND`, when there is no such object or the user may not see it.
        """
        path = f"sobjects/{quote(name, safe='')}/describe"
        return self._ask(f"the description of {name}", lambda client: client.restful(path), ObjectDescription)

    def limits(self) -> OrgLimits:
        """The org's allowances and what is left of them. One API call."""
        return self._ask("the limits", lambda client: client.limits(), OrgLimits)

    def _ask(self, what: str, call: Callable[[Any], Any], kind: type[T]) -> T:
        client = self._client()
        try:
            return msgspec.convert(call(client), kind)
        except MicroDecisionError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever simple-salesforce makes of an odd answer
            name = type(error).__name__
        raise SalesforceError(f"Salesforce answered {what} in a form that cannot be read ({name}).")

    def _client(self) -> Any:
        """simple-salesforce over our session; made once, at first use, because its import is slow."""
        with self._lock:
            if self._made is None:
                from simple_salesforce.api import Salesforce  # noqa: PLC0415 - costs 0.2 s

                session = self._session
                # The session puts the real token into each request, also after a renewal.
                client = Salesforce(
                    session_id="held-by-the-session",
                    instance_url=session.instance_url,
                    version=session.api_version,
                    session=session,
                    object_pairs_hook=dict,
                )
                client.base_url = f"{session.instance_url}/services/data/v{session.api_version}/"
                self._made = client
            return self._made
