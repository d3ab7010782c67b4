"""The pages of an object's records, of one record with its history, and of the recycle bin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.page.html import Content, Html, element
from localcloud.page.layout import ROOT, Frame, button, document, hidden, moment, record_link, section, table
from localcloud.page.reading import SHOWN
from localcloud.salesforce.actions.validation import writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localcloud.page.reading import Entry, Line, Record
    from localcloud.salesforce.sobject import Field, SObject


def object_page(
    frame: Frame, sobject: SObject, live: Sequence[Line], deleted: Sequence[Line], notice: Content
) -> bytes:
    """The records of an object."""
    return document(
        frame,
        sobject.name,
        "",
        notice,
        section("live", "Records", _records(frame, sobject, live), live=True),
        section("deleted", "Deleted", _records(frame, sobject, deleted), live=True) if deleted else None,
    )


def bin_page(frame: Frame, lines: Sequence[Line], notice: Content) -> bytes:
    """The recycle bin."""
    rows = [
        (
            record_link(line.sobject, line.id, line.name),
            line.sobject,
            moment(line.at),
            button(frame, "Undelete", about=line.name, action="undelete", object=line.sobject, id=line.id, then="bin"),
        )
        for line in lines
    ]
    nothing = element("p", "The recycle bin is empty.", class_="quiet")
    shown = table(("Record", "Object", "Deleted", "What to do"), rows, caption=_caption(len(rows))) if rows else nothing
    return document(frame, "Recycle bin", f"{ROOT}/bin", notice, section("bin", "Deleted records", shown, live=True))


def record_page(frame: Frame, sobject: SObject, record: Record, notice: Content) -> bytes:
    """A record, its fields to edit, its history."""
    state = element("span", "deleted", class_="tag bad") if record.deleted else None
    head = element(
        "div",
        element("a", sobject.name, href=f"{ROOT}/object/{sobject.name}"),
        element("code", record.id),
        state,
        _act(frame, sobject, record.id, record.name, then="record", deleted=record.deleted),
        class_="row",
    )
    editable = sobject.can_update and not record.deleted
    rows = [
        (
            field.name,
            _shown(field, record.values[field.name]),
            _edit(frame, sobject, record, field) if editable and writable(sobject, field) else "",
        )
        for field in sobject.stored_fields
    ]
    return document(
        frame,
        record.name,
        "",
        notice,
        head,
        element(
            "div",
            element("div", section("fields", "Fields", table(("Field", "Value", "Edit"), rows))),
            element("div", section("history", "History", _history(record.history), live=True)),
            class_="columns",
        ),
    )


def message(text: str, *, bad: bool = False) -> Html:
    """What came of a click."""
    return element("p", text, class_="notice bad" if bad else "notice", role="alert" if bad else "status")


def _records(frame: Frame, sobject: SObject, lines: Sequence[Line]) -> Html:
    if not lines:
        return element("p", "There is none.", class_="quiet")
    rows = [
        (
            record_link(line.sobject, line.id, line.name),
            element("code", line.id),
            moment(line.at),
            _act(frame, sobject, line.id, line.name, then="object", deleted=line.deleted) or "",
        )
        for line in lines
    ]
    return table(("Name", "Id", "Changed", "What to do"), rows, caption=_caption(len(rows)))


def _act(frame: Frame, sobject: SObject, key: str, name: str, *, then: str, deleted: bool) -> Html | None:
    if deleted and sobject.can_undelete:
        return button(frame, "Undelete", about=name, action="undelete", object=sobject.name, id=key, then=then)
    if not deleted and sobject.can_delete:
        return button(frame, "Delete", about=name, danger=True, action="delete", object=sobject.name, id=key, then=then)
    return None


def _caption(count: int) -> str | None:
    return f"The last {SHOWN}" if count == SHOWN else None


def _shown(field: Field, value: str | int | None) -> Content:
    if value is None:
        return element("span", "empty", class_="quiet")
    if field.type == "boolean":
        return "true" if value else "false"
    if field.type == "reference" and len(field.reference_to) == 1:
        return record_link(field.reference_to[0], str(value), str(value))
    if field.type == "datetime":
        return moment(str(value))
    return str(value)


def _edit(frame: Frame, sobject: SObject, record: Record, field: Field) -> Html:
    fields = {"action": "update", "object": sobject.name, "id": record.id, "field": field.name, "then": "record"}
    name = f"new-{field.name}"
    form = element(
        "form",
        hidden(frame, fields),
        element(
            "div", element("label", f"New {field.name}", for_=name), _input(field, record.values[field.name], name)
        ),
        element("button", "Save", type="submit", aria_label=f"Save {field.name}"),
        method="post",
        action=f"{ROOT}/act",
    )
    return element("details", element("summary", "Edit", aria_label=f"Edit {field.name}"), form, class_="edit")


def _input(field: Field, value: str | int | None, name: str) -> Html:
    text = "" if value is None else str(value)
    if field.type == "boolean":
        text = "true" if value else "false"
        return _select(("true", "false"), text, name)
    if field.type == "picklist" and field.values:
        offered = field.values if text in field.values or not text else (text, *field.values)
        return _select((*offered, "") if field.nillable else offered, text, name)
    if field.type == "textarea":
        return element("textarea", text, id=name, name="value")
    return element("input", id=name, name="value", value=text, type="date" if field.type == "date" else "text")


def _select(values: Sequence[str], chosen: str, name: str) -> Html:
    options = [element("option", one or "(empty)", value=one, selected=one == chosen) for one in values]
    return element("select", options, id=name, name="value")


def _history(entries: Sequence[Entry]) -> Html:
    if not entries:
        return element("p", "Nothing was recorded.", class_="quiet")
    return table(
        ("At", "Who", "Field", "From", "To"),
        [
            (moment(one.at), one.who, one.field, one.old or "", one.new or "")
            for one in sorted(entries, key=lambda entry: entry.at, reverse=True)
        ],
    )
