"""Statements written from the SOQL and SOSL Reference, each with the rows or the error that it must give."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from conformance.soql.corpus import Asker, Entry, create_org, entries, mutations
from conformance.soql.fuzz import fuzz, starting_points
from conformance.soql.run import AGREED, ALONE, RULES, explained
from localcloud.salesforce.errors import SoqlError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES = entries()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with create_org(tmp_path_factory.mktemp("corpus") / "org") as org:
        yield Asker(org)


def test_the_corpus_is_large_and_says_each_thing_once() -> None:
    statements = {(entry.soql, entry.version, entry.all_rows) for entry in ENTRIES}
    assert len(statements) == len(ENTRIES) >= 200
    assert all((entry.rows, entry.total, entry.count, entry.error).count(None) == 3 for entry in ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=[f"{entry.section}: {entry.soql[:90]}" for entry in ENTRIES])
def test_a_statement_of_the_corpus_gives_what_the_reference_says(corpus: Asker, entry: Entry) -> None:
    statement = corpus.text(entry)
    if entry.error is not None:
        with pytest.raises(SoqlError) as caught:
            corpus.ask(statement, version=entry.version, all_rows=entry.all_rows)
        assert (caught.value.code, caught.value.status) == (entry.error, 400)
        assert entry.message in caught.value.message
        return
    answer = corpus.ask(statement, version=entry.version, all_rows=entry.all_rows)
    records = answer["records"]
    if entry.total is not None:
        assert (answer["totalSize"], records) == (entry.total, [])
    elif entry.count is not None:
        assert len(records) == entry.count
    else:
        assert (answer["totalSize"], corpus.values(records)) == (len(records), entry.rows)
    if entry.keys is not None:
        assert [[name for name in record if name != "attributes"] for record in records] == [entry.keys] * len(records)


def test_damaged_statements_are_answered_or_refused_with_a_documented_code(corpus: Asker) -> None:
    outcome = fuzz(corpus, 5_000, seed=2)
    assert not outcome.broken
    assert outcome.answered > 500
    assert sum(outcome.refused.values()) > 1_000
    assert outcome.slowest_ms < 2_000


def test_damaged_statements_are_the_same_on_every_run(corpus: Asker) -> None:
    first, again, other = (list(islice(mutations(starting_points(corpus), seed=seed), 50)) for seed in (4, 4, 5))
    assert first == again != other


@pytest.mark.parametrize(
    ("statement", "verdicts", "reason"),
    [
        ("SELECT Id FROM Account", (True, True, True), AGREED),
        ("SELECT", (False, False, False), AGREED),
        ("SELECT Id FROM Account WHERE NOT A = 1 AND B = 2", (False, True, False), ALONE),
        ("SELECT Id FROM Account ALL ROWS", (True, False, False), next(iter(RULES))),
        ("SELECT Id FROM Account", (True, True, False), None),
        ("SELECT Id FROM Account", (False, False, True), None),
        ("SELECT Id FROM Account", (False, True, True), None),
    ],
)
def test_a_difference_between_parsers_needs_a_reason(
    statement: str, verdicts: tuple[bool, bool, bool], reason: str | None
) -> None:
    assert explained(statement, *verdicts) == reason
