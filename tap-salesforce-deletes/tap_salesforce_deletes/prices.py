"""What reading deletes without topics costs, and what topics would add for which price: said, not hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microdecisions.errors import SalesforceError

if TYPE_CHECKING:
    from microdecisions.describe import Limit
    from tap_salesforce_deletes.position import Positions
    from tap_salesforce_deletes.run import Run

__all__ = ["deliveries_of", "price_sentence", "tell_price"]

_RUNS_A_DAY: Final = 24  # an example: a run an hour


def tell_price(run: Run, positions: Positions, *, first: bool) -> None:
    """Say at the end of a run without topics what it cost; after the first one also what topics would.

    Args:
        run: The run.
        positions: At its end.
        first: Whether nothing was stored before it; then the org's event deliveries are asked for by one API call.
    """
    calls = run.session.usage.calls
    deliveries = deliveries_of(run) if first else None
    run.log.info("%s", price_sentence(len(positions.objects), calls, deliveries, first=first))


def deliveries_of(run: Run) -> Limit | None:
    """The org's event deliveries, by one API call; None where the login user may not see them.

    Source: REST API Developer Guide, "Limits": the permission View Setup and Configuration is needed.
    """
    try:
        return run.metadata.limits().daily_delivered_platform_events
    except SalesforceError:
        return None


def price_sentence(objects: int, calls: int, deliveries: Limit | None, *, first: bool) -> str:
    """The sentence for an operator.

    Args:
        objects: How many objects were asked for their deletes.
        calls: API calls of the run.
        deliveries: The org's allocation; None where it is not known.
        first: Whether it was the first run.
    """
    spent = (
        f"No topics are set: the delete log and the recycle bin of {objects} objects were asked, by {calls} API calls; "
        f"a run an hour takes about {calls * _RUNS_A_DAY:,} a day"
    )
    if not first:
        return f"{spent}."
    allowed = (
        "" if deliveries is None else f"; this org may have {deliveries.max:,}, and {deliveries.remaining:,} are left"
    )
    return (
        f"{spent}. Topics of the Pub/Sub API would add undeletes, who deleted what left the recycle bin between two "
        "runs, and the exact order, within minutes instead of a run later. Each event costs one of the "
        f"org's event deliveries of 24 hours{allowed}: a channel that is filtered for deletes costs about one a "
        "delete. docs/pubsub-setup.md tells how."
    )
