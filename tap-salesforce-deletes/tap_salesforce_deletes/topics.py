"""The setting `topics`: what is subscribed to, and which fields of a platform event tell of a delete."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import soql
from microdecisions.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "DELETE_FILTER",
    "TOPICS_SCHEMA",
    "BoundFields",
    "FieldMapping",
    "Topic",
    "TopicKind",
    "bind_fields",
    "changed_object",
    "parse_topics",
    "price_warning",
]

ALL_CHANGES: Final = "/data/ChangeEvents"
DELETE_FILTER: Final = (
    "ChangeEventHeader.changeType IN ('DELETE', 'UNDELETE', 'GAP_DELETE', 'GAP_UNDELETE', 'GAP_OVERFLOW')"
)
"""Filter of a channel's member that delivers what this tap needs and nothing else. That filters let gap and overflow
events through which they name is not documented: ask the delete log too (`reconcile: always`) until it was seen."""

_ROLES: Final = ("object_name", "record_id", "deleted_by", "deleted_date", "owner_id")
_NAME: Final = r"[A-Za-z][A-Za-z0-9_]{0,79}"
_TOPIC: Final = re.compile(rf"/(?P<bus>event|data)/(?P<name>{_NAME})")
_MOST_LISTED: Final = 40
_MOST_TOPICS: Final = 50

TOPICS_SCHEMA: Final[dict[str, Any]] = {
    "type": ["array", "null"],
    "items": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    "topic": {"type": "string"},
                    "object": {"type": ["string", "null"]},
                    "fields": {
                        "type": ["object", "null"],
                        "properties": {role: {"type": ["string", "null"]} for role in _ROLES},
                    },
                },
                "required": ["topic"],
            },
        ]
    },
}
"""JSON schema of the setting. What it cannot say, `parse_topics` checks."""


class TopicKind(StrEnum):
    """What a topic carries: platform events, change events of one object, or change events of many."""

    PLATFORM_EVENT = "platform_event"
    CHANGE_EVENTS = "change_events"
    CHANNEL = "channel"


class FieldMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields of a platform event that tell of a delete; None where one of the usual names is looked for.

    Attributes:
        object_name: API name of the object whose record was deleted.
        record_id: Id of that record.
        deleted_by: Who deleted it; the event's CreatedById when there is no such field.
        deleted_date: When; the event's CreatedDate when there is no such field.
        owner_id: Who owned the record.
    """

    object_name: str | None = None
    record_id: str | None = None
    deleted_by: str | None = None
    deleted_date: str | None = None
    owner_id: str | None = None


class Topic(msgspec.Struct, frozen=True):
    """One topic.

    Attributes:
        name: As Salesforce knows it, such as `/event/Record_Deleted__e`; names are case-sensitive.
        kind: What it carries.
        fields: Mapping of a platform event's fields.
        sobject: The one object it is about: of change events of one object, and of platform events whose setting says
            so; else None.
    """

    name: str
    kind: TopicKind
    fields: FieldMapping = FieldMapping()
    sobject: str | None = None

    @property
    def entity(self) -> str:
        """The last part of the name: `AccountChangeEvent`, `Record_Deleted__e`, `Deletes__chn`."""
        return self.name.rpartition("/")[2]


class BoundFields(msgspec.Struct, frozen=True):
    """A mapping onto one schema: names of fields that it has; None where there is no such field."""

    record_id: str
    object_name: str | None
    deleted_by: str | None
    deleted_date: str | None
    owner_id: str | None


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    topic: str
    fields: FieldMapping | None = None
    object: str | None = None


