//! What processes print, as text within limits.

use bytes::Bytes;

/// Most bytes of one stream that an answer holds.
pub(crate) const MAX_OUTPUT: usize = 1 << 20;

/// One stream's output for an answer: the beginning, and a mark where there was more.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    bytes: Vec<u8>,
    left_out: u64,
}

impl Captured {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(MAX_OUTPUT - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.left_out += (bytes.len() - kept) as u64;
    }

    /// The text; what is no UTF-8 is replaced.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.left_out > 0 {
            text.push_str(&format!("\n[{} bytes more are left out]\n", self.left_out));
        }
        text
    }
}

/// One stream's output as pieces of text: a character that is cut between two pieces comes with the second.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// The beginning of a character, at most three bytes.
    cut: Vec<u8>,
}

impl Pieces {
    /// The text that these bytes complete.
    pub(crate) fn push(&mut self, bytes: &Bytes) -> String {
        self.cut.extend_from_slice(bytes);
        let whole = self.cut.len() - cut_length(&self.cut);
        let text = String::from_utf8_lossy(&self.cut[..whole]).into_owned();
        self.cut.drain(..whole);
        text
    }

    /// What is left at the end.
    pub(crate) fn end(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.cut)).into_owned()
    }
}

/// How many bytes at the end are the beginning of a character.
fn cut_length(bytes: &[u8]) -> usize {
    let end = &bytes[bytes.len().saturating_sub(3)..];
    for (index, byte) in end.iter().enumerate().rev() {
        let length = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        let there = end.len() - index;
        return if there < length { there } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{Captured, MAX_OUTPUT, Pieces};

    proptest! {
        #[test]
        fn text_that_is_cut_anywhere_comes_whole(text: String, cuts in proptest::collection::vec(0_usize..40, 0..20)) {
            let (mut pieces, mut rest, mut found) = (Pieces::default(), text.as_bytes(), String::new());
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                found.push_str(&pieces.push(&Bytes::copy_from_slice(piece)));
                rest = after;
            }
            found.push_str(&pieces.push(&Bytes::copy_from_slice(rest)));
            found.push_str(&pieces.end());
            prop_assert_eq!(found, text);
        }

        #[test]
        fn bytes_that_are_no_text_are_replaced_and_never_held_back(bytes: Vec<u8>) {
            let mut pieces = Pieces::default();
            let mut found = String::new();
            for byte in &bytes {
                found.push_str(&pieces.push(&Bytes::copy_from_slice(&[*byte])));
                prop_assert!(pieces.cut.len() <= 3);
            }
            found.push_str(&pieces.end());
            prop_assert!(bytes.is_empty() || !found.is_empty());
        }
    }

    #[test]
    fn much_output_is_cut_with_a_mark() {
        let mut captured = Captured::default();
        captured.push(&vec![b'x'; MAX_OUTPUT - 1]);
        captured.push(b"yz");
        captured.push(b"more");
        let text = captured.text();
        assert!(text.ends_with("xy\n[5 bytes more are left out]\n"));
        assert_eq!(text.len(), MAX_OUTPUT + "\n[5 bytes more are left out]\n".len());
    }
}
