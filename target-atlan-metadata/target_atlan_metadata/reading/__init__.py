"""Reading Singer input: blocks of lines, decoded at once, in their order."""

from target_atlan_metadata.reading.blocks import BlockReader, Receiver
from target_atlan_metadata.reading.streams import UNREADABLE, EventStream, event_stream

__all__ = ["UNREADABLE", "BlockReader", "EventStream", "Receiver", "event_stream"]
