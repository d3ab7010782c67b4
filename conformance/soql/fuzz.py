"""Asks an org damaged statements: each must be answered or refused with a documented code, in bounded time.

    python -m conformance.soql.fuzz --statements 100000

The last line is `RESULT {json}`; the exit code is 0 when nothing else than answers and documented errors came.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

if __package__ in {None, ""}:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from conformance.soql.corpus import DOCUMENTED, Asker, create_org, entries, mutations
from localcloud.salesforce.errors import ApiError

_SHOWN = 20


@dataclass
class Outcome:
    """What came of the statements.

    Attributes:
        statements: How many were asked.
        answered: How many gave a result.
        refused: How many were refused, by error code.
        broken: Statements that gave anything else, and what it was.
        slowest_ms: The longest that one took, in CPU time.
        slowest: That statement.
    """

    statements: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    slowest: str = ""


def starting_points(asker: Asker) -> list[str]:
    """The statements of the corpus; the sound ones count four times, so that many damaged ones still work."""
    usable = [entry for entry in entries() if entry.soql and "{x" not in entry.soql]
    return [asker.text(entry) for entry in usable for _ in range(1 if entry.error else 4)]


def fuzz(asker: Asker, statements: int, *, seed: int = 1) -> Outcome:
    """Ask that many damaged statements.

    Args:
        asker: The org of the corpus.
        statements: How many.
        seed: Tells one run from another; the same seed gives the same statements.
    """
    outcome = Outcome()
    for statement in itertools.islice(mutations(starting_points(asker), seed=seed), statements):
        began = time.process_time()
        try:
            answer = asker.ask(statement, all_rows=len(statement) % 2 == 0)
        except ApiError as error:
            outcome.refused[error.code] += 1
            if error.code not in DOCUMENTED or error.status != 400 or not error.message:
                outcome.broken.append(f"{error.status} {error.code} {error.message!r}: {statement!r}")
        except Exception as error:  # noqa: BLE001 - this is what the fuzzer looks for
            outcome.broken.append(f"{type(error).__name__} {error}: {statement!r}")
        else:
            outcome.answered += 1
            if not {"totalSize", "done", "records"} <= answer.keys():
                outcome.broken.append(f"{answer.keys()}: {statement!r}")
        spent = 1000 * (time.process_time() - began)
        if spent > outcome.slowest_ms:
            outcome.slowest_ms, outcome.slowest = round(spent, 1), statement
    outcome.statements = statements
    return outcome


def main() -> int:
    """Fuzz a new org; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--statements", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest-ms", type=float, default=1_000.0, help="the most CPU time that one may take")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, create_org(Path(folder) / "org") as org:
        outcome = fuzz(Asker(org), options.statements, seed=options.seed)
    for line in outcome.broken[:_SHOWN]:
        print(line)
    figures = asdict(outcome)
    figures |= {"broken": len(outcome.broken), "refused": dict(outcome.refused.most_common())}
    figures |= {"expected": outcome.statements, "got": outcome.statements - len(outcome.broken)}
    figures["seconds"] = round(time.monotonic() - began, 1)
    print(f"RESULT {json.dumps(figures)}")
    return int(bool(outcome.broken) or outcome.slowest_ms > options.longest_ms)


if __name__ == "__main__":
    sys.exit(main())
