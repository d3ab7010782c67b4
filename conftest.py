"""What holds for the tests of every package."""

from __future__ import annotations

from hypothesis import settings

# A property is right or wrong; how long an example takes is the machine's business. The suite tries the same examples
# every time; `--hypothesis-profile=search` tries others.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None)
settings.load_profile("suite")
