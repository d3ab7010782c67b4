"""Ceilings for event deliveries: of the run, and of the org, which other subscribers use too."""

from __future__ import annotations

from microdecisions.describe import Limit
from tap_salesforce_deletes.allowance import Allowance


class Org:
    """Tells its allocation, and counts how often it was asked."""

    def __init__(self, used: int) -> None:
        self.used = used
        self.asked = 0
        self.now = 0.0

    def limit(self) -> Limit:
        self.asked += 1
        return Limit(max=1_000, remaining=1_000 - self.used)


def allowance(org: Org, most: int | None = None, percent: int | None = None) -> Allowance:
    return Allowance(most, percent, org.limit, lambda: org.now)


def test_without_a_ceiling_nothing_is_asked_and_nothing_ends() -> None:
    org = Org(1_000)
    one = allowance(org)
    one.look()
    one.took(10_000)
    assert not one.spent()
    assert one.error() is None
    assert org.asked == 0


def test_the_events_of_a_run_are_counted() -> None:
    one = allowance(Org(0), most=100)
    one.took(99)
    assert not one.spent()
    one.took(1)
    assert one.spent()
    error = one.error()
    assert error is not None
    assert error.exit_code == 3
    assert "`max_events_per_run`" in str(error)


def test_the_orgs_use_is_asked_before_a_run_and_added_to_what_the_run_takes() -> None:
    org = Org(400)
    one = allowance(org, percent=50)
    one.look()
    assert not one.spent()
    one.took(99)
    assert not one.spent()
    one.took(1)
    assert one.spent()
    assert "`delivery_percent_total`" in str(one.error())


def test_what_others_take_meanwhile_is_seen_a_minute_later_and_nothing_counts_twice() -> None:
    org = Org(100)
    one = allowance(org, percent=50)
    one.look()
    one.took(100)
    org.used = 200
    org.now = 30.0
    one.look()
    assert org.asked == 1
    org.now = 61.0
    one.look()
    assert org.asked == 2
    one.took(299)
    assert not one.spent()
    org.used, org.now = 500, 200.0
    one.look()
    assert one.spent()


def test_an_org_that_does_not_tell_has_no_ceiling() -> None:
    one = Allowance(None, 50, lambda: None, lambda: 0.0)
    one.look()
    one.took(10**6)
    assert not one.spent()
