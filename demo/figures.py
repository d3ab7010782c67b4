"""Compares the figures on every asset in the catalog with a count of its own over the truth log.

It knows the rules of docs/atlan.md and of the truth log, and imports neither the plugins nor localcloud: a mistake of
theirs cannot hide in here. What the catalog says is asked over HTTP, as any user of its API would.

    python demo/figures.py ORG --atlan http://127.0.0.1:8183
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import catalog
import deletions
from expected import NOT_SELECTED, Event, Expected, clock_of, expected_events, read_truth, tracked_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deletions import Deletion

SET = "Salesforce Activity"
SCHEMA = "SALESFORCE"  # of the tables, in the catalog
LEDGER = "Ledger"
VELOCITIES = ("Changes in 7 days", "Changes in 30 days")
CLOSED = {("Opportunity", "StageName"): {"Closed Won", "Closed Lost"}, ("Case", "Status"): {"Closed"}}
REJECTIONS = {"Rejected", "Removed", "Recalled"}
FRESHNESS = ((7, 100), (30, 75), (90, 50), (365, 25))
QUALITY_DAYS = 90
LONGEST_DEMO = timedelta(days=1)  # from the org's last decision to the figures of it

Key = tuple[str, str | None]  # object, and field or None
Range = tuple[int, int]


@dataclass(slots=True)
class Count:
    """What was decided about an object or field; two numbers where a version of a row may have been seen or not."""

    changes: int = 0
    stages: int = 0
    week: int = 0
    month: int = 0
    approvals: Range = (0, 0)
    rejections: Range = (0, 0)
    deletes: Range = (0, 0)
    last: str = ""
    last_by: set[tuple[str, object]] = field(default_factory=set)  # several changes may be of one second
    recent: dict[str, Range] = field(default_factory=lambda: defaultdict(lambda: (0, 0)))


@dataclass(slots=True)
class Verdict:
    """The comparison.

    Attributes:
        objects: Objects that carry figures.
        fields: Fields that carry figures.
        figures: Values that were compared.
        velocities: Of them, changes in 7 and in 30 days that are not 0.
        processes: Processes of lineage.
        wrong: Differences, as sentences.
    """

    objects: int = 0
    fields: int = 0
    figures: int = 0
    velocities: int = 0
    processes: int = 0
    wrong: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one catalog; say what was found; return 0 when all is equal, 1 when not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("org", type=Path, help="folder with truth.jsonl and meta.json")
    parser.add_argument("--atlan", required=True, help="address of the catalog")
    parser.add_argument("--report", type=Path, help="also write the figures to this file, JSON")
    options = parser.parse_args(arguments)

    ids = catalog.attribute_ids(options.atlan, SET)
    verdict = Verdict()
    noted, clock = noted_instant(options.atlan, ids), clock_of(options.org)
    if noted is None:
        verdict.wrong.append(f"the connection has no note of a ledger in the set {SET}")
    elif clock is not None and not clock <= noted < clock + LONGEST_DEMO:
        shown = f"{clock:%Y-%m-%d %H:%M}"
        verdict.wrong.append(f"the figures are as of {noted:%Y-%m-%d %H:%M}, the org's clock showed {shown}")
    else:
        as_of = noted.date()
        truth, tracked = list(read_truth(options.org / "truth.jsonl")), tracked_fields(options.org)
        expected = expected_events(truth, tracked, clock)
        expected = {stream: events for stream, events in expected.items() if stream not in NOT_SELECTED}
        counts = counted(expected, as_of)
        for deletion in deletions.decided_deletions(truth):
            count_delete(counts, deletion, as_of, sure=deletions.is_required(deletion, tracked, clock))
        compare(verdict, options.atlan, ids, counts, as_of)
        check_lineage(verdict, options.atlan, expected)
        check_page(verdict, options.atlan, counts)
    words = "equal" if not verdict.wrong else "DIFFERENT"
    print(
        f"\n{verdict.figures:,} figures on {verdict.objects} objects and {verdict.fields} fields in Atlan "
        f"({verdict.velocities} velocities above 0), {verdict.processes} lineage processes  {words}"
    )
    if options.report:
        report = {"objects": verdict.objects, "fields": verdict.fields, "figures": verdict.figures}
        report |= {"velocities": verdict.velocities, "processes": verdict.processes, "equal": not verdict.wrong}
        options.report.write_text(json.dumps(report) + "\n", encoding="utf-8")
    for sentence in verdict.wrong[:5]:
        print(f"Atlan: {sentence}", file=sys.stderr)
    return 1 if verdict.wrong or not verdict.figures else 0


def noted_instant(url: str, ids: Mapping[str, str]) -> datetime | None:
    """The instant of the last figures that were written, by the note on the connection; None where there is none."""
    notes = [one.values.get(LEDGER) for one in catalog.assets(url, ["Connection"], [], ids)]
    found = [json.loads(note)["as_of"] for note in notes if note]
    return datetime.fromisoformat(found[0]) if len(found) == 1 else None


# --- the count -------------------------------------------------------------------------------------


def counted(expected: Mapping[str, Expected], as_of: date) -> dict[Key, Count]:
    """What each object and field must show, but for deletes.

    Args:
        expected: Of all streams.
        as_of: The day up to which velocity and quality look back.
    """
    counts: defaultdict[Key, Count] = defaultdict(Count)
    for events in expected.values():
        for source, sure in ((events.required, True), (events.allowed - events.required, False)):
            for event, times in source.items():
                if event[8]:
                    add(counts, event, times, as_of, sure=sure)
    return dict(counts)


def add(counts: defaultdict[Key, Count], event: Event, times: int, as_of: date, *, sure: bool) -> None:
    """Count one primary event."""
    kind, at, actor, sobject, _, name, old, new, *_ = event
    if not isinstance(sobject, str):
        return
    is_change = kind in ("field_change", "stage_change")
    keys: list[Key] = [(sobject, None), *([(sobject, str(name))] if is_change else [])]
    days = (as_of - date.fromisoformat(str(at)[:10])).days
    for key in keys:
        count = counts[key]
        more = (times if sure else 0, times)
        parts: dict[str, bool] = {"approvals": kind == "approval_decision"}
        parts["rejections"] = kind == "approval_decision" and new in REJECTIONS
        if is_change:
            closed = CLOSED.get((sobject, str(name)), set())
            count.changes += times
            count.stages += times * (kind == "stage_change")
            count.week += times * (0 <= days < 7)
            count.month += times * (0 <= days < 30)
            parts |= {"changes": True, "stages": kind == "stage_change"}
            parts["emptied"] = new is None and old is not None
            parts["reopened"] = new is not None and old in closed and new not in closed
            if str(at) >= count.last:
                count.last_by = {*(count.last_by if str(at) == count.last else ()), (str(name), actor or None)}
                count.last = str(at)
        for part, counts_in in parts.items():
            if counts_in and 0 <= days < QUALITY_DAYS:
                count.recent[part] = plus(count.recent[part], more)
        count.approvals = plus(count.approvals, more) if parts["approvals"] else count.approvals
        count.rejections = plus(count.rejections, more) if parts["rejections"] else count.rejections


def count_delete(counts: dict[Key, Count], deletion: Deletion, as_of: date, *, sure: bool) -> None:
    """Count a deletion; one that no witness must tell of may be counted or not."""
    count = counts.setdefault((deletion.sobject, None), Count())
    more = (int(sure), 1)
    count.deletes = plus(count.deletes, more)
    if 0 <= (as_of - date.fromisoformat(deletion.at[:10])).days < QUALITY_DAYS:
        count.recent["deletes"] = plus(count.recent["deletes"], more)


def together(counts: Sequence[Count]) -> Count:
    """What an asset shows that several names lead to, such as `Owner` and `OwnerId`: the sum."""
    if len(counts) == 1:
        return counts[0]
    whole = Count()
    for one in counts:
        for name in ("changes", "stages", "week", "month"):
            setattr(whole, name, getattr(whole, name) + getattr(one, name))
        for name in ("approvals", "rejections", "deletes"):
            setattr(whole, name, plus(getattr(whole, name), getattr(one, name)))
        for part, more in one.recent.items():
            whole.recent[part] = plus(whole.recent[part], more)
        if one.last >= whole.last:
            whole.last_by = {*(whole.last_by if one.last == whole.last else ()), *one.last_by}
            whole.last = one.last
    return whole


def plus(left: Range, right: Range) -> Range:
    """The sum of two ranges."""
    return left[0] + right[0], left[1] + right[1]


def quality(count: Count, as_of: date) -> Range | None:
    """The least and the greatest score that may be shown; the truth log does not tell people from automation."""
    if not count.last:
        return None
    quiet = max(0, (as_of - date.fromisoformat(count.last[:10])).days)
    fresh = next((part for days, part in FRESHNESS if quiet < days), 0)
    recent = count.recent
    changes, stages = recent["changes"][0], recent["stages"][0]
    scores = []
    for worst in (True, False):
        deletes = recent["deletes"][worst]
        rejections = recent["rejections"][worst]
        approvals = max(recent["approvals"][not worst], rejections)
        decided = approvals + stages
        parts = [
            (30, fresh),
            (25, share(changes - recent["emptied"][0], changes)),
            (10, None if not changes else 0 if worst else 100),
            (20, share(decided - rejections - recent["reopened"][0], decided)),
            (15, share(changes, changes + deletes)),
        ]
        judged = [(weight, part) for weight, part in parts if part is not None]
        total = sum(weight for weight, _ in judged)
        scores.append((2 * sum(weight * part for weight, part in judged) + total) // (2 * total))
    return min(scores), max(scores)


def share(good: int, everything: int) -> int | None:
    """Percent, rounded down; None of nothing."""
    return max(0, 100 * good // everything) if everything > 0 else None


# --- what the catalog says -------------------------------------------------------------------------


def compare(verdict: Verdict, url: str, ids: Mapping[str, str], counts: Mapping[Key, Count], as_of: date) -> None:
    """Compare each object and field of the catalog with the count."""
    kinds = ("SalesforceObject", "SalesforceField")
    found = list(catalog.assets(url, kinds, ["apiName", "qualifiedName", "objectQualifiedName"], ids))
    objects = {one.attributes["qualifiedName"]: str(one.attributes["apiName"]) for one in found if one.kind == kinds[0]}
    for asset in found:
        name = str(asset.attributes["apiName"])
        is_object = asset.kind == kinds[0]
        sobject = name if is_object else objects[asset.attributes["objectQualifiedName"]]
        forms = [None] if is_object else [name, *([name.removesuffix("Id")] if name.endswith("Id") else [])]
        count = together([counts[sobject, form] for form in forms if (sobject, form) in counts])
        place = sobject if is_object else f"{sobject}.{name}"
        verdict.wrong += [f"{place}: {text}" for text in differences(asset.values, count, as_of, is_object=is_object)]
        if asset.values:
            verdict.objects += is_object
            verdict.fields += not is_object
            verdict.figures += len(asset.values)
            verdict.velocities += sum(bool(asset.values.get(name)) for name in VELOCITIES)


def differences(values: Mapping[str, Any], count: Count, as_of: date, *, is_object: bool) -> list[str]:
    """What an asset shows otherwise than the count; a figure of nothing may be absent."""
    none = (0, 0)
    wanted: dict[str, Range] = {
        "Changes": (count.changes, count.changes),
        "Deletes": count.deletes if is_object else none,
        "Changes in 7 days": (count.week, count.week),
        "Changes in 30 days": (count.month, count.month),
        "Stage changes": (count.stages, count.stages),
        "Approval decisions": count.approvals if is_object else none,
        "Approvals rejected": count.rejections if is_object else none,
    }
    wrong = [
        f"{name} is {values.get(name)}, not {low if low == high else f'{low} to {high}'}"
        for name, (low, high) in wanted.items()
        if not low <= int(values.get(name) or 0) <= high
    ]
    score, given = quality(count, as_of), values.get("Quality score")
    if (score is None) != (given is None) or (score and not score[0] <= int(given or 0) <= score[1]):
        wrong.append(f"Quality score is {given}, not {score}")
    last = None if not count.last else int(datetime.fromisoformat(count.last).replace(tzinfo=UTC).timestamp()) * 1000
    if values.get("Last change") != last:
        wrong.append(f"Last change is {values.get('Last change')}, not {last}")
    by = (values.get("Last changed field") if is_object else None, values.get("Last changed by"))
    if count.last and by not in {(name if is_object else None, actor) for name, actor in count.last_by}:
        wrong.append(f"the last change is of {by}, not of {sorted(map(str, count.last_by))}")
    return wrong


def check_lineage(verdict: Verdict, url: str, expected: Mapping[str, Expected]) -> None:
    """See that each object leads to the tables of its events, as far as both are in the catalog, and nothing else."""
    names = {one.guid: str(one.attributes["apiName"]) for one in catalog.assets(url, ["SalesforceObject"], ["apiName"])}
    schema = catalog.schema_name(url, SCHEMA)
    tables = {
        one.guid: one.name.lower()
        for one in catalog.assets(url, ["Table", "View"], ["schemaQualifiedName"])
        if one.attributes.get("schemaQualifiedName") == schema
    }
    linked = set()
    for process in catalog.assets(url, ["Process"], ["inputs", "outputs"]):
        verdict.processes += 1
        ends = [[part["guid"] for part in process.attributes.get(side) or ()] for side in ("inputs", "outputs")]
        (source,), (target,) = ends if all(len(end) == 1 for end in ends) else ([""], [""])
        linked.add((names.get(source), tables.get(target)))
    sure = {(sobject, stream) for stream, events in expected.items() for _, _, _, sobject, *_ in events.required}
    wanted = {pair for pair in sure if pair[0] in names.values() and pair[1] in tables.values()}
    verdict.wrong += [f"no lineage leads from {sobject} to {table}" for sobject, table in wanted - linked]
    maybe = {(sobject, stream) for stream, events in expected.items() for _, _, _, sobject, *_ in events.allowed}
    rest = {pair for pair in linked - wanted - maybe if pair[1] != deletions.STREAM}
    verdict.wrong += [f"lineage leads from {sobject} to {table}, without any event" for sobject, table in rest]


def check_page(verdict: Verdict, url: str, counts: Mapping[Key, Count]) -> None:
    """See that the page of the object that changed most shows its figure."""
    objects = {str(one.attributes["apiName"]): one for one in catalog.assets(url, ["SalesforceObject"], ["apiName"])}
    changed = [(count.changes, sobject) for (sobject, name), count in counts.items() if name is None]
    changes, sobject = max((pair for pair in changed if pair[1] in objects), default=(0, ""))
    if not changes:
        return
    shown = catalog.page(url, f"/__localcloud__/page/asset/{objects[sobject].guid}")
    if escape(SET) not in shown or not {f"{changes:,}", str(changes)} & set(re.findall(r"[\d,]+", shown)):
        verdict.wrong.append(f"the page of {sobject} does not show its {changes} changes")


if __name__ == "__main__":
    sys.exit(main())
