"""Recompute measured.json from the event logs: ``python -m localcloud.seed.measure LOG_FOLDER``."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from localcloud.seed.event_log import LogCase, read_cases
from localcloud.seed.measured import QUANTILES, TABLE, Chain, Move, Table
from localcloud.seed.model import is_closed_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

LOANS = "bpic2012_loan_applications.xes.gz"
INCIDENTS = "bpic2013_incidents.xes.gz"
CLAIMS = ("bpic2020_DomesticDeclarations.xes.gz", "bpic2020_RequestForPayment.xes.gz")
CITATIONS = {
    "BPI Challenge 2012": "B. van Dongen, BPI Challenge 2012, doi 10.4121/uuid:3926db30-f712-4394-aebc-75976070e91f",
    "BPI Challenge 2013": "W. Steeman, BPI Challenge 2013, incidents, 4TU.ResearchData",
    "BPI Challenge 2020": "B. van Dongen, BPI Challenge 2020, doi 10.4121/uuid:52fb97d4-4588-43c9-9d04-3604d4613b51",
}
RARE = 5
"""Moves seen less often than this in a whole log are left out."""

STAGE_OF = {
    "A_SUBMITTED": "Prospecting",
    "A_PARTLYSUBMITTED": "Qualification",
    "A_PREACCEPTED": "Needs Analysis",
    "A_ACCEPTED": "Proposal/Price Quote",
    "A_FINALIZED": "Negotiation/Review",
    "A_APPROVED": "Closed Won",
    "A_REGISTERED": "Closed Won",
    "A_ACTIVATED": "Closed Won",
    "A_DECLINED": "Closed Lost",
    "A_CANCELLED": "Closed Lost",
}
"""A generated org uses the standard stages; the application states are measured under these names."""


class _Visit(msgspec.Struct):
    """A case's stay in a state: since when, and how often it changed hands until the next one."""

    state: str
    at: datetime
    handovers: int = 0


def measure(folder: Path) -> Table:
    """Measure the logs in a folder.

    Raises:
        SeedError: a log is missing or damaged.
    """
    loans = list(read_cases(folder / LOANS))
    incidents = list(read_cases(folder / INCIDENTS))
    claims = [case for name in CLAIMS for case in read_cases(folder / name)]
    loan_amounts = sorted(int(case.attributes["AMOUNT_REQ"]) for case in loans)
    claim_amounts = sorted(int(float(_claim_amount(case))) for case in claims)
    reopened, closed = _reopens(incidents)
    priorities: dict[str, int] = defaultdict(int)
    changes = 0
    for case in incidents:
        impacts = [event.attributes["impact"] for event in case.events]
        priorities[impacts[0]] += 1
        changes += sum(a != b for a, b in pairwise(impacts))
    return Table(
        CITATIONS,
        _chain("BPI Challenge 2012", loans, lambda e: STAGE_OF.get(e) if e else None),
        _chain("BPI Challenge 2013", incidents, None),
        _chain(
            "BPI Challenge 2020", claims, lambda e: e.removeprefix("Declaration ").removeprefix("Request For Payment ")
        ),
        round(len(reopened) / closed, 4),
        _quantiles(sorted(reopened)),
        {name: round(n / len(incidents), 4) for name, n in sorted(priorities.items())},
        round(changes / len(incidents), 4),
        _quantiles(loan_amounts),
        _quantiles(claim_amounts),
    )


def _claim_amount(case: LogCase) -> str:
    attributes = case.events[0].attributes
    return attributes.get("(case)_Amount") or attributes["(case)_RequestedAmount"]


def _reopens(incidents: Iterable[LogCase]) -> tuple[list[int], int]:
    """Return the seconds from closing to opening again, and how many incidents were closed at all."""
    waits: list[int] = []
    closed = 0
    for case in incidents:
        ends = [n for n, event in enumerate(case.events) if is_closed_status(event.activity)]
        closed += bool(ends)
        for n, event in enumerate(case.events):
            if ends and n > ends[0] and not is_closed_status(event.activity):
                waits.append(int((event.at - case.events[n - 1].at).total_seconds()))
                break
    return waits, closed


def _visits(case: LogCase, state_of: Callable[[str], str | None] | None) -> list[_Visit]:
    """Return the states a case went through, repetitions merged."""
    visits: list[_Visit] = []
    owner: str | None = None
    for event in case.events:
        if state_of is None:
            state: str | None = f"{event.activity}/{event.attributes['lifecycle:transition']}"
        else:
            state = state_of(event.activity)
        if visits and event.resource is not None and event.resource != owner:
            visits[-1].handovers += 1
        owner = event.resource or owner
        if state is not None and (not visits or visits[-1].state != state):
            visits.append(_Visit(state, event.at))
    return visits


def _chain(source: str, cases: list[LogCase], state_of: Callable[[str], str | None] | None) -> Chain:
    waits: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    handovers: dict[tuple[str, str], int] = defaultdict(int)
    for case in cases:
        visits = _visits(case, state_of)
        waits[""][visits[0].state].append(0)
        waits[visits[-1].state][""].append(0)
        for visit, following in pairwise(visits):
            waits[visit.state][following.state].append(int((following.at - visit.at).total_seconds()))
            handovers[visit.state, following.state] += visit.handovers
    states = {}
    for state, exits in sorted(waits.items()):
        common = {to: seconds for to, seconds in exits.items() if len(seconds) >= RARE}
        total = sum(len(seconds) for seconds in common.values())
        states[state] = [
            Move(
                to,
                round(len(seconds) / total, 5),
                _quantiles(sorted(seconds)),
                round(handovers[state, to] / len(seconds), 3),
            )
            for to, seconds in sorted(common.items())
        ]
    # A state that only rare cases reach is no part of the chain.
    reached = {"", *(move.to for moves in states.values() for move in moves)}
    return Chain(source, len(cases), {state: moves for state, moves in states.items() if state in reached and moves})


def _quantiles(ordered: list[int]) -> list[int]:
    last = len(ordered) - 1
    return [ordered[n * last // QUANTILES] for n in range(QUANTILES + 1)]


def main() -> int:
    """Measure the logs of a folder; print the table, or write it into the package."""
    parser = argparse.ArgumentParser(prog="localcloud.seed.measure", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the four logs are")
    parser.add_argument("--write", action="store_true", help="replace the package's table")
    options = parser.parse_args()
    table = msgspec.json.format(msgspec.json.encode(measure(options.folder)), indent=0)
    if options.write:
        TABLE.write_bytes(table + b"\n")
    else:
        sys.stdout.buffer.write(table + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
