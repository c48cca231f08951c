# Prints the Roman numeral of each argument. Does not know the subtractive forms yet.
BEGIN {
    count = split("1000 M 500 D 100 C 50 L 10 X 5 V 1 I", numerals, " ")
    for (i = 1; i < ARGC; i++) {
        number = ARGV[i]
        roman = ""
        for (n = 1; n < count; n += 2) {
            while (number >= numerals[n]) {
                roman = roman numerals[n + 1]
                number -= numerals[n]
            }
        }
        print roman
    }
}
