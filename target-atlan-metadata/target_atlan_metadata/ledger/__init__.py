"""The ledger: every primary event counted once, whatever is replayed, repeated or late."""

from target_atlan_metadata.activity import CellActivity, Last
from target_atlan_metadata.ledger.database import is_file_of
from target_atlan_metadata.ledger.intake import Received
from target_atlan_metadata.ledger.ledger import Ledger

__all__ = ["CellActivity", "Last", "Ledger", "Received", "is_file_of"]
