"""The exploration itself: connect, check, count, sample, estimate."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError, SalesforceError
from tap_salesforce_temporal.explore import history
from tap_salesforce_temporal.explore.findings import Exploration, Sample
from tap_salesforce_temporal.explore.permissions import (
    API_ENABLED,
    API_REFUSALS,
    check_permissions,
    field_history_tracking,
)
from tap_salesforce_temporal.library import pages_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_temporal.explore.findings import HistoryObject, Permission
    from tap_salesforce_temporal.org import Org
    from tap_salesforce_temporal.sources import Source
    from tap_salesforce_temporal.tap import TapSalesforceTemporal

__all__ = ["explore"]

_MOST_SAMPLES: Final = 5


def explore(tap: TapSalesforceTemporal, *, values: bool = False) -> Exploration:
    """Find out what an org holds and what its login user may read.

    Takes one API call to see the objects, one to describe 25 of them, about one for five to count and date the rows, a
    few for permissions and tracked fields, and two or three for each of at most five samples.

    Args:
        tap: With checked settings.
        values: Whether samples carry values: they belong to the org's customers.

    Raises:
        ConfigurationError: The login user may not use the API at all.
        MicroDecisionError: The org cannot be reached, or a ceiling is reached.
    """
    org = _connected(tap)
    org.check_names()
    session = org.session
    sources = sorted(org.sources(), key=lambda source: source.stream)
    discovery = session.usage.calls
    parents = {source.parent for source in sources if source.parent is not None}
    permissions = check_permissions(session, session.user_id, parents)
    extents = history.extents(session, sources, tap.settings)
    tracked = history.tracked_fields(session, sources, extents)
    objects = tuple(_object(tap, org, source, extents, tracked) for source in sources)
    samples = _samples(tap, org, sources, extents, values=values)
    custom = {name for name in org.objects_by_prefix.values() if name.endswith("__c")}
    untracked = tuple(sorted(custom - parents))
    selected = [one for one in objects if one.selected]
    rates = [one.rows_per_day or 0.0 for one in selected]
    described = [source for source in sources if source.selected and source.kind != "field_history"]
    per_run, per_day = history.calls_per_day(len(selected), len(described), rates)
    usage = session.usage
    limits = usage.limits
    return Exploration(
        org_id=org.org_id,
        instance_url=session.instance_url,
        api_version=session.api_version,
        at=timestamps.to_text(session.server_time()),
        permissions=(*permissions, _tracking(objects, untracked)),
        objects=objects,
        untracked_objects=untracked,
        samples=samples,
        values_shown=values,
        calls_to_backfill=discovery + sum(one.calls_to_backfill or 0 for one in selected),
        calls_per_run=per_run,
        calls_per_day=per_day,
        calls_used=usage.calls,
        calls_left=None if limits is None else max(0, limits.maximum - limits.used),
        calls_allowed=None if limits is None else limits.maximum,
    )


def _connected(tap: TapSalesforceTemporal) -> Org:
    try:
        org = tap.run.org
        org.objects_by_prefix  # noqa: B018  # the first question tells whether the API is open to the user
    except SalesforceError as error:
        if error.code not in API_REFUSALS:
            raise
        raise ConfigurationError(
            f"The login succeeded but the user may not use the API ({error.code}): grant {API_ENABLED}."
        ) from None
    return org


def _object(
    tap: TapSalesforceTemporal,
    org: Org,
    source: Source,
    extents: Mapping[str, history.Extent],
    tracked: Mapping[str, history.Tracked],
) -> HistoryObject:
    extent = extents.get(source.stream, history.Extent())
    calls = history.calls_to_backfill(org, tap.settings, source, extent.rows)
    return history.history_object(source, extent, tracked.get(source.stream, history.Tracked()), calls)


def _tracking(objects: Sequence[HistoryObject], untracked: Sequence[str]) -> Permission:
    field_histories = [one for one in objects if one.tracked_from is not None]
    tracked = {one.parent for one in field_histories if one.tracked_fields and one.parent is not None}
    nothing = {one.parent for one in field_histories if one.parent is not None} - tracked
    return field_history_tracking(tracked, {*nothing, *untracked})


def _samples(
    tap: TapSalesforceTemporal,
    org: Org,
    sources: Sequence[Source],
    extents: Mapping[str, history.Extent],
    *,
    values: bool,
) -> tuple[Sample, ...]:
    """The newest event of the sources with the most rows, of those that are selected by default."""
    dated = [
        source
        for source in sources
        if source.selected and extents.get(source.stream, history.Extent()).last is not None
    ]
    dated.sort(key=lambda source: -(extents[source.stream].rows or 0))
    samples = []
    for source in dated[:_MOST_SAMPLES]:
        with _quiet(tap, source):
            event = _newest(tap, org, source, extents[source.stream])
        if event is not None:
            samples.append(_sample(source, event, values=values))
    return tuple(samples)


@contextmanager
def _quiet(tap: TapSalesforceTemporal, source: Source) -> Iterator[None]:
    """No word of a run, where it is none."""
    log = logging.getLogger(f"{tap.name}.{source.stream}")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _newest(tap: TapSalesforceTemporal, org: Org, source: Source, extent: history.Extent) -> MicroDecisionEvent | None:
    if extent.last is None:
        return None
    at = timestamps.floor_second(extent.last)
    end = at + history.SECOND
    dates = {"start_date": timestamps.to_text(at), "end_date": timestamps.to_text(end), "api_type": "rest"}
    settings = msgspec.structs.replace(tap.settings, **dates, lag_seconds=0)
    try:
        for page in pages_of(tap, org, settings, source):
            for event in page:
                return event
    except SalesforceError:
        return None  # what is wrong with the object is among the findings
    return None


def _sample(source: Source, event: MicroDecisionEvent, *, values: bool) -> Sample:
    return Sample(
        stream=source.stream,
        event_type=event.event_type,
        at=event.timestamp_occurred,
        actor_type=event.actor_type,
        record_type=event.record_type,
        field=event.field_name,
        old_value=event.old_value if values else None,
        new_value=event.new_value if values else None,
    )
