"""How a run ends: by its failure, its ceiling or its gap, and a gap is in the last sentence whatever it is."""

from __future__ import annotations

import logging
from typing import Literal

import pytest

from microdecisions.errors import (
    ConfigurationError,
    GapError,
    InterruptedRunError,
    MicroDecisionError,
    QuotaCeilingError,
)
from microdecisions.limits import Usage
from microdecisions.running import Outcome

GAPS = ("Stream `x`: days may be missing, which a `gap` event says.", "Another one.", "A third.")
CEILING = QuotaCeilingError("The ceiling is reached.")


def ended(
    on_gap: Literal["fail", "warn"],
    *gaps: str,
    failure: MicroDecisionError | None = None,
    ceiling: MicroDecisionError | None = None,
) -> MicroDecisionError | None:
    outcome = Outcome(on_gap, "selected streams", logging.getLogger("test"))
    for gap in gaps:
        outcome.gap(gap)
    if failure is not None:
        outcome.failed(failure)
    try:
        outcome.end(Usage(), ceiling)
    except MicroDecisionError as error:
        return error
    return None


def test_a_run_in_which_all_is_well_ends_without_a_word() -> None:
    assert ended("fail") is None
    assert ended("warn", *GAPS) is None


@pytest.mark.parametrize("many", [1, 3])
def test_a_gap_alone_ends_a_run_once(many: int) -> None:
    error = ended("fail", *GAPS[:many])
    assert isinstance(error, GapError)
    assert GAPS[0] in str(error)
    assert "Everything else is complete" in str(error)
    assert ("2 more" in str(error)) == (many == 3)


def test_what_is_worse_than_a_gap_keeps_its_exit_code_and_names_the_gap() -> None:
    failed = ended("fail", *GAPS, failure=ConfigurationError("Not to be read."), ceiling=CEILING)
    assert isinstance(failed, ConfigurationError)
    stopped = ended("fail", *GAPS, ceiling=QuotaCeilingError("The ceiling is reached."))
    assert isinstance(stopped, QuotaCeilingError)
    for error, first in ((failed, "Not to be read."), (stopped, "The ceiling is reached.")):
        assert str(error).index(first) < str(error).index(GAPS[0])
        assert "Everything else" not in str(error)


def test_gaps_that_are_only_warned_of_change_no_sentence() -> None:
    error = ended("warn", *GAPS, ceiling=CEILING)
    assert error is CEILING
    assert str(error) == "The ceiling is reached."


def test_an_interruption_names_the_gaps_that_were_written_before() -> None:
    outcome = Outcome("fail", "sources", logging.getLogger("test"))
    outcome.gap(GAPS[0])
    error = outcome.tell_gaps(InterruptedRunError(" by SIGTERM"))
    assert str(error).startswith("Interrupted by SIGTERM")
    assert str(error).endswith(GAPS[0])
