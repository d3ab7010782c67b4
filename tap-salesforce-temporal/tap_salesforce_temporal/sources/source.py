"""One stream as data: what it reads, by which column, and what may be asked of Salesforce about it."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import msgspec

from microdecisions import soql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microdecisions.describe import ObjectDescription
    from tap_salesforce_temporal.windows import Window

__all__ = ["Kind", "Source", "source_of", "stream_name", "stream_names"]

Kind = Literal[
    "field_history",
    "opportunity_history",
    "activity_history",
    "field_history_archive",
    "approval_step",
    "process_instance",
    "workitem",
    "approval_submission",
    "approval_work_item",
    "task",
    "event",
    "setup_audit_trail",
    "login_history",
    "event_log_file",
]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One stream and where it reads.

    Attributes:
        stream: Name of the stream: the sObject's in snake case.
        sobject: API name of the sObject that is queried.
        kind: Which normaliser makes events of its rows.
        cursor: Date-time field that windows are cut by; also the time Salesforce recorded the row.
        fields: Fields and paths of the SELECT list.
        parent: sObject whose records the rows are about, where it is one and the same.
        parent_field: Field of the row that holds the parent's id.
        parents: sObjects that the rows are about, where they are several.
        mutable: Whether rows change or vanish, so that a later read may count fewer.
        whole_window: Whether rows of a window are normalised together.
        hidden: Columns that the user may not see and without which changes would be missed: it cannot be read.
        conditions: What else rows must fulfil, SOQL.
        one_by_one: Conditions that Salesforce takes one at a time only: a window is read once with each, before the
            condition on the cursor.
        selected: Whether the catalog selects it when the user says nothing.
        rest_only: Whether Bulk is not to be asked for it.
        countable: Whether Salesforce counts its rows and finds the oldest one; big objects do neither.
        by_window: Whether its rows can be filtered by the cursor.
        keeps_days: How long Salesforce keeps rows, at least; a bookmark older than that is a gap.
        may_keep_more: Whether some orgs keep rows for longer, as the oldest row then shows.
        settles_days: How long after the time in its cursor a row may appear; so much is read again in each run.
        assumed: Whether its columns are those that such objects have, not those that describe told of this one.
    """

    stream: str
    sobject: str
    kind: Kind
    cursor: str
    fields: tuple[str, ...]
    parent: str | None = None
    parent_field: str | None = None
    parents: tuple[str, ...] = ()
    mutable: bool = False
    whole_window: bool = False
    hidden: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    one_by_one: tuple[str, ...] = ()
    selected: bool = True
    rest_only: bool = False
    countable: bool = True
    by_window: bool = True
    keeps_days: int | None = None
    may_keep_more: bool = False
    settles_days: int = 0
    assumed: bool = False

    def where(self, window: Window) -> tuple[str, ...]:
        """SOQL conditions for all rows of a window."""
        return (*window.conditions(self.cursor), *self.conditions)

    def statement(self, window: Window) -> str:
        """SOQL for all rows of a window, where one statement can ask for them."""
        return soql.select(self.fields, self.sobject, *self.where(window))

    def statements(self, window: Window) -> tuple[str, ...]:
        """SOQL that together asks for all rows of a window."""
        if not self.by_window:
            return (soql.select(self.fields, self.sobject),)
        if not self.one_by_one:
            return (self.statement(window),)
        where = self.where(window)
        return tuple(soql.select(self.fields, self.sobject, first, *where) for first in self.one_by_one)


class Traits(TypedDict, total=False):
    """Attributes of a `Source` that its columns do not tell."""

    mutable: bool
    selected: bool
    rest_only: bool
    keeps_days: int
    may_keep_more: bool


def stream_name(sobject: str) -> str:
    """Write an API name in snake case: `OpportunityFieldHistory` is `opportunity_field_history`.

    Underscores of the name stay: `Invoice__History` is `invoice__history`.
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", sobject)
    return parted.lower()


def stream_names(sobjects: Iterable[str]) -> dict[str, str]:
    """Name a stream for each object; objects whose names would be the same keep their API names in lower case.

    Such a name may be that of a third object, which then keeps its own as well.
    """
    names = {sobject: stream_name(sobject) for sobject in sobjects}
    while True:
        taken = Counter(names.values())
        alike = {sobject for sobject, name in names.items() if taken[name] > 1 and name != sobject.lower()}
        if not alike:
            return names
        names.update({sobject: sobject.lower() for sobject in alike})


def source_of(
    description: ObjectDescription,
    kind: Kind,
    cursor: str,
    required: Sequence[str],
    *,
    optional: Sequence[str] = (),
    paths: Sequence[str] = (),
    **traits: Unpack[Traits],
) -> Source:
    """Make a source that asks for what the user sees of an object.

    Args:
        description: The object.
        kind: Which normaliser makes events of its rows.
        cursor: Field that windows are cut by.
        required: Fields without which it cannot be read; those that the user does not see are `hidden`.
        optional: Fields that are asked for where they are.
        paths: Fields of parents, asked for where the relationship is.
        traits: What else the `Source` is to be.
    """
    present = {field.name for field in description.fields}
    relations = {field.relationship_name for field in description.fields}
    return Source(
        stream=stream_name(description.name),
        sobject=soql.identifier(description.name),
        kind=kind,
        cursor=cursor,
        fields=(
            *required,
            *(name for name in optional if name in present),
            *(path for path in paths if path.split(".")[0] in relations),
        ),
        hidden=tuple(name for name in required if name not in present),
        **traits,
    )
