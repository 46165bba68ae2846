"""See `tests.blocks`."""

from tests.blocks import attempt, block, folder

__all__ = ["attempt", "block", "folder"]
