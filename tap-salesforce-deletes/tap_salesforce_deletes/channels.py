"""Which objects the topics cover, and with which filters: what the org's channels have for members."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions.errors import NOT_FOR_THIS_USER, SalesforceError
from tap_salesforce_deletes.topics import TopicKind, changed_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from microdecisions.session import SalesforceSession
    from tap_salesforce_deletes.topics import Topic

__all__ = ["Carried", "carried_by", "covered", "hidden_objects"]

_MEMBERS: Final = "SELECT EventChannel, SelectedEntity, FilterExpression FROM PlatformEventChannelMember"
_CHANNELS: Final = "SELECT Id, DeveloperName FROM PlatformEventChannel"
_CHANGE_EVENT: Final = "ChangeEvent"
_DEFAULT_CHANNEL: Final = "ChangeEvents"
_DELETES: Final = frozenset({"DELETE", "UNDELETE"})


class Carried(msgspec.Struct, frozen=True):
    """What a topic carries.

    Attributes:
        objects: API names of the objects whose changes are on it; None where the org does not tell.
        filtered: Whether each of its members has a filter.
        deletes_pass: Whether no filter keeps deletes back, as far as can be told.
    """

    objects: frozenset[str] | None = None
    filtered: bool = False
    deletes_pass: bool = True


class _Member(msgspec.Struct):
    channel: str = msgspec.field(name="EventChannel")
    entity: str = msgspec.field(name="SelectedEntity")
    filter: str | None = msgspec.field(name="FilterExpression", default=None)


class _Channel(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    name: str = msgspec.field(name="DeveloperName")


class _Members(msgspec.Struct):
    records: list[_Member]


class _Channels(msgspec.Struct):
    records: list[_Channel]


def carried_by(session: SalesforceSession, topics: Sequence[Topic]) -> dict[str, Carried]:
    """What each topic carries, by its name.

    Channels are looked up by the Tooling API: one API call, two where members name their channel by its id; none when
    there is no channel among the topics. A user without the permission View Setup is told nothing of them.

    Source: Tooling API guide, "PlatformEventChannelMember" and "PlatformEventChannel".

    Raises:
        SalesforceError, UnreachableError: the org cannot be asked.
    """
    found = {topic.name: _alone(topic) for topic in topics}
    channels = [topic for topic in topics if topic.kind is TopicKind.CHANNEL]
    if not channels:
        return found
    members = _members(session)
    for topic in channels:
        mine = [member for member in members if _named(member.channel, topic.entity)]
        known = bool(mine) and all(member.entity.endswith(_CHANGE_EVENT) for member in mine)
        found[topic.name] = Carried(
            frozenset(changed_object(member.entity) for member in mine) if known else None,
            filtered=known and all(member.filter for member in mine),
            deletes_pass=known and all(_lets_deletes_pass(member.filter) for member in mine),
        )
    return found


def covered(carried: Iterable[Carried]) -> frozenset[str]:
    """Objects whose deletes come by change events of one topic at least."""
    sets = [one.objects for one in carried if one.objects is not None and one.deletes_pass]
    return frozenset().union(*sets)


def hidden_objects(carried: Carried, visible: Collection[str]) -> list[str]:
    """Objects of a channel that the login user does not see: their events are left out without a word."""
    return sorted((carried.objects or frozenset()) - frozenset(visible))


def _alone(topic: Topic) -> Carried:
    if topic.kind is TopicKind.CHANGE_EVENTS and topic.sobject is not None:
        return Carried(frozenset({topic.sobject}))
    return Carried(frozenset() if topic.kind is TopicKind.PLATFORM_EVENT else None)


def _members(session: SalesforceSession) -> list[_Member]:
    try:
        members = session.get_json("tooling/query", {"q": _MEMBERS}, kind=_Members).records
        if any(_is_id(member.channel) for member in members):
            rows = session.get_json("tooling/query", {"q": _CHANNELS}, kind=_Channels).records
            names = {row.id[:15]: row.name for row in rows}
            for member in members:
                member.channel = names.get(member.channel[:15], member.channel)
    except SalesforceError as error:
        if error.code not in NOT_FOR_THIS_USER:
            raise
        return []
    return members


def _is_id(text: str) -> bool:
    return len(text) in {15, 18} and text.startswith("0YL")


def _named(channel: str, entity: str) -> bool:
    """Whether a member's channel is the topic's: its API name, with or without the suffix."""
    return channel.removesuffix("__chn").rpartition("/")[2] == entity.removesuffix("__chn")


def _lets_deletes_pass(condition: str | None) -> bool:
    """Whether a filter keeps back no delete and no undelete: it looks at the type of the change alone, and names both.

    Filters that look at anything else may keep some back: they count as keeping back.
    """
    if not condition:
        return True
    fields = set(re.findall(r"ChangeEventHeader\.(\w+)", condition))
    words = set(re.findall(r"\b(?:AND|NOT|LIKE)\b|!=|<>", condition, re.IGNORECASE))
    named = set(re.findall(r"'(\w+)'", condition))
    return fields == {"changeType"} and not words and named >= _DELETES
