//! Lines, keys and scalars of block YAML.

use workflow::source::Span;

/// The lines of a text. Offsets that are passed in are in the text, at the bounds of characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'t> {
    pub(super) text: &'t str,
}

impl Lines<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The end of the line that `at` is in, before its line break.
    pub(super) fn end(&self, at: usize) -> usize {
        let rest = &self.text.as_bytes()[at.min(self.text.len())..];
        at + rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len())
    }

    /// Where the line behind the one that `at` is in begins.
    pub(super) fn next(&self, at: usize) -> usize {
        let end = self.end(at);
        match (self.byte(end), self.byte(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => end + 2,
            (Some(_), _) => end + 1,
            (None, _) => end,
        }
    }

    /// The first character of the line that is no blank, or the line's end.
    pub(super) fn indent(&self, start: usize) -> usize {
        self.skip_blanks(start)
    }

    pub(super) fn skip_blanks(&self, at: usize) -> usize {
        let rest = &self.text.as_bytes()[at.min(self.text.len())..];
        at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    }

    fn ends_word(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\t' | b'\n' | b'\r'))
    }

    /// Whether an item begins.
    pub(super) fn is_dash(&self, at: usize) -> bool {
        self.byte(at) == Some(b'-') && self.ends_word(at + 1)
    }

    /// Whether a comment begins, where a word might.
    pub(super) fn is_comment(&self, at: usize) -> bool {
        self.byte(at) == Some(b'#') && (at == 0 || self.ends_word(at - 1))
    }

    /// The place behind an anchor and a tag, where something follows them in the line.
    pub(super) fn skip_properties(&self, start: usize) -> usize {
        let mut at = start;
        while matches!(self.byte(at), Some(b'&' | b'!')) {
            while !self.ends_word(at) {
                at += 1;
            }
            at = self.skip_blanks(at);
        }
        if at == self.end(at) { start } else { at }
    }

    /// A key that begins here, with the offset of its colon.
    pub(super) fn key(&self, at: usize) -> Option<(Span, usize)> {
        let end = match self.byte(at)? {
            quote @ (b'"' | b'\'') => {
                let end = self.quoted_in_line(at, quote)?;
                let colon = self.skip_blanks(end);
                return (self.byte(colon) == Some(b':') && self.ends_word(colon + 1))
                    .then(|| (Span::new(at, end), colon));
            }
            b'[' | b']' | b'{' | b'}' | b',' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'%' | b'@'
            | b'`' => {
                return None;
            }
            _ => self.end(at),
        };
        let colon = (at..end).find(|place| self.byte(*place) == Some(b':') && self.ends_word(place + 1))?;
        let written = &self.text[at..colon];
        let is_comment = written.contains(" #") || written.contains("\t#");
        (!is_comment && colon > at).then(|| (Span::new(at, at + written.trim_end().len()), colon))
    }

    /// The end of a quoted text that ends in its line.
    fn quoted_in_line(&self, at: usize, quote: u8) -> Option<usize> {
        let end = self.end(at);
        let mut place = at + 1;
        while place < end {
            match self.byte(place) {
                Some(b'\\') if quote == b'"' => place += 2,
                Some(byte) if byte == quote && quote == b'\'' && self.byte(place + 1) == Some(quote) => {
                    place += 2
                }
                Some(byte) if byte == quote => return Some(place + 1),
                _ => place += 1,
            }
        }
        None
    }

    /// The end of a quoted text under a key of this column. One that is not closed ends with the line.
    pub(super) fn quoted_end(&self, at: usize, quote: u8, column: usize) -> usize {
        let mut place = at + 1;
        let mut last = self.trimmed_end(at);
        while place < self.text.len() {
            match self.byte(place) {
                Some(b'\\') if quote == b'"' => place += 1,
                Some(byte) if byte == quote && quote == b'\'' && self.byte(place + 1) == Some(quote) => {
                    place += 1
                }
                Some(byte) if byte == quote => return place + 1,
                Some(b'\n' | b'\r') => {
                    let start = self.next(place);
                    let first = self.indent(start);
                    let is_blank = first == self.end(start);
                    if !is_blank && first - start <= column {
                        return last;
                    }
                    last = if is_blank { last } else { self.trimmed_end(start) };
                    place = first;
                    continue;
                }
                _ => {}
            }
            place += 1;
        }
        last.max(at)
    }

    /// The line's end without blanks.
    fn trimmed_end(&self, at: usize) -> usize {
        at + self.text[at..self.end(at)].trim_end_matches([' ', '\t']).len()
    }

    /// The end of a plain text in its line: before blanks and a comment.
    pub(super) fn plain_end(&self, at: usize) -> usize {
        let line = &self.text[at..self.end(at)];
        let comment =
            line.match_indices('#').map(|(place, _)| place).find(|place| self.is_comment(at + place));
        at + line[..comment.unwrap_or(line.len())].trim_end_matches([' ', '\t']).len()
    }

    /// The end of a plain text under a key of this column, lines that continue it included.
    pub(super) fn plain_lines_end(&self, at: usize, column: usize) -> usize {
        let mut end = self.plain_end(at);
        if self.plain_end(at) < self.trimmed_end(at) {
            return end;
        }
        let mut start = self.next(at);
        while start < self.text.len() {
            let first = self.indent(start);
            let is_blank = first == self.end(start);
            if !is_blank {
                let goes_on = first - start > column
                    && !self.is_comment(first)
                    && !self.is_dash(first)
                    && self.key(first).is_none();
                if !goes_on {
                    return end;
                }
                end = self.plain_end(first);
            }
            start = self.next(start);
        }
        end
    }

    /// The end of a block scalar under a key of this column: the end of its last line.
    pub(super) fn block_end(&self, at: usize, column: usize) -> usize {
        let mut end = self.end(at);
        let mut start = self.next(at);
        while start < self.text.len() {
            let first = self.indent(start);
            let line_end = self.end(start);
            if first < line_end {
                if first - start <= column {
                    return end;
                }
                end = line_end;
            }
            start = self.next(start);
        }
        end
    }
}
