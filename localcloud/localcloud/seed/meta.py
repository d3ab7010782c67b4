"""What ``meta.json`` says of an org beside its truth log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.seed.errors import SeedError
from localcloud.seed.measured import load as measured_table

if TYPE_CHECKING:
    from pathlib import Path

META = "meta.json"

_UNKNOWN_CITATION = "none known: cite the log's publisher"
_CITATION_OF = {"bpic2012": "BPI Challenge 2012", "bpic2013": "BPI Challenge 2013", "bpic2020": "BPI Challenge 2020"}
_HELPDESK = (
    "M. Polato, Dataset belonging to the help desk log of an Italian company, "
    "doi 10.4121/uuid:0c60edf1-6f83-4e75-9367-4c63b3e9d5bb"
)


class Days(msgspec.Struct, frozen=True, omit_defaults=True):
    """A span of time that an org is living through: ``days`` from ``start`` (epoch second of its clock) on.

    ``truth`` is the length of the truth log in bytes when it began.
    """

    start: int
    days: int
    truth: int | None = None


class Meta(msgspec.Struct, omit_defaults=True):
    """What ``meta.json`` says beside the truth log.

    ``events_expected`` counts events per stream, by the rules of the truth log, look-up changes as two;
    ``generator`` is the version of the generator that made it, whose future no other one knows;
    ``also_expected`` the rows that other streams must find: records of tasks, events and approvals by flow,
    rows of logins, setup changes, log files, activity field history and the archive;
    ``clock`` is the org's clock after the last decision was played; of a generated org,
    ``planned_events`` and ``generated_until`` (epoch seconds in the generator's own time) say where
    its future begins. ``under_way`` is there while days pass: found later, they were interrupted.
    """

    source: str
    citation: str
    seed: int
    clock: str
    decisions: int
    events_expected: dict[str, int]
    tracked_fields: dict[str, list[str]]
    target: str | None = None
    planned_events: int | None = None
    generated_until: int | None = None
    under_way: Days | None = None
    also_expected: dict[str, int] = {}
    generator: int = 1


def citation_of(name: str) -> str:
    """Return how to cite the event log of that file name."""
    lower = name.lower()
    if lower.startswith("helpdesk"):
        return _HELPDESK
    for prefix, title in _CITATION_OF.items():
        if lower.startswith(prefix):
            return measured_table().citations[title]
    return _UNKNOWN_CITATION


def write_meta(folder: Path, meta: Meta) -> None:
    """Replace an org's ``meta.json``."""
    new = folder / f"{META}.new"
    new.write_bytes(msgspec.json.format(msgspec.json.encode(meta), indent=2) + b"\n")
    new.replace(folder / META)


def read_meta(org_dir: Path) -> Meta:
    """Read an org's ``meta.json``.

    Raises:
        SeedError: it is missing or damaged.
    """
    try:
        return msgspec.json.decode((org_dir / META).read_bytes(), type=Meta)
    except (OSError, msgspec.DecodeError) as error:
        raise SeedError(f"{org_dir} holds no seeded org: its {META} cannot be read.") from error
