"""The cursor: which statements the embedded Snowflake answers itself, and how all others reach fakesnow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import sqlglot
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp

from localcloud.snowflake import loading, stages
from localcloud.snowflake.errors import as_sql_error
from localcloud.snowflake.locks import TableName

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from localcloud.snowflake.stages import StagePlace

_WRITES = (
    exp.Merge, exp.Copy, exp.Insert, exp.Update, exp.Delete, exp.TruncateTable, exp.Alter, exp.Create, exp.Drop,
)  # fmt: skip
_KEYS = (exp.PrimaryKey, exp.UniqueColumnConstraint, exp.PrimaryKeyColumnConstraint)


class Session(Protocol):
    """What a cursor needs of the session it belongs to."""

    @property
    def place(self) -> StagePlace:
        """What unqualified names are completed with."""

    def statement(self, command: str) -> AbstractContextManager[None]:
        """The time of one statement."""

    def note_transaction(self, expression: Any) -> None:
        """Follow BEGIN, COMMIT and ROLLBACK."""

    def begin_implicitly(self) -> None:
        """Open the transaction that a change opens when autocommit is off."""

    def lock(self, table: TableName) -> None:
        """Wait until the session may write the table."""

    def open_database(self, name: str) -> None:
        """Attach a database, making it as needed."""


class EmbeddedCursor(FakeSnowflakeCursor):  # type: ignore[misc]  # untyped base
    """fakesnow's cursor with the user stage, native MERGE, table locks, and SQL errors for every failure."""

    _conn: Session

    def execute(self, command: str, params: Any = None, *args: Any, **kwargs: Any) -> EmbeddedCursor:
        """Run one statement.

        Raises:
            ProgrammingError: The statement failed, for whatever reason.
        """
        with self._conn.statement(command):
            try:
                super().execute(command, params, *args, **kwargs)
            except Exception as error:
                raise as_sql_error(error) from error
        return self

    def check_db_and_schema(self, expression: Any) -> None:
        """Check that unqualified tables can be completed; staged files are no tables and need nothing."""
        if stages.staged_tables(expression):
            expression = expression.copy()
            for table in stages.staged_tables(expression):
                table.replace(exp.table_("FILES", *reversed(stages.USER_STAGE[:2]), quoted=True))
        super().check_db_and_schema(expression)

    def _transform_explode(self, expression: Any) -> list[Any]:
        """Answer a parsed statement ourselves, or mend it and let fakesnow answer.

        fakesnow calls this once per statement, before it translates anything: the seam of the extension.
        """
        conn = self._conn
        conn.note_transaction(expression)
        if (table := _written_table(expression, conn.place)) is not None:
            conn.lock(table)
        if isinstance(expression, exp.Merge):
            conn.begin_implicitly()
            return [loading.merge(self._duck_conn, expression, conn.place, self._to_duckdb)]
        if isinstance(expression, exp.Copy) and loading.is_copy_of_selection(self._duck_conn, expression, conn.place):
            conn.begin_implicitly()
            return [loading.copy_selected(self._duck_conn, expression, conn.place, self._to_duckdb)]
        if (answer := self._stage_statement(expression)) is not None:
            return [answer]
        if isinstance(expression, exp.Create):
            if str(expression.args.get("kind")).upper() == "DATABASE":
                return [self._create_database(expression)]
            _relax_create(expression)
        if isinstance(expression, (exp.Select, exp.Insert, exp.Create)) and stages.staged_tables(expression):
            stages.bind_staged_files(self._duck_conn, expression, conn.place)
        statements: list[Any] = super()._transform_explode(expression)
        return statements

    def _stage_statement(self, expression: Any) -> Any:
        place = self._conn.place
        if isinstance(expression, exp.Put):
            stages.resolve_put(expression)
        elif isinstance(expression, exp.ListStage):
            reference = stages.unquoted_reference(expression.this.name)
            if reference is not None:
                return _rows(("name", "size", "md5", "last_modified"), stages.list_files(reference, place))
        elif isinstance(expression, exp.Command) and str(expression.this).upper() in {"REMOVE", "RM"}:
            reference = stages.unquoted_reference(expression.expression.name.strip())
            if reference is not None:
                return _rows(("name", "result"), stages.remove_files(reference, place))
        elif isinstance(expression, exp.Drop) and expression.args.get("kind") == "FILE FORMAT":
            if_exists = bool(expression.args.get("exists"))
            name = expression.find(exp.Table)
            status = stages.drop_file_format(self._duck_conn, name, place, if_exists=if_exists)
            return _rows(("status",), [(status,)])
        return None

    def _create_database(self, expression: Any) -> Any:
        name = expression.find(exp.Table).name.upper()
        self._conn.open_database(name)
        return _rows(("status",), [(f"Database {name} successfully created.",)])

    def _to_duckdb(self, expression: Any) -> str:
        sql: str = self._transform(expression, None).sql(dialect="duckdb")
        return sql


def _written_table(expression: Any, place: stages.StagePlace) -> TableName | None:
    if not isinstance(expression, _WRITES):
        return None
    if isinstance(expression, (exp.Create, exp.Drop)) and str(expression.args.get("kind")).upper() != "TABLE":
        return None
    table = expression.this if isinstance(expression.this, exp.Table) else expression.find(exp.Table)
    if table is None or stages.staged_tables(table):
        return None
    names = (table.catalog or place.database, table.db or place.schema, table.name)
    return TableName(*((name or "").upper() for name in names))


def _relax_create(statement: Any) -> None:
    """Make a CREATE accept what Snowflake accepts.

    Snowflake declares keys without enforcing them; the columns of a primary key are NOT NULL all the
    same. DuckDB has no temporary tables inside a schema: there they become ordinary ones.
    """
    kind = str(statement.args.get("kind") or "").upper()
    if kind == "TABLE":
        _keep_only_not_null(statement)
    temporary = statement.find(exp.TemporaryProperty)
    if temporary is not None and kind in {"TABLE", "VIEW"} and statement.find(exp.Table).db:
        temporary.pop()


def _keep_only_not_null(statement: Any) -> None:
    key_columns = {
        column.name.upper() for key in statement.find_all(exp.PrimaryKey) for column in key.find_all(exp.Identifier)
    }
    for key in list(statement.find_all(*_KEYS)):
        if isinstance(key, exp.PrimaryKeyColumnConstraint):
            key_columns.add(key.find_ancestor(exp.ColumnDef).name.upper())
        (key.parent if isinstance(key.parent, (exp.ColumnConstraint, exp.Constraint)) else key).pop()
    for column in statement.find_all(exp.ColumnDef):
        if column.name.upper() in key_columns and column.find(exp.NotNullColumnConstraint) is None:
            column.append("constraints", exp.ColumnConstraint(kind=exp.NotNullColumnConstraint()))


def _rows(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Any:
    """A statement that yields `rows` of text under `names`."""
    literal = exp.Literal.string
    selects = [exp.select(*(literal(v).as_(n, quoted=True) for n, v in zip(names, row, strict=True))) for row in rows]
    if not selects:
        return exp.select(*(literal("").as_(name, quoted=True) for name in names)).where(exp.false())
    return selects[0] if len(selects) == 1 else sqlglot.union(*selects, distinct=False)
