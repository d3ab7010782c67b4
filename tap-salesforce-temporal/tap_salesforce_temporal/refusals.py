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

__all__ = ["check_readable", "explained", "left_out", "not_shown", "read_before", "renamed"]

_CLOCKS_DIFFER: Final = timedelta(minutes=1)  # those of Salesforce's servers: a bookmark is of their time, not ours
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


def not_shown(stream: str) -> ObjectPermissionError:
    """The error of a stream that is selected by name and that the org does not show."""
    return ObjectPermissionError(
        f"Stream `{stream}` is selected but the org does not show its object, or not all of its columns, to the login "
        "user. Grant read access to the object and switch on its field history, or deselect the stream."
    )


def left_out(stream: str) -> ConfigurationError:
    """The error of a stream that is selected by name and that `history_objects` leaves out."""
    return ConfigurationError(
        f"Stream `{stream}` is selected, but none of the patterns of `history_objects` takes its object: add one that "
        "does, or deselect the stream."
    )


def read_before(stream: str) -> str:
    """What to say of a stream that has a bookmark, and that the org does not show any more."""
    return (
        f"Stream `{stream}` was read before, but the org no longer shows its object, or not all of its columns, to the "
        "login user: it is not read, and its bookmark is kept."
    )


def renamed(source: Source, was: str | None) -> str:
    """What to say of a stream whose bookmark is of another object, whose stream has another name now."""
    return (
        f"Stream `{source.stream}` was of {was} before, and is of {source.sobject} now, because their names are alike: "
        "it is read from the start, and so is the stream that the other object has now. No event is doubled by that."
    )


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
