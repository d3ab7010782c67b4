"""Decoded events of topics become decisions: one `record_delete` or `record_undelete` per record. Pure.

What an event does not name (too many changes at once, wildcards, kinds of change that are not known) is never guessed
at: the object is returned as dirty, to be asked for its deletes. An event that cannot be understood at all stops its
topic. Which column of `delete_tracker` comes from where is in `docs/deletes.md`.
"""

from tap_salesforce_deletes.normalise.gap import gap_event
from tap_salesforce_deletes.normalise.normaliser import Normaliser
from tap_salesforce_deletes.normalise.parts import Dirty, Normalised

__all__ = ["Dirty", "Normalised", "Normaliser", "gap_event"]
