"""Large text in change events: only the difference, in the unified format, where that is shorter.

Source: Change Data Capture guide, "Sending Data Differences for Fields of Updated Records" and "Data
Differences in Event Fields".
"""

from __future__ import annotations

import difflib
import hashlib

SHORTEST = 1_000
"""Characters; below them the whole value is sent."""


def difference(old: str, new: str) -> str | None:
    """The difference that stands for a new value, or None where the value itself is sent.

    None: the value has fewer than 1,000 characters, the lengths differ by more than half, more than a quarter
    of the lines of both changed, or the difference is no shorter than the value.
    """
    if len(new) < SHORTEST or abs(len(old) - len(new)) > max(len(old), len(new)) / 2:
        return None
    before, after = old.split("\n"), new.split("\n")
    lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    changed = sum(not line.startswith("@@") for line in lines)
    if changed > (len(before) + len(after)) / 4:
        return None
    digest = hashlib.sha256(new.encode()).hexdigest()
    text = "\n".join(["--- ", f"+++ {digest}", *map(_with_counts, lines)])
    return text if len(text) < len(new) else None


def _with_counts(line: str) -> str:
    """A hunk's head with counts also where they are one, as Salesforce writes it: `@@ -2,1 +2,1 @@`."""
    if not line.startswith("@@ "):
        return line
    _, minus, plus, _ = line.split(" ")
    return " ".join(["@@", *(part if "," in part else f"{part},1" for part in (minus, plus)), "@@"])