def parse_topics(entries: object) -> tuple[Topic, ...]:
    """Read the setting `topics`.

    Args:
        entries: A list of names, or of objects with `topic`, `fields` and `object`; or, from the environment, such a
            list as JSON text, or names separated by commas. None and an empty one mean no topics.

    Raises:
        ConfigurationError: an entry cannot be used; the sentence names it.
    """
    if isinstance(entries, str):
        entries = _from_text(entries)
    if entries is None:
        return ()
    if not isinstance(entries, list | tuple):
        raise ConfigurationError("The setting `topics` is not a list: write the names of topics as a list.")
    topics = [_topic(_entry(number, entry)) for number, entry in enumerate(entries, 1)]
    seen: set[str] = set()
    for topic in topics:
        if topic.name in seen:
            raise ConfigurationError(f"The setting `topics` names {topic.name} twice: remove one of the two.")
        seen.add(topic.name)
    if len(topics) > _MOST_TOPICS:
        raise ConfigurationError(
            f"The setting `topics` has {len(topics)} entries, and one run reads at most {_MOST_TOPICS}: gather change "
            "events in a custom channel, or share the topics between two extractors."
        )
    return tuple(topics)


def _from_text(text: str) -> object:
    if not text.strip():
        return None
    if text.lstrip()[0] in "[{":
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise ConfigurationError(
                'The setting `topics` is not valid JSON: write a list such as ["/data/AccountChangeEvent"].'
            ) from None
    return [name.strip() for name in text.split(",") if name.strip()]


def _entry(number: int, entry: object) -> _Entry:
    if isinstance(entry, str):
        return _Entry(entry)
    try:
        return msgspec.convert(entry, _Entry)
    except msgspec.ValidationError as error:
        # It names a key and types, never a value.
        raise ConfigurationError(
            f"Entry {number} of the setting `topics` is neither a name nor an object with `topic`, `fields` and "
            f"`object`: {error}."
        ) from None


def _topic(entry: _Entry) -> Topic:
    match = _TOPIC.fullmatch(entry.topic)
    if match is None:
        raise ConfigurationError(f"The setting `topics` has {entry.topic[:100]!r}, {_hint(entry.topic)}")
    name = match["name"]
    fields = entry.fields or FieldMapping()
    for role in _ROLES:
        _check_name(entry.topic, f"fields.{role}", getattr(fields, role))
    _check_name(entry.topic, "object", entry.object)
    if match["bus"] == "event":
        return Topic(entry.topic, TopicKind.PLATFORM_EVENT, fields, entry.object)
    if entry.fields is not None or entry.object is not None:
        raise ConfigurationError(
            f"The setting `topics` gives `fields` or `object` for {entry.topic}: change events need neither, so remove "
            "them."
        )
    if name == "ChangeEvents" or name.endswith("__chn"):
        return Topic(entry.topic, TopicKind.CHANNEL)
    if name.endswith("ChangeEvent") and len(name) > len("ChangeEvent"):
        return Topic(entry.topic, TopicKind.CHANGE_EVENTS, sobject=changed_object(name))
    raise ConfigurationError(f"The setting `topics` has {entry.topic!r}, {_hint(entry.topic)}")


def _check_name(topic: str, key: str, name: str | None) -> None:
    if name is None:
        return
    try:
        soql.identifier(name)
    except ValueError:
        raise ConfigurationError(
            f"The setting `topics` has at {topic} a `{key}` that is not an API name: {name[:80]!r}."
        ) from None


def changed_object(name: str) -> str:
    """`Account` of `AccountChangeEvent`, `Invoice__c` of `Invoice__ChangeEvent`."""
    stem = name.removesuffix("ChangeEvent")
    return f"{stem}c" if stem.endswith("__") else stem


