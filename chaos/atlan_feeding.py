"""What a run of the target is fed: the new messages of a source, with what comes again, in blocks with a STATE each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chaos.atlan_truth import record_of, schema_of, state_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from random import Random

    from chaos.atlan_plan import Feed
    from chaos.atlan_truth import Message

__all__ = ["feed"]


def feed(file: Path, source: Sequence[Message], read: int, step: Feed, chance: Random) -> int:
    """Write the input of a run; returns the bookmark of its last STATE.

    Args:
        file: Where to.
        source: All that the source has told.
        read: Its bookmark.
        step: The run.
        chance: Of the story.
    """
    end = len(source) - int((len(source) - read) * step.withheld)
    lines: list[dict[str, Any]] = [schema_of(stream) for stream in sorted({message.stream for message in source})]
    begin = max(0, read - step.overlap)
    again = chance.sample(range(read), min(step.again, read))
    lines += [record_of(source[place]) for place in again]
    for start in range(begin, end, step.every):
        block = list(range(start, min(start + step.every, end)))
        if step.shuffled:
            block += chance.sample(block, len(block) // 4)
            chance.shuffle(block)
        lines += [record_of(source[place]) for place in block]
        if block and max(block) + 1 > read:
            lines.append(state_of(step.source, max(block) + 1))
    lines.append(state_of(step.source, end))
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return end
