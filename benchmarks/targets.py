"""What the figures of the tap have to reach beside the peers and the floors, and whether they do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.measured import Figures

__all__ = ["Target", "judged", "lines_of"]

PEERS = {"rest": ("singer_io_rest",), "bulk2": ("airbyte_full", "airbyte_incremental")}
TIMES_A_PEER = {"rest": 20, "bulk2": 12}
OF_THE_FLOOR = 0.45
TIMES_A_PEER_WITH_LATENCY = 5
MOST_CALLS, CALLS_MORE = 1.05, 25
MOST_MB, MOST_GROWTH = 150, 1.1
_MIB = 2**20 / 10**6  # in MB


@dataclass(frozen=True)
class Target:
    """One figure and what it should be.

    Attributes:
        name: Key in the results.
        got: The figure.
        wanted: What it should be, in words.
        reached: Whether it is.
    """

    name: str
    got: float
    wanted: str
    reached: bool


def judged(
    plain: Mapping[str, Figures],
    latency: Mapping[str, Figures],
    static: Mapping[str, Figures],
    more: Mapping[str, float],
) -> list[Target]:
    """Compare our figures with those of the best peer in the same mode, and with the floor.

    Args:
        plain: Figures by contender.
        latency: The same with latency.
        static: The same on recorded answers.
        more: Peak memory with five times as many rows, in MiB; empty when it was not measured.
    """
    found: list[Target] = []
    for mode, peers in PEERS.items():
        for where, figures in (("", plain), ("static_", static)):
            found += _cpu(f"{where}{mode}", mode, figures)
        found += _calls(mode, plain)
        size = plain[f"ours_{mode}"].rss_mib
        found.append(_at_most(f"{mode}_peak_mb", size * _MIB, MOST_MB))
        if f"ours_{mode}" in more:
            found.append(_at_most(f"{mode}_peak_5m_to_1m", more[f"ours_{mode}"] / size, MOST_GROWTH))
        found += _wall(f"{mode}_wall_with_latency_to_peer", [f"ours_{mode}"], peers, latency)
    every = [peer for of_mode in PEERS.values() for peer in of_mode]
    found += _wall("wall_with_latency_to_any_peer", [f"ours_{mode}" for mode in PEERS], every, latency)
    return found


def lines_of(targets: Sequence[Target]) -> Iterator[str]:
    """Lines of a table of targets."""
    yield "| target | got | wanted | |"
    yield "|---|---:|---:|---|"
    for target in targets:
        verdict = "reached" if target.reached else "NOT REACHED"
        yield f"| {target.name} | {target.got:,g} | {target.wanted} | {verdict} |"


def _cpu(name: str, mode: str, figures: Mapping[str, Figures]) -> Iterator[Target]:
    ours = figures[f"ours_{mode}"].rows_per_cpu_s
    peers = [figures[peer].rows_per_cpu_s for peer in PEERS[mode] if peer in figures]
    if peers:
        yield _at_least(f"{name}_cpu_to_peer", ours / max(peers), TIMES_A_PEER[mode])
    yield _at_least(f"{name}_cpu_to_floor", ours / figures[f"floor_{mode}"].rows_per_cpu_s, OF_THE_FLOOR)


def _calls(mode: str, figures: Mapping[str, Figures]) -> Iterator[Target]:
    peers = [figures[peer].api_calls for peer in PEERS[mode] if peer in figures]
    if peers:
        yield _at_most(f"{mode}_api_calls", figures[f"ours_{mode}"].api_calls, MOST_CALLS * min(peers) + CALLS_MORE)


def _wall(name: str, ours: Sequence[str], peers: Sequence[str], figures: Mapping[str, Figures]) -> Iterator[Target]:
    best = [figures[peer].rows_per_s for peer in peers if peer in figures]
    if best:
        got = max(figures[one].rows_per_s for one in ours) / max(best)
        yield _at_least(name, got, TIMES_A_PEER_WITH_LATENCY)


def _at_least(name: str, got: float, wanted: float) -> Target:
    return Target(name, round(got, 2), f"at least {wanted:,g}", got >= wanted)


def _at_most(name: str, got: float, wanted: float) -> Target:
    return Target(name, round(got, 2), f"at most {wanted:,g}", got <= wanted)
