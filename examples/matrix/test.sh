#!/usr/bin/env bash
# test.sh CASES COMMAND...: runs COMMAND with the numbers of a case file and compares what it prints.
set -euo pipefail
cases=$1
shift
mapfile -t numbers < <(cut -f 1 "$cases")
failed=0
while IFS=$'\t' read -r number wanted && IFS= read -r found <&3; do
    if [[ $found != "$wanted" ]]; then
        echo "::error file=$cases,title=Wrong numeral::$number is $wanted, not $found"
        failed=1
    fi
done <"$cases" 3< <("$@" "${numbers[@]}")
((failed == 0)) && echo "${#numbers[@]} numerals are right"
exit "$failed"
