"""What a client delivered against what the org holds: missing, doubled and changed rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Value = str | int | float | bool | Decimal | None


@dataclass
class Verdict:
    """How one run of one client went.

    Attributes:
        expected: Rows that the org holds for it.
        got: Different rows of these that arrived.
        duplicates: Rows that arrived more than once, beyond the first time.
        damaged: Rows with a value that is not the org's; reported, and judged only of clients that promise
            to hand values on as they are.
        ok: Whether all is well.
        why: What is not, as sentences.
    """

    expected: int = 0
    got: int = 0
    duplicates: int = 0
    damaged: int = 0
    ok: bool = False
    why: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, object]:
        """What the RESULT line says of it."""
        said = asdict(self)
        return said if self.why else {name: value for name, value in said.items() if name != "why"}


def judge(
    expected: Mapping[str, Mapping[str, Value]], arrived: Iterable[Mapping[str, Value]], *, faithful: bool
) -> Verdict:
    """Compare by id, then value by value.

    Args:
        expected: Rows by id.
        arrived: Rows as the client gave them, each with an `Id`.
        faithful: Whether a changed value is the stand-in's fault, because the client changes none.
    """
    verdict = Verdict(expected=len(expected))
    seen: Counter[str] = Counter()
    example = ""
    for row in arrived:
        identity = str(row.get("Id"))
        seen[identity] += 1
        wanted = expected.get(identity)
        if seen[identity] > 1 or wanted is None:
            continue
        wrong = [name for name, value in wanted.items() if not same(value, row.get(name))]
        verdict.damaged += bool(wrong)
        if wrong and not example:
            example = f"{identity}.{wrong[0]}: {wanted[wrong[0]]!r} became {row.get(wrong[0])!r}"
    verdict.got = sum(1 for identity in seen if identity in expected)
    verdict.duplicates = sum(count - 1 for count in seen.values())
    strangers = [identity for identity in seen if identity not in expected]
    missing = [identity for identity in expected if identity not in seen]
    if missing:
        verdict.why.append(f"{len(missing)} rows did not arrive, such as {missing[0]}")
    if strangers:
        verdict.why.append(f"{len(strangers)} rows are not the org's, such as {strangers[0]}")
    if verdict.duplicates:
        verdict.why.append(f"{verdict.duplicates} rows arrived again")
    if faithful and example:
        verdict.why.append(f"{verdict.damaged} rows have another value: {example}")
    if not expected:
        verdict.why.append("the org holds no row for this client: nothing is proved")
    verdict.ok = not verdict.why
    return verdict


def same(wanted: Value, got: Value) -> bool:
    """Whether a value came through; text exactly, numbers and instants by what they mean."""
    if wanted in (None, ""):
        return got in (None, "")  # CSV cannot tell them apart
    if isinstance(wanted, bool):
        return got is wanted or got == ("true" if wanted else "false")
    if isinstance(wanted, (int, Decimal)):
        try:
            return not isinstance(got, bool) and Decimal(str(got)) == wanted
        except InvalidOperation:
            return False
    instant = _instant(wanted)
    if instant is not None:
        return isinstance(got, str) and _instant(got) == instant
    return bool(wanted == got)


def _instant(text: object) -> datetime | None:
    if not isinstance(text, str) or len(text) < len("2026-01-01T00:00:00Z") or text[10] != "T":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