def _hint(name: str) -> str:
    """What is wrong with a name: the end of a sentence that begins with it."""
    forms = (
        "which is not a topic: write /event/<Event>__e, /data/<Object>ChangeEvent, /data/<Object>__ChangeEvent, "
        f"{ALL_CHANGES} or /data/<Channel>__chn."
    )
    bare = name.strip().rpartition("/")[2]
    if not re.fullmatch(_NAME, bare):
        return forms
    if bare.lower() == "changeevents":
        return f"and names of topics are case-sensitive: write {ALL_CHANGES}."
    for suffix, bus in (("__e", "event"), ("__chn", "data"), ("changeevent", "data")):
        if bare.lower().endswith(suffix):
            cased = bare[: -len(suffix)] + ("ChangeEvent" if suffix == "changeevent" else suffix)
            return f"which is not a topic: did you mean /{bus}/{cased}?"
    if name.startswith("/data/") and not bare.endswith("__c"):
        return f"which is not a topic: did you mean /data/{bare}ChangeEvent?"
    if bare.endswith("__c"):
        return f"which is not a topic: did you mean /data/{bare.removesuffix('c')}ChangeEvent?"
    return forms


_USUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "object_name": ("objectname", "objectapiname", "objecttype", "sobjectname", "sobjecttype", "entityname", "object"),
    "record_id": ("recordid", "deletedrecordid", "deletedid", "sfid", "salesforceid"),
    "deleted_by": ("deletedby", "deletedbyid", "deletedbyuserid", "deletedbyuser"),
    "deleted_date": ("deleteddate", "deletedat", "deletiondate", "deleteddatetime", "deletedon"),
    "owner_id": ("ownerid", "recordownerid", "owner", "recordowner"),
}
"""Usual names of fields, the likeliest first, without namespace, suffix and underscores and in lower case."""


def bind_fields(topic: Topic, schema_fields: Sequence[str]) -> BoundFields:
    """Find the fields of a mapping in a platform event's schema.

    Args:
        topic: A topic of platform events.
        schema_fields: Names of the schema's fields.

    Raises:
        ConfigurationError: a field that the setting names does not exist, or no field holds the record's id; the
            sentence lists the fields there are.
    """
    found: dict[str, str | None] = {}
    for role in _ROLES:
        wanted = getattr(topic.fields, role)
        if wanted is not None and wanted not in schema_fields:
            raise ConfigurationError(
                f"The setting `topics` maps `{role}` of {topic.name} to {wanted}, which its events do not have: "
                f"{_listed(schema_fields)}"
            )
        found[role] = wanted or _usual(role, schema_fields)
    record_id = found.pop("record_id")
    if record_id is None:
        raise ConfigurationError(
            f"No field of the events of {topic.name} has one of the usual names for the id of the deleted record "
            f"(RecordId__c, Record_Id__c): set `fields.record_id` in the setting `topics`; {_listed(schema_fields)}"
        )
    return BoundFields(record_id, **found)


def _usual(role: str, schema_fields: Sequence[str]) -> str | None:
    plain = {_plain(name): name for name in reversed(schema_fields) if name.endswith("__c")}
    return next((plain[name] for name in _USUAL[role] if name in plain), None)


def _plain(name: str) -> str:
    """`recordid` of `Record_Id__c` and of `acme__RecordID__c`."""
    return name.removesuffix("__c").rpartition("__")[2].replace("_", "").lower()


def _listed(schema_fields: Sequence[str]) -> str:
    names = sorted(schema_fields)
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"they have {', '.join(names[:_MOST_LISTED])}{more}."


def price_warning(topic: Topic, entities: Iterable[str] = (), *, filtered: bool = False) -> str | None:
    """The warning for a channel that delivers every change of many objects; None for other topics.

    Args:
        topic: A topic.
        entities: Objects whose changes it carries, as far as they are known.
        filtered: Whether all of its members have a filter, as far as that is known.
    """
    if topic.kind is not TopicKind.CHANNEL or filtered:
        return None
    objects = sorted(entities)
    of_what = f"each of {', '.join(objects)}" if objects else "every selected object"
    return (
        f"{topic.name} delivers every creation, change and deletion of {of_what}, and each delivery counts: an org has "
        "10,000 (Developer), 25,000 (Enterprise) or 50,000 (Unlimited) in 24 hours for all its subscribers together. "
        f"Deletes alone cost a fraction: create a custom channel such as /data/Deletes__chn whose members have the "
        f"filter {DELETE_FILTER}."
    )
