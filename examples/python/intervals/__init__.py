"""Sets of whole numbers, kept as ranges: ``1-3,7,10-12``."""

from .ranges import ParseError, Ranges

__all__ = ["ParseError", "Ranges"]
