import itertools
import unittest

from intervals import ParseError, Ranges


class Parsing(unittest.TestCase):
    def test_ranges_that_touch_are_one(self):
        self.assertEqual(str(Ranges.parse("4-6, 1-3,9")), "1-6,9")

    def test_an_empty_text_is_the_empty_set(self):
        self.assertEqual(len(Ranges.parse(" ")), 0)

    def test_mistakes_are_named(self):
        for text in ("x", "1-", "-1", "3-2", "1,,2"):
            with self.subTest(text), self.assertRaises(ParseError):
                Ranges.parse(text)


class SetOperations(unittest.TestCase):
    """Every operation agrees with that of Python's own sets, for all small sets."""

    SETS = [set(c) for n in range(5) for c in itertools.combinations(range(5), n)]

    @staticmethod
    def ranges(numbers):
        return Ranges((n, n) for n in numbers)

    def test_union_and_intersection(self):
        for a, b in itertools.product(self.SETS, repeat=2):
            self.assertEqual(self.ranges(a) | self.ranges(b), self.ranges(a | b))
            self.assertEqual(self.ranges(a) & self.ranges(b), self.ranges(a & b))

    def test_what_is_shown_is_read_back(self):
        for numbers in self.SETS:
            self.assertEqual(set(Ranges.parse(str(self.ranges(numbers)))), numbers)


if __name__ == "__main__":
    unittest.main()
