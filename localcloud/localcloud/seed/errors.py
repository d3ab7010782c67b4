"""The one exception of seeding: a sentence for the person who typed the command."""

from __future__ import annotations


class SeedError(ValueError):
    """The org could not be seeded; the message is one clear sentence."""
