"""From the names in a statement to columns: relationships become joins."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.fields import flag, ident, kind, lookup, picklist, text
from localcloud.salesforce.sobject import Field, SObject
from localcloud.salesforce.soql.lexer import pointed

if TYPE_CHECKING:
    from datetime import datetime

    from localcloud.salesforce.errors import SoqlError
    from localcloud.salesforce.sobject import Schema
    from localcloud.salesforce.soql.syntax import Path

NAME_OBJECT = SObject(
    "Name",
    "",
    (
        ident(),
        text("Name"),
        picklist("Type"),
        text("FirstName", 40),
        text("LastName", 80),
        text("Username", 80),
        text("Alias", 8),
        text("Title", 80),
        kind("Email", "email", 128),
        kind("Phone", "phone", 40),
        flag("IsActive"),
        lookup("ProfileId", "Profile"),
    ),
)
"""What a look-up to one of several objects shows of any of them."""
_DEEPEST = 5
_MOST_PARENTS = 55
_MOST_CHILDREN = 20


def quoted(value: str) -> str:
    """A text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


class Context:
    """What the whole of a statement shares while it is compiled.

    Args:
        statement: The text, for messages.
        schema: The objects the user may see.
        version: The API version asked.
        now: The org's clock.
        all_rows: Whether deleted rows are wanted.
        user_id: The user who asks, for `USING SCOPE mine`.
        history_since: Field history that is older is seen only where deleted rows are wanted too.
    """

    def __init__(
        self,
        statement: str,
        schema: Schema,
        version: float,
        now: datetime,
        *,
        all_rows: bool,
        user_id: str | None = None,
        history_since: datetime | None = None,
    ) -> None:
        self.statement = statement
        self.schema = schema
        self.version = version
        self.now = now
        self.all_rows = all_rows
        self.user_id = user_id
        self.history_since = history_since
        self._aliases = count()
        self._parents: set[tuple[str, tuple[str, ...]]] = set()
        self._children: set[int] = set()

    def count_parent(self, sobject: SObject, way: tuple[str, ...], start: int) -> None:
        """Note a child-to-parent relationship; the same one counts once.

        Raises:
            SoqlError: There are more than 55 ("Understanding Relationship Query Limitations").
        """
        self._parents.add((sobject.name, way))
        if len(self._parents) > _MOST_PARENTS:
            raise self.error(start, f"A query can have at most {_MOST_PARENTS} child-to-parent relationships")

    def count_child(self, start: int) -> None:
        """Note a parent-to-child relationship by its place in the statement.

        Raises:
            SoqlError: There are more than 20 (the same page).
        """
        self._children.add(start)
        if len(self._children) > _MOST_CHILDREN:
            raise self.error(start, f"A query can have at most {_MOST_CHILDREN} parent-to-child relationships")

    def alias(self) -> str:
        """A table alias that is not used yet."""
        return f"t{next(self._aliases)}"

    def error(self, position: int, message: str, code: str = "MALFORMED_QUERY") -> SoqlError:
        """An error that points into the statement."""
        return pointed(self.statement, position, message, code)

    def fields(self, sobject: SObject) -> list[Field]:
        """The fields of an object that this API version shows."""
        return [field for field in sobject.fields if field.since <= self.version]

    def field(self, sobject: SObject, name: str) -> Field | None:
        """A field by its name in any case, if this API version shows it."""
        found = sobject.by_name.get(name.lower())
        return found if found is not None and found.since <= self.version else None

    def visible(self, alias: str) -> str:
        """SQL: a row of that alias may be seen now."""
        now_ms = int(self.now.timestamp() * 1000)
        seen = f'({alias}."_visible_at" IS NULL OR {alias}."_visible_at" <= {now_ms})'
        return seen if self.all_rows else f'{alias}."IsDeleted" = 0 AND {seen}'


class Node(msgspec.Struct, frozen=True):
    """A record within reach: the row itself or a parent.

    `identity` is SQL for its id, NULL where there is none. A parent of one of several objects has no alias
    but `targets`.
    """

    sobject: SObject
    identity: str
    alias: str | None
    targets: tuple[SObject, ...] = ()

    def sql(self, field: Field) -> str:
        """SQL for the stored value of a field."""
        if self.alias is not None:
            return f'{self.alias}."{field.name}"'
        if field.name == "Id":
            return self.identity
        cases = []
        for target in self.targets:
            if field.name == "Type":
                value = quoted(target.name)
            else:
                own = target.name_field if field.name == "Name" else target.by_name.get(field.name.lower())
                if own is None:
                    continue
                value = f'(SELECT x."{own.name}" FROM "{target.name}" x WHERE x."Id" = {self.identity})'
            cases.append(f"WHEN '{target.key_prefix}' THEN {value}")
        return f"CASE substr({self.identity},1,3) {' '.join(cases)} END" if cases else "NULL"


class Column(msgspec.Struct, frozen=True):
    """A field of a node: where it lies and what it is; `way` are the relationships up to its node."""

    node: Node
    field: Field
    way: tuple[str, ...]
    start: int

    @property
    def sql(self) -> str:
        """SQL for its stored value."""
        return self.node.sql(self.field)


