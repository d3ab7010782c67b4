"""What holds for the tests of every package."""

from __future__ import annotations

from hypothesis import settings

# A property is right or wrong; how long an example takes is the machine's business.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
