"""Sources are made from describe, whatever the objects are called."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from microdecisions.describe import FieldDescription, ObjectDescription, ObjectSummary
from tap_salesforce_temporal.sources import (
    approval_step_source,
    field_history_source,
    opportunity_history_source,
    stream_name,
    stream_names,
)


@pytest.mark.parametrize(
    ("sobject", "stream"),
    [
        ("OpportunityHistory", "opportunity_history"),
        ("OpportunityFieldHistory", "opportunity_field_history"),
        ("AccountHistory", "account_history"),
        ("CaseHistory", "case_history"),
        ("Invoice__History", "invoice__history"),
        ("InvoiceLine__History", "invoice_line__history"),
        ("ns__Invoice__History", "ns__invoice__history"),
        ("ProcessInstanceStep", "process_instance_step"),
        ("Task", "task"),
        ("SetupAuditTrail", "setup_audit_trail"),
        ("LoginHistory", "login_history"),
        ("CRMRequestHistory", "crm_request_history"),
        ("Order2History", "order2_history"),
    ],
)
def test_stream_names_are_the_object_in_snake_case(sobject: str, stream: str) -> None:
    assert stream_name(sobject) == stream


def test_objects_whose_names_would_be_the_same_keep_their_own() -> None:
    names = stream_names(["TaskHistory", "Task_History", "AccountHistory"])
    assert names["AccountHistory"] == "account_history"
    assert len(set(names.values())) == 3


def test_a_name_that_two_objects_fall_back_to_is_not_a_third_ones() -> None:
    names = stream_names(["FooBar_baz__History", "Foo_BarBaz__History", "FoobarBaz__History", "CaseHistory"])
    assert names == {
        "FooBar_baz__History": "foobar_baz__history",
        "Foo_BarBaz__History": "foo_barbaz__history",
        "FoobarBaz__History": "foobarbaz__history",
        "CaseHistory": "case_history",
    }


HISTORY = ("Id", "Field", "OldValue", "NewValue", "DataType")


def _described(
    name: str, parent_field: str | None, parent: str | tuple[str, ...], *, without: str = "", filterable: bool = True
) -> tuple[ObjectSummary, ObjectDescription]:
    fields = [FieldDescription(name=field, type="string") for field in HISTORY if field != without]
    if without != "CreatedById":
        fields.append(FieldDescription(name="CreatedById", type="reference", reference_to=("User",)))
    if without != "CreatedDate":
        fields.append(FieldDescription(name="CreatedDate", type="datetime", filterable=filterable))
    parents = (parent,) if isinstance(parent, str) else parent
    if parent_field is not None:
        fields.append(FieldDescription(name=parent_field, type="reference", reference_to=parents))
    common: dict[str, Any] = {"name": name, "associate_entity_type": "History", "associate_parent_entity": parents[0]}
    return ObjectSummary(**common), ObjectDescription(**common, fields=tuple(fields))


@pytest.mark.parametrize(
    ("name", "parent_field", "parent"),
    [
        ("AccountHistory", "AccountId", "Account"),
        ("OpportunityFieldHistory", "OpportunityId", "Opportunity"),
        ("Invoice__History", "ParentId", "Invoice__c"),
        ("UserHistory", "OwnUserId", "User"),
        ("Something2030", "SomethingId", "SomethingNew"),
    ],
)
def test_a_field_history_object_is_known_by_its_columns(name: str, parent_field: str, parent: str) -> None:
    source = field_history_source(*_described(name, parent_field, parent))
    assert source is not None
    assert (source.stream, source.sobject, source.kind) == (stream_name(name), name, "field_history")
    assert (source.parent, source.parent_field, source.cursor) == (parent, parent_field, "CreatedDate")
    assert set(source.fields) == {*HISTORY, "CreatedById", "CreatedDate", parent_field}
    assert len(source.fields) == len(set(source.fields))
    assert not source.mutable
    assert not source.whole_window


@pytest.mark.parametrize("column", ["Id", "Field", "OldValue", "NewValue", "CreatedById", "CreatedDate"])
def test_an_object_without_a_history_column_is_none(column: str) -> None:
    assert field_history_source(*_described("AccountHistory", "AccountId", "Account", without=column)) is None


def test_data_type_is_read_where_it_is() -> None:
    source = field_history_source(*_described("AccountHistory", "AccountId", "Account", without="DataType"))
    assert source is not None
    assert "DataType" not in source.fields


def test_an_object_that_cannot_be_cut_by_its_cursor_is_none() -> None:
    assert field_history_source(*_described("ActivityFieldHistory", "ActivityId", "Task", filterable=False)) is None


def test_an_object_without_one_clear_parent_is_none() -> None:
    assert field_history_source(*_described("AccountHistory", None, "Account")) is None
    assert field_history_source(*_described("AccountHistory", "ParentId", ("Account", "Contact"))) is None
    summary, description = _described("AccountHistory", "AccountId", "Account")
    second = FieldDescription(name="OtherAccountId", type="reference", reference_to=("Account",))
    assert field_history_source(summary, structs.replace(description, fields=(*description.fields, second))) is None


def test_a_name_that_is_no_api_name_never_enters_a_statement() -> None:
    with pytest.raises(ValueError, match="API name"):
        field_history_source(*_described("AccountHistory WHERE Id != null", "AccountId", "Account"))


def _description(name: str, *fields: str, relations: tuple[str, ...] = ()) -> ObjectDescription:
    return ObjectDescription(
        name=name,
        fields=(
            *(FieldDescription(name=field, type="string") for field in fields),
            *(FieldDescription(name=f"{name}Id", type="reference", relationship_name=name) for name in relations),
        ),
    )


def test_opportunity_history_takes_the_columns_that_are_there() -> None:
    always = ("Id", "OpportunityId", "StageName", "CreatedById", "CreatedDate")
    source = opportunity_history_source(_description("OpportunityHistory", *always, "PrevAmount", "SystemModstamp"))
    assert source.fields == (*always, "PrevAmount")
    assert source.whole_window
    assert (source.stream, source.cursor) == ("opportunity_history", "CreatedDate")


def test_approval_steps_take_the_relationships_that_are_there() -> None:
    source = approval_step_source(
        _description("ProcessInstanceStep", "Id", "Comments", relations=("ProcessInstance", "StepNode"))
    )
    assert "ProcessInstance.ProcessDefinition.Name" in source.fields
    assert "StepNode.Name" in source.fields
    assert "Comments" in source.fields
    assert "ElapsedTimeInMinutes" not in source.fields
    assert source.mutable
    bare = approval_step_source(_description("ProcessInstanceStep", "Id"))
    assert not [path for path in bare.fields if "." in path]


@pytest.mark.parametrize(("filterable", "cursor"), [(True, "SystemModstamp"), (False, "CreatedDate")])
def test_approval_steps_are_cut_by_the_time_of_their_last_change_where_it_can_be_filtered(
    filterable: bool, cursor: str
) -> None:
    modstamp = FieldDescription(name="SystemModstamp", type="datetime", filterable=filterable)
    description = ObjectDescription(name="ProcessInstanceStep", fields=(modstamp,))
    assert approval_step_source(description).cursor == cursor
