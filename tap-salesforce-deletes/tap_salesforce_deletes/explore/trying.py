"""What `--test` does: asks about each topic and object, reads no event and writes no record."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from microdecisions.errors import ObjectPermissionError
from tap_salesforce_deletes.channels import carried_by
from tap_salesforce_deletes.explore.exploring import look_at
from tap_salesforce_deletes.planning import make_plan
from tap_salesforce_deletes.position import Positions

if TYPE_CHECKING:
    from tap_salesforce_deletes.run import Run

__all__ = ["try_sources"]


def try_sources(run: Run) -> None:
    """Log in, and ask whether each topic can be subscribed to and each object is there.

    Raises:
        ObjectPermissionError: One cannot be read, or nothing is there to be read.
        MicroDecisionError: The org cannot be reached, or refuses the login.
    """
    with closing(run):
        run.connect()
        carried = carried_by(run.session, run.topics)
        found = [look_at(run, topic, carried[topic.name]) for topic in run.topics]
        objects = make_plan(run, Positions()).asked
        run.log.info(
            "Test: %s of %s topics can be read, and the delete log of %s objects; %s API calls.",
            sum(one.ready for one in found),
            len(found),
            len(objects),
            run.session.usage.calls,
        )
    for one in found:
        if one.ready and one.problem is not None:
            run.log.warning("%s", one.problem)
    refused = [one for one in found if not one.ready]
    if refused:
        raise ObjectPermissionError(
            f"{len(refused)} of {len(found)} topics cannot be read. First: {refused[0].problem}"
        )
    if not found and not objects:
        raise ObjectPermissionError(
            "The login works, but there is nothing to read: no topics are set, and the org shows no object with a "
            "delete log. Name topics, or grant read access to the objects."
        )
