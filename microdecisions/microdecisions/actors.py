"""Who decided: User rows fetched when first needed, and the rules that tell people from machines.

The rules are in `docs/actors.md`. `integration_users` (ids or user names) overrides them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from microdecisions import ids, soql
from microdecisions.errors import NOT_FOR_THIS_USER, SalesforceError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator

    from microdecisions.event import ActorType

__all__ = ["Actor", "Actors", "UserRow", "classify"]


class Actor(NamedTuple):
    """The three actor columns of an event."""

    id: str | None
    type: ActorType | None
    name: str | None


class _License(msgspec.Struct):
    name: str | None = msgspec.field(name="Name", default=None)


class _Profile(msgspec.Struct):
    name: str | None = msgspec.field(name="Name", default=None)
    license: _License | None = msgspec.field(name="UserLicense", default=None)


class UserRow(msgspec.Struct):
    """The columns of User that the rules look at."""

    id: str = msgspec.field(name="Id")
    username: str | None = msgspec.field(name="Username", default=None)
    name: str | None = msgspec.field(name="Name", default=None)
    user_type: str | None = msgspec.field(name="UserType", default=None)
    profile: _Profile | None = msgspec.field(name="Profile", default=None)


_FIELDS: Final = ("Id", "Username", "Name", "UserType", "Profile.Name", "Profile.UserLicense.Name")
_AUTOMATION_TYPES: Final = frozenset({"AutomatedProcess"})
_INTEGRATION_TYPES: Final = frozenset({"CloudIntegrationUser"})
_INTEGRATION_LICENSES: Final = frozenset({"Salesforce Integration", "Analytics Cloud Integration User"})
_INTEGRATION_PROFILES: Final = frozenset(
    {
        "Analytics Cloud Integration User",
        "Minimum Access - API Only Integrations",
        "Salesforce API Only System Integrations",
    }
)

_MOST_KNOWN: Final = 50_000

NOBODY: Final = Actor(None, "system", None)
"""Salesforce itself: the row names no user."""


def classify(user: UserRow, integration_users: frozenset[str]) -> ActorType:
    """Tell what kind of actor a User row is: the override first, then type, licence and profile."""
    if user.id in integration_users or (user.username or "").lower() in integration_users:
        return "integration"
    if user.user_type in _AUTOMATION_TYPES:
        return "automation"
    profile = user.profile or _Profile()
    if user.user_type in _INTEGRATION_TYPES or profile.name in _INTEGRATION_PROFILES:
        return "integration"
    if profile.license is not None and profile.license.name in _INTEGRATION_LICENSES:
        return "integration"
    return "user"


class Actors:
    """A cache of actors by user id.

    Args:
        query: Runs a statement and yields its rows, decoded as the given type.
        integration_users: Ids or user names that are integrations whatever their profile says.
        log: Where a missing permission is told, once.
    """

    def __init__(
        self,
        query: Callable[[str, type[UserRow]], Iterator[UserRow]],
        integration_users: Iterable[str],
        log: logging.Logger,
    ) -> None:
        self._query = query
        self._integration_users = frozenset(
            ids.to_18(name) if ids.is_id(name) else name.lower() for name in integration_users
        )
        self._log = log
        self._known: dict[str | None, Actor] = {None: NOBODY}
        self._may_read = True

    def known(self, user_ids: Iterable[str | None]) -> dict[str | None, Actor]:
        """Return the cache after it holds all of `user_ids`; a user that cannot be read has an id and no name."""
        wanted = set(user_ids)
        missing = sorted(user_id for user_id in wanted - self._known.keys() if user_id is not None)
        if missing:
            if len(self._known) > _MOST_KNOWN:  # an org may have millions of portal users
                self._known, missing = {None: NOBODY}, sorted(user_id for user_id in wanted if user_id is not None)
            self._fetch(missing)
            for user_id in missing:
                self._known.setdefault(user_id, Actor(user_id, None, None))
        return self._known

    def _fetch(self, user_ids: list[str]) -> None:
        if not self._may_read:
            return
        try:
            for condition in soql.id_lists("Id", user_ids):
                for user in self._query(soql.select(_FIELDS, "User", condition), UserRow):
                    actor = Actor(ids.to_18(user.id), classify(user, self._integration_users), user.name)
                    self._known[user.id] = self._known[actor.id] = actor
        except SalesforceError as error:
            if error.code not in NOT_FOR_THIS_USER:
                raise
            self._may_read = False
            self._log.warning(
                "Users cannot be read (%s): events carry the actor's id but no name and no type. "
                "Grant the login user read access to User, Profile and UserLicense.",
                error.code,
            )
