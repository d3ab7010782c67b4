"""Builds HTML so that nothing can be forgotten to be escaped: text is text until an element holds it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Html(str):
    """A piece of HTML; any other text is escaped where it is put into an element."""

    __slots__ = ()


Content: TypeAlias = "str | int | Iterable[Content] | None"


def element(tag: str, *content: Content, **attributes: str | int | bool | None) -> Html:
    """An element.

    Args:
        tag: Its name.
        content: Text, which is escaped; elements, which are not; None, which is nothing; or lists of these.
        attributes: By name, with `_` for `-` and one more at the end where Python needs it (`class_`); True
            is an attribute without a value, False and None are none.
    """
    opening = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{tag}{opening}>" if tag in _VOID else f"<{tag}{opening}>{_joined(content)}</{tag}>")


def together(*content: Content) -> Html:
    """Several pieces one after another."""
    return Html(_joined(content))


def _joined(content: Content) -> str:
    if content is None:
        return ""
    if isinstance(content, Html):
        return content
    if isinstance(content, str | int):
        return html.escape(str(content))
    return "".join(_joined(one) for one in content)
