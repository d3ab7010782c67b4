"""Why a stream cannot be read, in words of what to do about it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from microdecisions import timestamps
from microdecisions.errors import (
    NOT_FOR_THIS_USER,
    ConfigurationError,
    IncompleteReadError,
    ObjectPermissionError,
    SalesforceError,
)

if TYPE_CHECKING:
    from datetime import datetime

    from microdecisions.errors import MicroDecisionError
    from tap_salesforce_temporal.bookmarks import Bookmark
    from tap_salesforce_temporal.sources import Source

__all__ = ["check_readable", "explained"]

_CLOCKS_DIFFER: Final = timedelta(hours=1)
_NOT_THIS_STREAM: Final = frozenset({408, 420, 429})  # like all from 500 on: the next stream would meet it too


def explained(
    error: SalesforceError | IncompleteReadError | ObjectPermissionError, source: Source
) -> MicroDecisionError:
    """The error as one of this stream.

    Raises:
        SalesforceError: it is none of this stream's.
    """
    if not isinstance(error, SalesforceError):
        return error
    if error.code in NOT_FOR_THIS_USER:
        return ObjectPermissionError(
            f"Stream `{source.stream}`: the login user may not read {source.sobject} ({error.code}). Grant it "
            f"read access to {source.parent or source.sobject} and its tracked fields, or deselect "
            "the stream."
        )
    if error.status >= 500 or error.status in _NOT_THIS_STREAM:
        raise error
    named = f"Stream `{source.stream}`"
    sentence = str(error) if str(error).startswith(named) else f"{named}: {error}"
    return SalesforceError(sentence, status=error.status, code=error.code)


def check_readable(source: Source, bookmark: Bookmark, now: datetime) -> None:
    """Refuse what would be a success with events missing.

    Raises:
        ObjectPermissionError: a column that changes are told from is hidden.
        ConfigurationError: the bookmark is in the future.
    """
    if source.hidden:
        raise ObjectPermissionError(
            f"Stream `{source.stream}`: the login user may not see {', '.join(source.hidden)} of "
            f"{source.sobject}, and changes would be missed without. Grant it read access to these fields "
            f"of {source.parent or source.sobject}, or deselect the stream."
        )
    if bookmark.complete_to is not None and bookmark.complete_to > now + _CLOCKS_DIFFER:
        raise ConfigurationError(
            f"The state of stream `{source.stream}` says it is complete to {timestamps.to_text(bookmark.complete_to)}, "
            f"but Salesforce's clock shows {timestamps.to_text(now)}: it belongs to another org, or was edited. "
            "Remove the stream's entry to read it again from the start; no event is doubled by that."
        )
