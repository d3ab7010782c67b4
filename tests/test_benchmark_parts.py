"""The parts of the tap's benchmark that could tell something untrue: its targets, its results file, its tapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measured import Figures
from benchmarks.replay import Tapes
from benchmarks.results import keep
from benchmarks.targets import Target, judged


def _figures(per_cpu_s: float, *, rss_mib: float = 100.0, calls: int = 500, per_s: float = 1_000.0) -> Figures:
    return Figures(rows_per_s=per_s, rows_per_cpu_s=per_cpu_s, rss_mib=rss_mib, api_calls=calls)


def _judged(ours: Figures, peer: Figures, *, floor: float = 200_000, more: float = 100.0) -> dict[str, Target]:
    table = {"singer_io_rest": peer, "airbyte_full": peer, "airbyte_incremental": _figures(1, calls=900, per_s=1)}
    for mode in ("rest", "bulk2"):
        table |= {f"ours_{mode}": ours, f"floor_{mode}": _figures(floor)}
    return {one.name: one for one in judged(table, table, table, {"ours_rest": more, "ours_bulk2": more})}


def test_targets_are_reached_beside_a_slow_peer_and_not_beside_a_fast_one() -> None:
    ours = _figures(180_000, calls=509, per_s=40_000)
    slow = _judged(ours, _figures(8_000, per_s=6_000))
    assert all(target.reached for target in slow.values())
    assert slow["rest_cpu_to_peer"].got == 22.5
    fast = _judged(ours, _figures(15_001, per_s=8_001))
    missed = {name for name, target in fast.items() if not target.reached}
    assert missed == {
        "rest_cpu_to_peer",
        "static_rest_cpu_to_peer",
        "bulk2_cpu_to_peer",
        "static_bulk2_cpu_to_peer",
        "rest_wall_with_latency_to_peer",
        "bulk2_wall_with_latency_to_peer",
        "wall_with_latency_to_any_peer",
    }


@pytest.mark.parametrize(
    ("ours", "floor", "more", "missed"),
    [
        (_figures(180_000, calls=551), 200_000, 100.0, "api_calls"),
        (_figures(180_000, rss_mib=144.0), 200_000, 144.0, "peak_mb"),  # 144 MiB are 151 MB
        (_figures(180_000), 200_000, 111.0, "peak_5m_to_1m"),
        (_figures(180_000), 401_000, 100.0, "cpu_to_floor"),
    ],
)
def test_each_target_can_be_missed_by_itself(ours: Figures, floor: float, more: float, missed: str) -> None:
    targets = _judged(ours, _figures(8_000, per_s=1), floor=floor, more=more)
    assert {name for name, target in targets.items() if not target.reached} == {
        name for name in targets if name.endswith(missed)
    }


def test_results_of_a_day_are_replaced_and_those_of_other_days_kept(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    for day, text in (("2026-01-01", "a"), ("2026-01-02", "b"), ("2026-01-02", "c")):
        keep(results, [f"## {day}: rows", "", text, ""])
    written = results.read_text()
    assert written.index("2026-01-02") < written.index("2026-01-01")
    assert [line for line in written.splitlines() if len(line) == 1] == ["c", "a"]


def test_a_tape_repeats_answers_in_their_order_and_the_last_one_again() -> None:
    tapes, key, other = Tapes(), ("GET", "/services/data/", b""), ("GET", "/else", b"")
    tapes.put_in("one", replay=False)
    for answer in (b"1", b"2"):
        tapes.keep(key, answer)
    tapes.put_in("two", replay=False)
    tapes.keep(other, b"3")
    for _ in range(2):
        tapes.put_in("one", replay=True)
        assert [tapes.next(key) for _ in range(3)] == [b"1", b"2", b"2"]
        assert tapes.next(other) is None
