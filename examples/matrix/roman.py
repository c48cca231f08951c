"""Prints the Roman numeral of each argument."""

import sys

NUMERALS = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]

for number in map(int, sys.argv[1:]):
    roman = ""
    for value, letters in NUMERALS:
        count, number = divmod(number, value)
        roman += letters * count
    print(roman)
