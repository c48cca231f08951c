import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CsvError, format, parse } from '../src/csv.js';

test('fields are separated by commas and records by line ends', () => {
  assert.deepEqual(parse('a,b\r\nc,\n'), [['a', 'b'], ['c', '']]);
  assert.deepEqual(parse(''), []);
  assert.deepEqual(parse('last line'), [['last line']]);
});

test('a quoted field holds commas, quotes and line ends', () => {
  assert.deepEqual(parse('"a,b","say ""hi""","two\nlines"\n'), [['a,b', 'say "hi"', 'two\nlines']]);
});

test('mistakes name their line', () => {
  for (const [text, line] of [['a\n"b', 2], ['a"b', 1], ['"a"b', 1]]) {
    assert.throws(() => parse(text), (error) => error instanceof CsvError && error.line === line);
  }
});

test('what is written is read back', () => {
  const records = [['plain', 'a,b', 'x"y'], ['', 'two\nlines', 'ü']];
  assert.deepEqual(parse(format(records)), records);
});
