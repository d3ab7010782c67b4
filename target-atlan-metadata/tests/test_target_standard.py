"""The SDK's standard target tests, with streams of others ignored and nothing written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.testing import SuiteConfig, get_target_test_class

from target_atlan_metadata.target import TargetAtlanMetadata

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tmp_path))


_Standard: Any = get_target_test_class(
    target_class=TargetAtlanMetadata,
    config={"dry_run": True, "other_streams": "ignore"},
    suite_config=SuiteConfig(),
)


class TestStandard(_Standard):  # type: ignore[misc]  # made at run time
    """Whatever a tap of others may write is read without a crash."""
