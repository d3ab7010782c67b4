"""Who decided: the rules are shared, and stand in `microdecisions.actors`."""

from __future__ import annotations

from microdecisions.actors import Actor, Actors, UserRow, classify

__all__ = ["Actor", "Actors", "UserRow", "classify"]
