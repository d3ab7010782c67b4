"""Errors of the target, each a sentence for a person; the exit codes are those of `microdecisions.errors`.

MicroDecisionError                exit 1
LedgerError                     exit 1   the ledger could not be read or written
AtlanError                      exit 1   Atlan answered with an error, or not at all, after all tries
AtlanRefusedError                      what was sent is refused; sending less may find out which part
ConfigurationError                exit 2
InputError                      exit 2   what came in is no Singer input, or no stream of events
LedgerLostError                 exit 2   Atlan's figures were written from another ledger
AtlanPermissionError            exit 2   the token is refused, or may not do what was asked
UnresolvedError                 exit 2   an object of the events is not in the catalog, and may not be missing
"""

from __future__ import annotations

from microdecisions.errors import ConfigurationError, MicroDecisionError

__all__ = [
    "AtlanError",
    "AtlanPermissionError",
    "AtlanRefusedError",
    "InputError",
    "LedgerError",
    "LedgerLostError",
    "UnresolvedError",
]


class LedgerError(MicroDecisionError):
    """The ledger could not be read or written."""


class LedgerLostError(ConfigurationError):
    """Atlan's figures were written from another ledger, or from a later state of this one."""


class InputError(ConfigurationError):
    """What came in is no Singer input, or no stream of events."""


class AtlanError(MicroDecisionError):
    """Atlan answered with an error, or not at all, after all tries."""


class AtlanRefusedError(AtlanError):
    """Atlan refuses what was sent as a whole (400, 404)."""


class AtlanPermissionError(ConfigurationError):
    """Atlan refuses the token, or the token may not do what was asked."""


class UnresolvedError(ConfigurationError):
    """An object that events are about is not in the catalog, and `on_unresolved` is `fail`."""
