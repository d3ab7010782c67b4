"""Which deletes a topic brings for sure: members of channels, and filters that hold some back."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from microdecisions.errors import SalesforceError
from microdecisions.session import SalesforceSession
from tap_salesforce_deletes.channels import carried_by, covered, hidden_objects
from tap_salesforce_deletes.topics import DELETE_FILTER, parse_topics


class Tooling:
    """Answers the two questions about channels, or refuses."""

    def __init__(self, *members: tuple[str, str, str | None], channels: dict[str, str] | None = None) -> None:
        self.members = members
        self.channels = channels or {}
        self.refusal: SalesforceError | None = None
        self.asked: list[str] = []

    def get_json(self, target: str, params: dict[str, str], *, kind: Any) -> Any:
        self.asked.append(f"{target}?{params['q']}")
        if self.refusal is not None:
            raise self.refusal
        if "FROM PlatformEventChannelMember" in params["q"]:
            names = ("EventChannel", "SelectedEntity", "FilterExpression")
            rows: list[dict[str, str | None]] = [dict(zip(names, member, strict=True)) for member in self.members]
        else:
            rows = [{"Id": key, "DeveloperName": name} for key, name in self.channels.items()]
        return msgspec.convert({"records": rows}, kind)


def carried(tooling: Tooling, *topics: str) -> Any:
    return carried_by(cast("SalesforceSession", tooling), parse_topics(list(topics)))


def test_a_topic_of_one_object_is_not_asked_about() -> None:
    tooling = Tooling()
    found = carried(tooling, "/data/Invoice__ChangeEvent", "/event/Gone__e")
    assert found["/data/Invoice__ChangeEvent"].objects == {"Invoice__c"}
    assert covered(found.values()) == {"Invoice__c"}, "a trigger covers nothing: cascades do not fire it"
    assert tooling.asked == []


def test_the_members_of_each_channel_are_its_own() -> None:
    tooling = Tooling(
        ("ChangeEvents", "AccountChangeEvent", None),
        ("Deletes__chn", "CaseChangeEvent", DELETE_FILTER),
    )
    found = carried(tooling, "/data/ChangeEvents", "/data/Deletes__chn")
    assert found["/data/ChangeEvents"].objects == {"Account"}
    assert not found["/data/ChangeEvents"].filtered
    assert found["/data/Deletes__chn"].objects == {"Case"}
    assert found["/data/Deletes__chn"].filtered
    assert covered(found.values()) == {"Account", "Case"}


def test_members_may_name_their_channel_by_its_id() -> None:
    tooling = Tooling(("0YL000000000001AAA", "CaseChangeEvent", None), channels={"0YL000000000001AAA": "Deletes"})
    assert carried(tooling, "/data/Deletes__chn")["/data/Deletes__chn"].objects == {"Case"}


@pytest.mark.parametrize(
    ("condition", "covers"),
    [
        (None, True),
        (DELETE_FILTER, True),
        ("ChangeEventHeader.changeType = 'DELETE' OR ChangeEventHeader.changeType = 'UNDELETE'", True),
        ("ChangeEventHeader.changeType = 'DELETE'", False),
        ("ChangeEventHeader.changeType != 'DELETE'", False),
        ("ChangeEventHeader.changeType IN ('CREATE', 'UPDATE')", False),
        (f"{DELETE_FILTER} AND ChangeEventHeader.changeOrigin LIKE 'com%'", False),
        ("ChangeEventHeader.commitUser = '005000000000001AAA'", False),
        ("Region__c = 'DELETE UNDELETE'", False),
    ],
)
def test_a_filter_that_may_hold_deletes_back_does_not_count_as_covering(condition: str | None, covers: bool) -> None:
    found = carried(Tooling(("Deletes__chn", "CaseChangeEvent", condition)), "/data/Deletes__chn")
    assert covered(found.values()) == ({"Case"} if covers else set())


def test_a_user_who_may_not_see_channels_is_told_nothing_of_them() -> None:
    tooling = Tooling(("ChangeEvents", "AccountChangeEvent", None))
    tooling.refusal = SalesforceError("no", status=400, code="INVALID_TYPE")
    found = carried(tooling, "/data/ChangeEvents")
    assert found["/data/ChangeEvents"].objects is None
    assert covered(found.values()) == set()
    assert hidden_objects(found["/data/ChangeEvents"], {"Account"}) == []


def test_objects_of_a_channel_that_the_user_does_not_see_are_hidden() -> None:
    tooling = Tooling(("ChangeEvents", "AccountChangeEvent", None), ("ChangeEvents", "CaseChangeEvent", None))
    found = carried(tooling, "/data/ChangeEvents")
    assert hidden_objects(found["/data/ChangeEvents"], {"Account", "Lead"}) == ["Case"]
