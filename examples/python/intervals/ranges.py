"""A set of whole numbers as ranges that neither overlap nor touch, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class ParseError(ValueError):
    """A text is not a list of ranges."""


class Ranges:
    """An immutable set of numbers from 0 up. Each range includes both of its ends."""

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()):
        merged: list[tuple[int, int]] = []
        for first, last in sorted(pairs):
            if first < 0 or last < first:
                raise ValueError(f"no range: {first}-{last}")
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        self._pairs = tuple(merged)

    @classmethod
    def parse(cls, text: str) -> Ranges:
        """Reads ``1-3,7``; blanks are allowed around numbers, an empty text is the empty set."""
        pairs = []
        for part in text.split(",") if text.strip() else []:
            first, dash, last = (word.strip() for word in part.partition("-"))
            if not first.isdecimal() or (dash and not last.isdecimal()):
                raise ParseError(f"no range: {part.strip()!r}")
            pairs.append((int(first), int(last or first)))
        try:
            return cls(pairs)
        except ValueError as error:
            raise ParseError(str(error)) from None

    def __or__(self, other: Ranges) -> Ranges:
        return Ranges(self._pairs + other._pairs)

    def __and__(self, other: Ranges) -> Ranges:
        overlaps = ((max(a, c), min(b, d)) for a, b in self._pairs for c, d in other._pairs)
        return Ranges(pair for pair in overlaps if pair[0] <= pair[1])

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self._pairs)

    def __iter__(self) -> Iterator[int]:
        for first, last in self._pairs:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._pairs == other._pairs

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __str__(self) -> str:
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self._pairs)
