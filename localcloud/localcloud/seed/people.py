"""The users of a seeded org: who decides, of which kind, with which profile and licence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

NewId = Callable[[str, int], str]
"""Gives the n-th 18-character id of an object."""

Row = Mapping[str, object]
"""A Salesforce row by API field name, as ``Org.load`` takes it."""

Kind = Literal["standard", "integration", "automation", "inactive"]

FIRST_USER = 101
"""User ids below this number belong to the org itself (the user that the tap logs in as)."""

_LICENCES = ("Salesforce", "Salesforce Integration")
_PROFILES: dict[Kind, tuple[str, str]] = {
    "standard": ("Standard User", "Salesforce"),
    "inactive": ("Standard User", "Salesforce"),
    "integration": ("Minimum Access - API Only Integrations", "Salesforce Integration"),
}


class Person(msgspec.Struct, frozen=True):
    """A user: the 18-character id, the name, and the kind."""

    id: str
    name: str
    kind: Kind


class Ids:
    """Gives out record ids, per object, in order from 1."""

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._given: dict[str, int] = {}

    def next(self, sobject: str) -> str:
        """Return the next 18-character id of an object."""
        n = self._given.get(sobject, 0) + 1
        self._given[sobject] = n
        return self._new_id(sobject, n)


class People:
    """All users of an org, in order of first appearance."""

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._people: dict[str, Person] = {}
        self.integration = self.named("Data Integration", "integration")
        self.automation = self.named("Automated Process", "automation")

    def named(self, name: str, kind: Kind = "standard") -> Person:
        """Return the person of this name; a new one gets the next id and this kind."""
        person = self._people.get(name)
        if person is None:
            number = FIRST_USER + len(self._people)
            person = self._people[name] = Person(self._new_id("User", number), name, kind)
        return person

    def rows(self, created: str, login_id: str, login_name: str) -> dict[str, list[Row]]:
        """Return the rows of UserLicense, Profile and User.

        Args:
            created: when all of them were created, as the org stores times.
            login_id: the id of the user that clients log in as.
            login_name: that user's name at the log-in.
        """
        licences = {name: self._new_id("UserLicense", 100 + n) for n, name in enumerate(_LICENCES)}
        profiles: dict[str, str] = {}
        rows: dict[str, list[Row]] = {"UserLicense": [], "Profile": [], "User": []}
        for name, key in licences.items():
            rows["UserLicense"].append({"Id": key, "Name": name, "MasterLabel": name, **_stamps(created, None)})
        for name, licence in dict.fromkeys(_PROFILES.values()):
            profiles[name] = self._new_id("Profile", 100 + len(profiles))
            rows["Profile"].append(
                {
                    "Id": profiles[name],
                    "Name": name,
                    "UserLicenseId": licences[licence],
                    "UserType": "Standard",
                    **_stamps(created, self.integration.id),
                }
            )
        login = Person(login_id, "Mock Login", "integration")
        rows["User"].append(self._user(login, 0, login_name, profiles, created))
        for number, person in enumerate(self._people.values(), FIRST_USER):
            name = f"user{number}@mock.localcloud.invalid"
            rows["User"].append(self._user(person, number, name, profiles, created))
        return rows

    def _user(self, person: Person, number: int, username: str, profiles: dict[str, str], created: str) -> Row:
        profile = _PROFILES.get(person.kind)
        return {
            "Id": person.id,
            "Username": username,
            "Email": username,
            "Alias": f"u{number}"[:8],
            "LastName": person.name,
            "Name": person.name,
            "IsActive": person.kind != "inactive",
            "UserType": "AutomatedProcess" if person.kind == "automation" else "Standard",
            "ProfileId": profiles[profile[0]] if profile else None,
            **_stamps(created, self.integration.id),
        }


def _stamps(created: str, by: str | None) -> dict[str, object]:
    stamps: dict[str, object] = {"CreatedDate": created, "LastModifiedDate": created, "SystemModstamp": created}
    if by is not None:
        stamps |= {"CreatedById": by, "LastModifiedById": by}
    return stamps
