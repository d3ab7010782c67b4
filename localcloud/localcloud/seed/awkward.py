"""Values that break careless pipelines; a generated org holds each of them on purpose."""

from __future__ import annotations

TEXTS: tuple[str | None, ...] = (
    "007",
    "00123.40",
    "1e5",
    "NaN",
    "NA",
    "N/A",
    "null",
    "None",
    "true",
    "-0",
    "Infinity",
    "02134",
    "\U0001f600 signed \U0001f91d\U0001f3fd",
    "first line\r\nsecond line",
    'she said "yes"',
    "back\\slash \\n and C:\\temp",
    "commas, semicolons; and\ttabs",
    "line\u2028separator\u2029end",
    "0123456789" * 25 + "abcde",  # 255 characters
    "  leading and trailing  ",
    "Zażółć gęślą jaźń, Ærøskøbing",
    "'; DROP TABLE x; --",
    "2024-02-30",
    None,
)
"""Texts; None empties the field. The longest has 255 characters, the most a text field holds."""

AMOUNTS: tuple[str | None, ...] = (
    "1234567890.12",
    "5",
    "10000000",
    "0",
    "0.01",
    "-250.5",
    "1234567890123456.78",
    "99999999.9",
    None,
)
"""Amounts of a currency field with two digits of fraction; None empties the field."""

QUANTITIES: tuple[str | None, ...] = ("5", "0.0001", "12345678901234.5678", "30000000", "-1.25", None)
"""Numbers of a double field with four digits of fraction."""
