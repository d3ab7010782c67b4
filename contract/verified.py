"""Writes docs/verified.md: what was checked where, page by page of Salesforce's documentation, and what never was.

    python -m contract.verified [REPORT]    # REPORT: what CONTRACT_REPORT of a run of the contract tests holds
    python -m contract.verified --check     # whether the page speaks of the tests that there are

Outcomes of the last run on each kind of org are kept in `contract/runs.json`.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "contract" / "runs.json"
PAGE = ROOT / "docs" / "verified.md"
STAND_IN = "localcloud"
INTRODUCTION = """\
# What was verified, and where

Made by `make contract`; not written by hand. Each contract test stands for a page of Salesforce's documentation and
takes only an address and credentials, so the same test runs on the stand-in and on a real org:

```sh
make contract                       # on localcloud
make contract ORG=alias             # on a real org, read-only
make contract ORG=alias WRITE=1     # the tests that make, change and delete accounts of their own too
```

A real org's credentials are those of the JWT bearer flow: `CONTRACT_<ALIAS>_CLIENT_ID`, `CONTRACT_<ALIAS>_USERNAME` and
`CONTRACT_<ALIAS>_PRIVATE_KEY_PATH` in the environment, and `CONTRACT_<ALIAS>_LOGIN_URL` where it is not the usual one.

Passing on localcloud says that the stand-in keeps to the page as we read it. Only a run on a real org says that
Salesforce does. What localcloud does otherwise, or not at all, is in
[its list of deviations](../localcloud/DEVIATIONS.md).
"""


class Report(msgspec.Struct):
    """A run: which org (`localcloud` or an alias), and the outcome of each test (`passed`, `failed`, `skipped`)."""

    org: str
    outcomes: dict[str, str]


class Run(msgspec.Struct):
    """The last run on a kind of org: its day, and the outcome of each test."""

    date: str
    outcomes: dict[str, str]


Runs = dict[str, Run]


class _Collector:
    """Notes the page of each contract test while pytest collects them."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bool]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marker = item.get_closest_marker("documented")
            if marker is not None:
                self.pages[item.nodeid] = (str(marker.args[0]), item.get_closest_marker("writes") is not None)


def collected() -> dict[str, tuple[str, bool]]:
    """Every contract test's page, and whether it changes the org, by the test's id."""
    collector = _Collector()
    options = ["--collect-only", "-q", "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = pytest.main([*options, str(ROOT / "contract")], plugins=[collector])
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"the contract tests cannot be collected:\n{said.getvalue()}")
    return collector.pages


def load_runs() -> Runs:
    """The last runs; none when there was none yet."""
    return msgspec.json.decode(RUNS.read_bytes(), type=Runs) if RUNS.exists() else {}


def render(tests: Mapping[str, tuple[str, bool]], runs: Mapping[str, Run]) -> str:
    """The whole page as Markdown."""
    real = [name for name in runs if name != STAND_IN]
    local = runs.get(STAND_IN, Run("never", {}))
    lines = [INTRODUCTION]
    lines.append(f"Last run on localcloud: {local.date}. Runs on a real org: {_dates(runs, real)}.\n")
    lines += ["| page | tests | localcloud | real org |", "|---|---:|---|---|"]
    pages: dict[str, list[str]] = defaultdict(list)
    for test, (page, _) in tests.items():
        pages[page].append(test)
    for page in sorted(pages):
        listed = pages[page]
        seen = "; ".join(f"{_summary(runs[name].outcomes, listed)} ({name})" for name in real) or "never"
        lines.append(f"| {page} | {len(listed)} | {_summary(local.outcomes, listed)} | {seen} |")
    writing = sum(writes for _, writes in tests.values())
    lines.append(f"\n{len(tests)} tests of {len(pages)} pages; {writing} of them change the org.\n")
    return "\n".join(lines)


def _dates(runs: Mapping[str, Run], names: list[str]) -> str:
    return ", ".join(f"{name} on {runs[name].date}" for name in names) or "never, so far"


def _summary(outcomes: Mapping[str, str], tests: Iterable[str]) -> str:
    counted = Counter(outcomes.get(test, "not run") for test in tests)
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counted.items()))


def main(arguments: list[str]) -> int:
    """Take in a report, if one is given, and write the page; or check it. Returns the exit code."""
    runs = load_runs()
    if arguments == ["--check"]:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == render(collected(), runs)
        sys.stdout.write("" if same else "docs/verified.md is not of today's contract tests: run `make contract`\n")
        return 0 if same else 1
    if arguments:
        report = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=Report)
        today = datetime.now(UTC).date().isoformat()
        runs[report.org] = Run(today, dict(sorted(report.outcomes.items())))
        RUNS.write_bytes(msgspec.json.format(msgspec.json.encode(runs), indent=1) + b"\n")
    PAGE.write_text(render(collected(), runs), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
