"""What `--test` does: reads at most one row of each stream, writes none."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from microdecisions import soql
from microdecisions.errors import ObjectPermissionError
from tap_salesforce_temporal.explore.asking import ask

if TYPE_CHECKING:
    from tap_salesforce_temporal.sources import Source
    from tap_salesforce_temporal.tap import TapSalesforceTemporal

__all__ = ["try_streams"]


def try_streams(tap: TapSalesforceTemporal) -> None:
    """Log in, find the streams, and ask for one row with all columns of each; five streams in one API call.

    Nothing is written to standard output; what was found is logged.

    Raises:
        ObjectPermissionError: A stream cannot be read, or there is none.
        ConfigurationError: A setting names an object or a field that the org does not know.
        MicroDecisionError: The org cannot be reached, or refuses the login.
    """
    org = tap.run.org
    with closing(org.session):
        org.check_names()
        sources = sorted(org.sources(), key=lambda source: source.stream)
        if not sources:
            raise ObjectPermissionError(
                "The login works, but the user sees no history object: switch on field history tracking, and grant "
                "read access to the objects."
            )
        readable = [source for source in sources if not source.hidden]
        replies = ask(org.session, [soql.select(one.fields, one.sobject, tail="LIMIT 1") for one in readable])
        refused = {source.stream: f"{', '.join(source.hidden)} hidden" for source in sources if source.hidden}
        off = {source.stream for source in sources if not source.selected}
        for source, reply in zip(readable, replies, strict=True):
            if reply.error is None:
                tap.logger.info("Stream `%s`: can be read, %s.", source.stream, _rows(source, reply.total))
            else:
                refused[source.stream] = reply.code
        tap.logger.info(
            "Test: %s of %s streams can be read; %s API calls.",
            len(sources) - len(refused),
            len(sources),
            org.session.usage.calls,
        )
    for stream in sorted(refused.keys() & off):
        tap.logger.warning("Stream `%s`, off by default, cannot be read: %s.", stream, refused.pop(stream))
    if refused:
        named = ", ".join(f"`{stream}` ({why})" for stream, why in sorted(refused.items()))
        raise ObjectPermissionError(
            f"{len(refused)} of {len(sources)} streams cannot be read by the login user: {named}. Grant read access to "
            "the objects and their fields, or deselect the streams; `explore` names the pages of Setup."
        )


def _rows(source: Source, total: int) -> str:
    return f"{source.sobject} has rows" if total else f"{source.sobject} has no rows"
