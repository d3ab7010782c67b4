"""Canonical values of the truth log as the org holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.derived import number

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["api_instant", "number", "typed"]


def typed(text: str | None, kind: str) -> str | bool | Decimal | None:
    """Return a canonical value as the org holds it: numbers as Decimal, booleans as bool, else text."""
    if text is None:
        return None
    if kind in ("currency", "percent", "double"):
        return number(text)
    if kind == "boolean":
        return text == "true"
    if kind == "datetime":
        return api_instant(text[:19] + "Z")
    return text


def api_instant(at: str) -> str:
    """Return an instant of the truth log in the org's form: ``2024-01-15T10:30:00.000+0000``."""
    return f"{at[:-1]}.000+0000"
