"""What an administrator sets up for the event bus: selected objects, channels, platform events, triggers.

Kept in the org's file under the key `pubsub`; every process that has the org open reads it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from localcloud.salesforce.fields import instant, text
from localcloud.salesforce.sobject import Field  # noqa: TC001 - msgspec reads it at run time

if TYPE_CHECKING:
    import sqlite3

RETENTION_HOURS = 72.0
"""How long events can be replayed. Source: Pub/Sub API guide, "Event Message Durability"."""
OVERFLOW_CEILING = 100_000
"""Changes of one transaction that get events of their own. Source: Change Data Capture guide, "Overflow Events"."""
EVENT_BYTES = 1_000_000
"""A larger change becomes a gap event. Source: Change Data Capture guide, "Gap Events"."""
SELECTED = ("Account", "Contact", "Opportunity", "Case", "Invoice__c")
_KEY = "pubsub"


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entity on a custom channel: its filter expression, and fields that go along though they did not change."""

    entity: str
    filter: str = ""
    enrich: tuple[str, ...] = ()


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A custom channel: `/data/Deletes__chn` of change events, or `/event/Mine__chn` of platform events."""

    name: str
    members: tuple[Member, ...]


class PlatformEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A platform event that an administrator defined."""

    name: str
    fields: tuple[Field, ...]


class DeleteTrigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stands for an Apex trigger on deletion that publishes a platform event after commit.

    `values` says which field of the event gets what: `object`, `id`, `actor`, `at` or `owner`. Like its model
    it does not see records that are deleted by cascade. Source: Apex Developer Guide, "Operations That Don't
    Invoke Triggers".
    """

    event: str
    objects: tuple[str, ...]
    values: dict[str, Literal["object", "id", "actor", "at", "owner"]]


RECORD_DELETED = PlatformEvent(
    "Record_Deleted__e",
    (
        text("Object_Name__c", 80),
        text("Record_Id__c", 18),
        text("Deleted_By__c", 18),
        instant("Deleted_Date__c"),
        text("Owner_Id__c", 18),
    ),
)
DELETE_TRIGGER = DeleteTrigger(
    RECORD_DELETED.name,
    SELECTED,
    {
        "Object_Name__c": "object",
        "Record_Id__c": "id",
        "Deleted_By__c": "actor",
        "Deleted_Date__c": "at",
        "Owner_Id__c": "owner",
    },
)


class PubSubSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it.

    `selected` are the objects on `/data/ChangeEvents`; `more_fields` were added to an object's or platform
    event's definition since. `replay_ids` gives ids of 10 bytes with a number in front, as seen on the wire,
    or of 12 bytes without one. `change_event_ids` says whether change events carry an `id`: the documentation
    says no, clients saw one. `gap_next` changes, still to come, become gap events.
    """

    selected: tuple[str, ...] = SELECTED
    channels: tuple[Channel, ...] = ()
    platform_events: tuple[PlatformEvent, ...] = (RECORD_DELETED,)
    delete_triggers: tuple[DeleteTrigger, ...] = (DELETE_TRIGGER,)
    more_fields: dict[str, tuple[Field, ...]] = {}
    retention_hours: float = RETENTION_HOURS
    replay_ids: Literal["numeric", "opaque"] = "numeric"
    change_event_ids: bool = True
    overflow_ceiling: int = OVERFLOW_CEILING
    event_bytes: int = EVENT_BYTES
    gap_next: int = 0

    @property
    def captured(self) -> frozenset[str]:
        """The objects whose changes become events: selected, or on a custom channel."""
        members = {member.entity for channel in self.channels for member in channel.members}
        return frozenset(self.selected) | {name for name in members if not name.endswith("__e")}

    def channel(self, name: str) -> Channel | None:
        """The custom channel of that name (`Deletes__chn`), or None."""
        return next((channel for channel in self.channels if channel.name == name), None)

    def platform_event(self, name: str) -> PlatformEvent | None:
        """The platform event of that name, or None."""
        return next((event for event in self.platform_events if event.name == name), None)


def load(db: sqlite3.Connection) -> PubSubSettings:
    """The settings of an org; the defaults where none were kept."""
    row = db.execute("SELECT value FROM settings WHERE key = ?", (_KEY,)).fetchone()
    return msgspec.json.decode(row[0], type=PubSubSettings) if row else PubSubSettings()


def save(db: sqlite3.Connection, settings: PubSubSettings) -> None:
    """Keep settings; no commit."""
    text_ = msgspec.json.encode(settings).decode()
    db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_KEY, text_))
