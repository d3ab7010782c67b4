"""A small Atlan, and a target with one ledger that runs against it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from running_target import FEW, Machine, Runs

from localcloud.atlan.running import Running, serve_in_thread
from target_atlan_metadata.gateway import Gateway


@pytest.fixture
def atlan(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "atlan").mkdir()
    with serve_in_thread(tmp_path / "atlan", objects=FEW) as served:
        yield served


@pytest.fixture
def runs(tmp_path: Path, capsys: pytest.CaptureFixture[str], atlan: Running) -> Runs:
    return Runs(tmp_path, capsys, atlan)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine that the target runs on: it does not wait, and its clock can be put."""
    made = Machine(datetime.now(UTC))
    monkeypatch.setattr(Gateway.__init__, "__defaults__", (made.naps.append, time.monotonic, lambda: made.shows))
    return made


@pytest.fixture
def naps(machine: Machine) -> list[float]:
    """How long the target would have waited between tries; it does not wait in these tests."""
    return machine.naps
