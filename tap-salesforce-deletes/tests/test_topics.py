"""The setting `topics`: names, mappings, and one sentence for each that cannot be used."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microdecisions.errors import ConfigurationError
from tap_salesforce_deletes.topics import (
    DELETE_FILTER,
    TOPICS_SCHEMA,
    FieldMapping,
    Topic,
    TopicKind,
    bind_fields,
    changed_object,
    parse_topics,
    price_warning,
)

EVENT = "/event/Record_Deleted__e"


def only(entry: object) -> Topic:
    (topic,) = parse_topics([entry])
    return topic


@pytest.mark.parametrize("nothing", [None, (), [], "", "  "])
def test_no_topics_are_no_topics(nothing: object) -> None:
    assert parse_topics(nothing) == ()


@pytest.mark.parametrize(
    ("name", "kind", "sobject", "entity"),
    [
        ("/event/Record_Deleted__e", TopicKind.PLATFORM_EVENT, None, "Record_Deleted__e"),
        ("/event/acme__Gone__e", TopicKind.PLATFORM_EVENT, None, "acme__Gone__e"),
        ("/event/Gone__chn", TopicKind.PLATFORM_EVENT, None, "Gone__chn"),
        ("/data/AccountChangeEvent", TopicKind.CHANGE_EVENTS, "Account", "AccountChangeEvent"),
        ("/data/Invoice__ChangeEvent", TopicKind.CHANGE_EVENTS, "Invoice__c", "Invoice__ChangeEvent"),
        ("/data/acme__Invoice__ChangeEvent", TopicKind.CHANGE_EVENTS, "acme__Invoice__c", "acme__Invoice__ChangeEvent"),
        ("/data/ChangeEvents", TopicKind.CHANNEL, None, "ChangeEvents"),
        ("/data/Deletes__chn", TopicKind.CHANNEL, None, "Deletes__chn"),
    ],
)
def test_a_name_says_what_its_topic_carries(name: str, kind: TopicKind, sobject: str | None, entity: str) -> None:
    topic = only(name)
    assert (topic.name, topic.kind, topic.sobject, topic.entity) == (name, kind, sobject, entity)


def test_an_entry_may_map_fields_and_name_its_object() -> None:
    topic = only({"topic": EVENT, "object": "Case", "fields": {"record_id": "Which__c"}})
    assert topic == Topic(EVENT, TopicKind.PLATFORM_EVENT, FieldMapping(record_id="Which__c"), "Case")


@pytest.mark.parametrize(
    "text",
    [
        '["/data/ChangeEvents", "/event/Gone__e"]',
        "/data/ChangeEvents,/event/Gone__e",
        " /data/ChangeEvents , /event/Gone__e,",
    ],
)
def test_the_environment_gives_a_list_as_text(text: str) -> None:
    assert [topic.name for topic in parse_topics(text)] == ["/data/ChangeEvents", "/event/Gone__e"]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["Record_Deleted__e"], "did you mean /event/Record_Deleted__e?"),
        (["event/Record_Deleted__E"], "did you mean /event/Record_Deleted__e?"),
        (["AccountChangeEvent"], "did you mean /data/AccountChangeEvent?"),
        (["/data/accountchangeevent"], "did you mean /data/accountChangeEvent?"),
        (["/data/Account"], "did you mean /data/AccountChangeEvent?"),
        (["/data/Invoice__c"], "did you mean /data/Invoice__ChangeEvent?"),
        (["Deletes__chn"], "did you mean /data/Deletes__chn?"),
        (["/data/changeevents"], "case-sensitive: write /data/ChangeEvents"),
        (["/data/ChangeEvent"], "did you mean"),
        (["/topic/Old"], "write /event/<Event>__e"),
        (["/data/"], "write /event/<Event>__e"),
        ([""], "write /event/<Event>__e"),
        (["/data/Account ChangeEvent"], "write /event/<Event>__e"),
        (["/data/ChangeEvents\n"], "not a topic|case-sensitive"),
        ([{"fields": {}}], "Entry 1 .* `topic`"),
        ([{"topic": 5}], "Entry 1 "),
        ([{"topic": EVENT, "field": {}}], "Entry 1 .*`field`"),
        ([{"topic": EVENT, "fields": {"record": "X__c"}}], "Entry 1 .*`record`"),
        ([{"topic": EVENT, "fields": ["X__c"]}], "Entry 1 "),
        (["/data/ChangeEvents", 7], "Entry 2 "),
        ([None], "Entry 1 "),
        ([{"topic": EVENT, "fields": {"record_id": "Record Id"}}], "`fields.record_id` that is not an API name"),
        ([{"topic": EVENT, "object": "1Case"}], "`object` that is not an API name"),
        ([{"topic": "/data/ChangeEvents", "fields": {}}], "change events need neither"),
        ([{"topic": "/data/AccountChangeEvent", "object": "Account"}], "change events need neither"),
        ([EVENT, EVENT], "twice"),
        ([EVENT, {"topic": EVENT}], "twice"),
        ({"topic": EVENT}, "not a list"),
        (5, "not a list"),
        ('["/data/ChangeEvents"', "not valid JSON"),
        ('{"topic": "/data/ChangeEvents"}', "not a list"),
        ([f"/event/E{number}__e" for number in range(51)], "51 entries"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(entries: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        parse_topics(entries)
    sentence = str(refused.value)
    assert "`topics`" in sentence
    assert "\n" not in sentence


@given(
    st.lists(st.text(max_size=30) | st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.none()), max_size=3)
)
def test_any_entries_are_read_or_refused(entries: list[Any]) -> None:
    try:
        number = len(parse_topics(entries))
    except ConfigurationError:
        return
    assert number == len(entries)


@pytest.mark.parametrize(
    "entries", [["/data/ChangeEvents"], [{"topic": EVENT, "fields": {"owner_id": "Own__c"}}], [], None]
)
def test_the_declared_schema_takes_what_is_taken(entries: Any) -> None:
    jsonschema.Draft7Validator(TOPICS_SCHEMA).validate(entries)
    parse_topics(entries)


# -- fields

USUAL = (
    "CreatedDate",
    "CreatedById",
    "Object_Name__c",
    "Record_Id__c",
    "Deleted_By__c",
    "Deleted_Date__c",
    "Owner_Id__c",
)


@pytest.mark.parametrize(
    "fields",
    [
        USUAL,
        tuple(name.replace("_", "").removesuffix("c") + "__c" if name.endswith("__c") else name for name in USUAL),
        tuple(f"acme__{name}" if name.endswith("__c") else name for name in USUAL),
        tuple(reversed(USUAL)),
    ],
    ids=["underscores", "without", "namespace", "any order"],
)
def test_the_usual_names_are_found(fields: tuple[str, ...]) -> None:
    bound = bind_fields(only(EVENT), fields)
    found = (bound.object_name, bound.record_id, bound.deleted_by, bound.deleted_date, bound.owner_id)
    assert set(found) == {name for name in fields if name.endswith("__c")}
    plain = [str(name).lower().replace("_", "").removeprefix("acme").removesuffix("c") for name in found]
    assert plain == ["objectname", "recordid", "deletedby", "deleteddate", "ownerid"]


def test_a_mapping_goes_before_the_usual_names() -> None:
    topic = only({"topic": EVENT, "fields": {"record_id": "Other__c"}})
    assert bind_fields(topic, [*USUAL, "Other__c"]).record_id == "Other__c"


def test_fields_that_are_not_there_are_none_but_the_record_must_be() -> None:
    bound = bind_fields(only(EVENT), ["RecordId__c"])
    assert (bound.object_name, bound.deleted_by, bound.deleted_date, bound.owner_id) == (None, None, None, None)
    with pytest.raises(ConfigurationError, match=r"set `fields.record_id`.*they have CreatedDate, Name__c\."):
        bind_fields(only(EVENT), ["Name__c", "CreatedDate"])


@pytest.mark.parametrize("role", ["object_name", "record_id", "deleted_by", "deleted_date", "owner_id"])
def test_a_mapped_field_that_does_not_exist_is_told_with_all_that_do(role: str) -> None:
    topic = only({"topic": EVENT, "fields": {role: "Gone__c"}})
    with pytest.raises(ConfigurationError, match=rf"maps `{role}` of {EVENT} to Gone__c.*CreatedById, CreatedDate"):
        bind_fields(topic, USUAL)


def test_the_fields_of_a_wide_event_are_cut_in_the_sentence() -> None:
    with pytest.raises(ConfigurationError, match="and 60 more") as refused:
        bind_fields(only(EVENT), [f"Field{number}__c" for number in range(100)])
    assert len(str(refused.value)) < 1_000


# -- prices


@pytest.mark.parametrize("name", [EVENT, "/data/AccountChangeEvent"])
def test_a_topic_of_one_entity_has_no_warning(name: str) -> None:
    assert price_warning(only(name)) is None


def test_a_filtered_channel_has_no_warning() -> None:
    assert price_warning(only("/data/Deletes__chn"), ["Account"], filtered=True) is None


def test_an_unfiltered_channel_is_told_its_price_and_the_filter_to_make() -> None:
    said = price_warning(only("/data/ChangeEvents"), ["Case", "Account"])
    assert said is not None
    assert "each of Account, Case" in said
    assert "25,000" in said
    assert DELETE_FILTER in said
    assert "every selected object" in str(price_warning(only("/data/ChangeEvents")))


@pytest.mark.parametrize(
    ("event", "sobject"),
    [("AccountChangeEvent", "Account"), ("Invoice__ChangeEvent", "Invoice__c"), ("a__b__ChangeEvent", "a__b__c")],
)
def test_the_object_of_a_change_event(event: str, sobject: str) -> None:
    assert changed_object(event) == sobject
