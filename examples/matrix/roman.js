// Prints the Roman numeral of each argument.
const numerals = Object.entries({ M: 1000, CM: 900, D: 500, CD: 400, C: 100, XC: 90, L: 50, XL: 40, X: 10, IX: 9, V: 5, IV: 4, I: 1 });

for (let number of process.argv.slice(2).map(Number)) {
  let roman = '';
  for (const [letters, value] of numerals) {
    roman += letters.repeat(Math.floor(number / value));
    number %= value;
  }
  console.log(roman);
}
