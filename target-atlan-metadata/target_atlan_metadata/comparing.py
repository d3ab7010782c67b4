"""What Salesforce and the catalog do not have in common: told by the ledger, or by the tap that explored the org."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions.errors import ConfigurationError, InterruptedRunError, MicroDecisionError
from target_atlan_metadata.figures import AssetKey, figures_of_assets
from target_atlan_metadata.ledger import Ledger
from target_atlan_metadata.place import ledger_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from target_atlan_metadata.catalog import Catalog
    from target_atlan_metadata.settings import TargetSettings

__all__ = ["Comparison", "Known", "compare", "known_to_ledger", "known_to_tap"]


class Known(msgspec.Struct, frozen=True):
    """Objects and fields of an org.

    Attributes:
        org: Its id; empty where that is not known.
        keys: The objects, and fields of them.
        others: Names that may be objects with an asset, or of things that no catalog has.
    """

    org: str
    keys: tuple[AssetKey, ...]
    others: frozenset[str] = frozenset()


class Comparison(msgspec.Struct):
    """Objects and fields held against the catalog, by their names in Salesforce.

    Attributes:
        problem: Why nothing was compared; None where something was.
        matched: Objects that are in the catalog.
        missing_objects: Objects that are not.
        missing_fields: Fields of matched objects that are not.
        other_objects: Objects of the catalog that are not among those compared.
    """

    problem: str | None = None
    matched: list[str] = []
    missing_objects: list[str] = []
    missing_fields: list[str] = []
    other_objects: list[str] = []


def compare(known: Known, catalog: Catalog) -> Comparison:
    """Hold objects and fields against the catalog."""
    found = Comparison()
    for key in known.keys:
        is_there = catalog.find(key) is not None
        if key.field is None:
            (found.matched if is_there else found.missing_objects).append(key.object)
        elif not is_there and catalog.find(AssetKey(key.object)) is not None:
            found.missing_fields.append(key.name)
    others = sorted(known.others - {key.object for key in known.keys})
    found.matched += [name for name in others if catalog.find(AssetKey(name)) is not None]
    matched = {name.casefold() for name in found.matched}
    found.other_objects = sorted(one.api_name for name, one in catalog.objects.items() if name not in matched)
    return found


def known_to_ledger(settings: TargetSettings, environ: Mapping[str, str]) -> Known | str:
    """Objects and fields that the ledger has figures of, or a sentence that says why it cannot be looked at."""
    try:
        with Ledger(
            ledger_url(settings.ledger_url, environ), wait_seconds=settings.ledger_wait_seconds, absent="refuse"
        ) as ledger:
            told = figures_of_assets(ledger.activities(0, 0), datetime.now(UTC), settings.quality_weights)
            return Known(ledger.org, tuple(key for key, figures, _ in told if figures.says_something))
    except InterruptedRunError:
        raise
    except MicroDecisionError as error:
        return str(error)


class _Object(msgspec.Struct):
    """What the tap found of one stream, as far as it matters here."""

    object: str = ""
    parent: str | None = None
    tracked_fields: tuple[str, ...] = ()


class _Org(msgspec.Struct):
    """The JSON of `tap-salesforce-temporal explore`, as far as it matters here."""

    org_id: str
    objects: tuple[_Object, ...]
    untracked_objects: tuple[str, ...] = ()


_NOT_ONE: Final = "make it with `tap-salesforce-temporal explore --output FILE`"


def known_to_tap(path: Path) -> Known:
    """Objects of the org, and the fields of them whose history is tracked, as the tap explored them.

    Args:
        path: What `tap-salesforce-temporal explore --output` wrote.

    Raises:
        ConfigurationError: it cannot be read, or holds something else.
    """
    try:
        told = msgspec.json.decode(path.read_bytes(), type=_Org)
    except OSError as error:
        raise ConfigurationError(
            f"The file {path} given by --org cannot be read ({error.strerror}): {_NOT_ONE}."
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ConfigurationError(f"The file {path} given by --org is not what the tap writes: {_NOT_ONE}.") from None
    fields = {(one.parent, field) for one in told.objects if one.parent is not None for field in one.tracked_fields}
    names = {*told.untracked_objects, *(one.parent for one in told.objects if one.parent is not None)}
    keys = [*(AssetKey(name) for name in names), *(AssetKey(name, field) for name, field in fields)]
    others = frozenset(one.object for one in told.objects if one.parent is None)  # such as Task
    return Known(told.org_id, tuple(sorted(keys, key=lambda key: (key.object, key.field or ""))), others)