class Scope:
    """The rows of one FROM and the parents that were asked for.

    Args:
        context: The statement's.
        sobject: The object of the FROM.
        names: What may stand before its fields: its alias and its own name.
        aliases: Relationship paths of the FROM, and the names that they were given.

    Raises:
        SoqlError: INVALID_FIELD, a relationship of the FROM is not there.
    """

    def __init__(
        self,
        context: Context,
        sobject: SObject,
        names: tuple[str | None, ...] = (),
        aliases: tuple[tuple[str | None, Path], ...] = (),
        alias: str | None = None,
    ) -> None:
        self.context = context
        alias = alias or context.alias()
        self.alias = alias
        self.root = Node(sobject, f'{alias}."Id"', alias)
        self._names = {name.lower() for name in names if name}
        self._aliases = {name.lower(): way.parts for name, way in aliases if name}
        self._joins: list[str] = []
        self._nodes: dict[tuple[str, ...], Node] = {(): self.root}
        for _, way in aliases:
            self._walk(self._expanded(way.parts), way.start)

    @property
    def joins(self) -> str:
        """SQL of the joins that the resolved columns need."""
        return "".join(self._joins)

    @property
    def source(self) -> str:
        """SQL of the FROM with its joins."""
        return f'FROM "{self.root.sobject.name}" {self.alias}{self.joins}'

    def column(self, path: Path) -> Column:
        """The column of a path.

        Raises:
            SoqlError: INVALID_FIELD, a field or relationship is not there.
        """
        parts = self._expanded(path.parts)
        way, node = self._walk(parts[:-1], path.start)
        field = self.context.field(node.sobject, parts[-1])
        if field is None:
            raise self.context.error(
                path.start,
                f"No such column '{parts[-1]}' on entity '{node.sobject.name}'. If you are attempting to use a custom "
                "field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the "
                "describe call for the appropriate names.",
                "INVALID_FIELD",
            )
        return Column(node, field, way, path.start)

    def _walk(self, parts: tuple[str, ...], start: int) -> tuple[tuple[str, ...], Node]:
        """The node at the end of relationships, and their names as the schema spells them."""
        node = self.root
        way: tuple[str, ...] = ()
        if len(parts) > _DEEPEST:
            raise self.context.error(start, f"maximum relationship depth is {_DEEPEST}", "INVALID_FIELD")
        for part in parts:
            reference = node.sobject.by_relationship.get(part.lower())
            if reference is None or reference.relationship is None or reference.since > self.context.version:
                raise self.context.error(
                    start,
                    f"Didn't understand relationship '{part}' in field path. If you are attempting to use a custom "
                    "relationship, be sure to append the '__r' after the custom relationship name. Please reference "
                    "your WSDL or the describe call for the appropriate names.",
                    "INVALID_FIELD",
                )
            way = (*way, reference.relationship)
            node = self._parent(node, reference, way, start)
        return way, node

    def reference(self, path: Path) -> tuple[Node, Field, tuple[str, ...]]:
        """The look-up field behind a relationship path, its node, and the way to that.

        Raises:
            SoqlError: INVALID_FIELD, a relationship is not there.
        """
        parts = self._expanded(path.parts)
        way, node = self._walk(parts[:-1], path.start)
        self._walk(parts, path.start)
        return node, node.sobject.by_relationship[parts[-1].lower()], way

    def is_self(self, name: str) -> bool:
        """Whether a name stands for the object of the FROM: its alias, or its own name."""
        return name.lower() in self._names

    def node(self, way: tuple[str, ...]) -> Node:
        """The node at the end of relationships that `column` has walked."""
        return self._nodes[way]

    def targets(self, reference: Field) -> tuple[SObject, ...]:
        """The objects that a look-up can point at, as far as the user may see them."""
        found = (self.context.schema.get(name) for name in reference.reference_to)
        return tuple(target for target in found if target is not None)

    def _expanded(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        left = dict(self._aliases)
        while parts and parts[0].lower() in left:  # each name once, or two could turn in a circle
            if len(parts) == 1 and parts[0].lower() in self.root.sobject.by_name:
                break  # a field of that name comes first
            parts = (*left.pop(parts[0].lower()), *parts[1:])
        first = parts[0].lower()
        if len(parts) > 1 and first in self._names and first not in self.root.sobject.by_relationship:
            return parts[1:]
        return parts

    def _parent(self, node: Node, reference: Field, way: tuple[str, ...], start: int) -> Node:
        if way in self._nodes:
            return self._nodes[way]
        self.context.count_parent(self.root.sobject, way, start)
        targets = self.targets(reference)
        if reference.polymorphic:
            parent = Node(NAME_OBJECT, node.sql(reference), None, targets)
        elif targets:
            alias = self.context.alias()
            self._joins.append(
                f' LEFT JOIN "{targets[0].name}" {alias} ON {alias}."{reference.target}" = {node.sql(reference)}'
            )
            parent = Node(targets[0], f'{alias}."Id"', alias)
        else:  # the user may not see the parent's object
            parent = Node(NAME_OBJECT, "NULL", None)
        self._nodes[way] = parent
        return parent
