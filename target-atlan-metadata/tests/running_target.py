"""Running the target in this process, against the stand-in of Atlan or against none."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from target_atlan_metadata.report import Report
from target_atlan_metadata.target import TargetAtlanMetadata

if TYPE_CHECKING:
    import pytest

    from localcloud.atlan.running import Running

SET = "Salesforce Activity"
SCHEMA = "default/snowflake/"
FEW = ("Case", "Lead", "Contract")
"""Objects of a small catalog, which loads in little time."""


@dataclass
class Machine:
    """What its clock shows, and how long the target wanted to wait."""

    shows: datetime
    naps: list[float] = field(default_factory=list)


class Runs:
    """Runs with one ledger."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], atlan: Running | None = None) -> None:
        self.folder = folder
        self.capsys = capsys
        self.config: dict[str, Any] = {
            "ledger_url": f"sqlite:///{folder / 'ledger.db'}",
            "report_path": str(folder / "report.json"),
            "lineage": "never",
        }
        if atlan is None:
            self.config["dry_run"] = True
        else:
            self.config |= {"base_url": atlan.url, "api_key": atlan.api_key}

    def __call__(self, lines: list[str], **config: Any) -> Report:
        """Run the target on some input; standard output is kept in `out`, standard error in `err`."""
        self.capsys.readouterr()
        target = TargetAtlanMetadata(config={**self.config, **config})
        try:
            target.run  # noqa: B018
            target.listen(io.StringIO("".join(f"{line}\n" for line in lines)))
        finally:
            target.close()
            self.out, self.err = self.capsys.readouterr()
        return msgspec.json.decode((self.folder / "report.json").read_bytes(), type=Report)

    def printed(self) -> dict[str, dict[str, Any]]:
        """What a dry run printed, by asset."""
        rows = [json.loads(line) for line in self.err.splitlines() if line.startswith('{"asset"')]
        return {row.pop("asset"): row for row in rows}


def guid(atlan: Running, name: str, field: str | None = None) -> str:
    """GUID of the asset of an object, or of one of its fields, in the stand-in's own store."""
    of_object = next(one for one in atlan.assets("SalesforceObject") if one.attributes["apiName"] == name)
    if field is None:
        return of_object.guid
    parent = of_object.attributes["qualifiedName"]
    fields = atlan.assets("SalesforceField")
    return next(
        one.guid
        for one in fields
        if one.attributes["apiName"] == field and one.attributes["objectQualifiedName"] == parent
    )


def carried(atlan: Running, name: str, field: str | None = None) -> dict[str, Any]:
    """What the asset of an object or field carries of the target's set."""
    return dict(atlan.custom_metadata(SET, guid(atlan, name, field)))
