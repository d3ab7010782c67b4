"""What a command does on an org's folder itself, where no server runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.commands import UsageError
from localcloud.page.reading import Reader
from localcloud.salesforce.actions import Actions
from localcloud.salesforce.actions.documents import ActionError
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.status import status

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from localcloud.salesforce.actions.documents import Action, Outcome
    from localcloud.salesforce.status import Status


def act(path: Path, action: Action) -> Outcome:
    """Carry out an action.

    Raises:
        UsageError: It cannot be tried.
    """
    with Org.open(path) as org:
        try:
            return Actions(org, Bus(org), truth=path / "truth.jsonl").act(action)
        except ActionError as error:
            raise UsageError(str(error)) from error


def stands(path: Path) -> Status:
    """How the org stands."""
    with Org.open(path) as org:
        reader = Reader(org)
        try:
            return status(org, reader)
        finally:
            reader.close()


def clock(path: Path) -> datetime:
    """What its clock shows."""
    with Org.open(path) as org:
        return org.clock.now()
