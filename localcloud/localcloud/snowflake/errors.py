"""Failures of the embedded engine, told to the client as Snowflake tells them: as SQL errors."""

from __future__ import annotations

import duckdb
from snowflake.connector import errors as sf_errors

INTERNAL_ERROR = (603, "XX000")
"""Snowflake's number and SQL state for "the statement failed inside the engine"."""

_BY_KIND: tuple[tuple[type[BaseException], tuple[int, str]], ...] = (
    (duckdb.ConstraintException, (100072, "22000")),
    (duckdb.ConversionException, (100038, "22018")),
    (duckdb.OutOfMemoryException, (300005, "53200")),
    (duckdb.FatalException, (300002, "58030")),
    (duckdb.IOException, (300002, "58030")),
    (duckdb.CatalogException, (2003, "42S02")),
    (duckdb.ParserException, (1003, "42000")),
    (duckdb.BinderException, (904, "42000")),
    (OSError, (300002, "58030")),
)


def sql_error(message: str, number: int = INTERNAL_ERROR[0], state: str = INTERNAL_ERROR[1]) -> Exception:
    """Make an error that the server passes on as the answer "this statement failed".

    Args:
        message: What happened, for the person who reads the client's output.
        number: Snowflake's error number.
        state: The SQL state.
    """
    error: Exception = sf_errors.ProgrammingError(msg=message, errno=number, sqlstate=state)
    return error


def as_sql_error(error: Exception) -> Exception:
    """Turn any failure of a statement into an SQL error.

    Anything else would leave the server as HTTP 500, and the connector repeats a request that met
    a 500 more or less for ever: the client would hang where it should fail.
    """
    if isinstance(error, sf_errors.Error):
        if isinstance(error, sf_errors.ProgrammingError):
            return error  # type: ignore[no-any-return]  # untyped library
        number, state = error.errno, error.sqlstate
        known = isinstance(number, int) and number > 0
        return sql_error(str(error.msg), number if known else INTERNAL_ERROR[0], state or INTERNAL_ERROR[1])
    number, state = next((codes for kind, codes in _BY_KIND if isinstance(error, kind)), INTERNAL_ERROR)
    return sql_error(_sentence(error), number, state)


def _sentence(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    if isinstance(error, duckdb.FatalException):
        return f"The embedded Snowflake can no longer write its data and has to be started again: {text}"
    if isinstance(error, (NotImplementedError, AssertionError)):
        return f"The embedded Snowflake does not know this statement: {text}"
    return text
