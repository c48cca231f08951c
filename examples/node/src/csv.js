/** Reads and writes CSV as in RFC 4180: commas, double quotes, line ends CRLF or LF. */

export class CsvError extends Error {
  /** @param {string} message @param {number} line the line of the mistake, from 1 */
  constructor(message, line) {
    super(`line ${line}: ${message}`);
    this.line = line;
  }
}

/** The records of `text`, each a list of fields. @param {string} text @returns {string[][]} */
export function parse(text) {
  const records = [];
  let record = [];
  let field = '';
  let line = 1;
  let at = 0;
  const endRecord = () => {
    records.push([...record, field]);
    record = [];
    field = '';
  };
  while (at < text.length) {
    const c = text[at];
    if (c === '"' && field === '') {
      const opened = line;
      for (at += 1; ; at += 1) {
        if (at >= text.length) throw new CsvError('a quoted field does not end', opened);
        if (text[at] === '\n') line += 1;
        if (text[at] !== '"') field += text[at];
        else if (text[at + 1] === '"') field += text[(at += 1)];
        else break;
      }
      at += 1;
      if (at < text.length && !',\r\n'.includes(text[at])) {
        throw new CsvError('text after a quoted field', line);
      }
    } else if (c === '"') {
      throw new CsvError('a quote inside a field that is not quoted', line);
    } else if (c === ',') {
      record.push(field);
      field = '';
      at += 1;
    } else if (c === '\n' || (c === '\r' && text[at + 1] === '\n')) {
      endRecord();
      line += 1;
      at += c === '\r' ? 2 : 1;
    } else {
      field += c;
      at += 1;
    }
  }
  if (record.length > 0 || field !== '') endRecord();
  return records;
}

/** The text of `records`, one line each. @param {string[][]} records */
export function format(records) {
  const quote = (field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
  return records.map((record) => record.map(quote).join(',') + '\n').join('');
}
