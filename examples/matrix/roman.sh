#!/usr/bin/env bash
# Prints the Roman numeral of each argument.
set -euo pipefail
numerals=(1000:M 900:CM 500:D 400:CD 100:C 90:XC 50:L 40:XL 10:X 9:IX 5:V 4:IV 1:I)
for number in "$@"; do
    roman=
    for numeral in "${numerals[@]}"; do
        while ((number >= ${numeral%%:*})); do
            roman+=${numeral#*:}
            ((number -= ${numeral%%:*}))
        done
    done
    echo "$roman"
done
