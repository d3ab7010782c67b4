"""People and machines are told apart by documented rules; each user is asked for once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from microdecisions.actors import Actor, Actors, UserRow, classify
from microdecisions.errors import QueryTimeoutError, SalesforceError

A, B, C = "0055g000007UserAAC", "0055g00000ApproAAB", "0055g00000OtherAAB"
LOG = logging.getLogger("test")


def _user(user_id: str = A, **columns: Any) -> UserRow:
    return msgspec.convert({"Id": user_id, **columns}, UserRow)


def _profile(name: str | None = None, license_name: str | None = None) -> dict[str, Any]:
    return {"Name": name, "UserLicense": None if license_name is None else {"Name": license_name}}


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({}, "user"),
        ({"UserType": "Standard", "Profile": _profile("System Administrator", "Salesforce")}, "user"),
        ({"UserType": "Guest", "Profile": None}, "user"),
        ({"UserType": "AutomatedProcess"}, "automation"),
        ({"UserType": "CloudIntegrationUser"}, "integration"),
        ({"Profile": _profile("Analytics Cloud Integration User")}, "integration"),
        ({"Profile": _profile("Minimum Access - API Only Integrations", "Salesforce Integration")}, "integration"),
        ({"Profile": _profile("Custom: Loader", "Salesforce Integration")}, "integration"),
        ({"Profile": _profile("Custom: Loader", None)}, "user"),
    ],
)
def test_the_kind_follows_type_licence_and_profile(columns: dict[str, Any], kind: str) -> None:
    assert classify(_user(**columns), frozenset()) == kind


def test_the_override_goes_before_every_rule() -> None:
    machine = _user(UserType="AutomatedProcess", Username="Loader@Example.invalid")
    assert classify(machine, frozenset({A})) == "integration"
    assert classify(machine, frozenset({"loader@example.invalid"})) == "integration"
    assert classify(machine, frozenset({B})) == "automation"


class Users:
    """Answers statements about users, and keeps them."""

    def __init__(self, *users: UserRow, error: Exception | None = None) -> None:
        self._users = users
        self._error = error
        self.statements: list[str] = []

    def __call__(self, statement: str, row_type: type[UserRow]) -> Iterator[UserRow]:
        assert row_type is UserRow
        self.statements.append(statement)
        if self._error is not None:
            raise self._error
        return iter([user for user in self._users if user.id in statement or user.id[:15] in statement])


def test_users_are_fetched_together_and_once() -> None:
    users = Users(_user(A, Name="Sales User"), _user(B, Name="Approver", UserType="AutomatedProcess"))
    actors = Actors(users, (), LOG)
    known = actors.known([A, B, A, None])
    assert known[A] == Actor(A, "user", "Sales User")
    assert known[B] == Actor(B, "automation", "Approver")
    assert known[None] == Actor(None, "system", None)
    assert actors.known([B, A]) is known
    assert len(users.statements) == 1
    assert users.statements[0].startswith("SELECT Id, Username, Name, UserType, Profile.Name, Profile.UserLicense.Name")


def test_a_user_that_is_gone_keeps_its_id_and_is_not_asked_for_again() -> None:
    users = Users()
    actors = Actors(users, (), LOG)
    assert actors.known([A])[A] == actors.known([A])[A] == Actor(A, None, None)
    assert len(users.statements) == 1


def test_ids_of_15_and_18_characters_are_one_user() -> None:
    known = Actors(Users(_user(A, Name="Sales User")), (), LOG).known([A[:15], A])
    assert known[A] == Actor(A, "user", "Sales User")
    assert known[A[:15]].id in {A, A[:15]}


def test_many_users_are_asked_for_in_statements_that_fit() -> None:
    users = Users()
    ids = [f"0055g00000{number:05}AAA" for number in range(1_000)]
    assert len(Actors(users, (), LOG).known(ids)) == 1_001
    assert len(users.statements) == 5
    assert max(map(len, users.statements)) < 12_000


def test_overrides_may_be_ids_of_15_characters_or_user_names_in_any_case() -> None:
    users = Users(_user(A, Username="a@x.invalid"), _user(B, Username="b@X.invalid"), _user(C, Username="c@x.invalid"))
    known = Actors(users, (A[:15], "B@x.INVALID"), LOG).known([A, B, C])
    assert [known[user].type for user in (A, B, C)] == ["integration", "integration", "user"]


@pytest.mark.parametrize("code", ["INVALID_TYPE", "INVALID_FIELD", "INSUFFICIENT_ACCESS"])
def test_without_permission_events_carry_the_id_and_the_log_says_so_once(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    users = Users(error=SalesforceError("no", status=400, code=code))
    actors = Actors(users, (), LOG)
    with caplog.at_level(logging.WARNING):
        assert actors.known([A])[A] == Actor(A, None, None)
        assert actors.known([B])[B] == Actor(B, None, None)
    assert len(users.statements) == len(caplog.records) == 1
    assert code in caplog.text
    assert A not in caplog.text


def test_another_error_is_not_swallowed() -> None:
    actors = Actors(Users(error=QueryTimeoutError("slow", status=400, code="QUERY_TIMEOUT")), (), LOG)
    with pytest.raises(QueryTimeoutError):
        actors.known([A])
