//! Writes archives in cpio's newc format, which the kernel unpacks before it starts `/init`.
//!
//! Every entry is root's, of no date, and numbered in the order of writing: the same entries give the same bytes.

use std::io::{self, Write};

const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// An archive under way.
#[derive(Debug)]
pub(crate) struct Archive<W> {
    to: W,
    inode: u32,
    written: u64,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, inode: 0, written: 0 }
    }

    pub(crate) fn folder(&mut self, name: &str) -> io::Result<()> {
        self.inode += 1;
        self.entry(self.inode, name, FOLDER | 0o755, &[])
    }

    pub(crate) fn file(&mut self, name: &str, permissions: u32, content: &[u8]) -> io::Result<()> {
        self.inode += 1;
        self.entry(self.inode, name, REGULAR | permissions, content)
    }

    /// Ends the archive. Another may follow it: the kernel unpacks archives one after the other.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.entry(0, "TRAILER!!!", 0, &[])?;
        Ok(self.to)
    }

    fn entry(&mut self, inode: u32, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let too_long =
            || io::Error::new(io::ErrorKind::FileTooLarge, "a file of 4 GiB does not go into a cpio");
        let size = u32::try_from(content.len()).map_err(|_| too_long())?;
        let links = if mode & FOLDER == FOLDER { 2 } else { 1 };
        let name_size = u32::try_from(name.len()).map_err(|_| too_long())? + 1;
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes(b"070701")?;
        for field in fields {
            self.bytes(format!("{field:08x}").as_bytes())?;
        }
        self.bytes(name.as_bytes())?;
        self.bytes(b"\0")?;
        self.pad()?;
        self.bytes(content)?;
        self.pad()
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    /// Headers and contents begin at multiples of four.
    fn pad(&mut self) -> io::Result<()> {
        let missing = self.written.next_multiple_of(4) - self.written;
        self.bytes(&[0; 3][..usize::try_from(missing).expect("it is less than four")])
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn an_archive_is_headers_names_and_contents_at_multiples_of_four() {
        let mut archive = Archive::new(Vec::new());
        archive.folder("modules").unwrap();
        archive.file("init", 0o755, b"12345").unwrap();
        let text = String::from_utf8(archive.finish().unwrap()).unwrap();
        let zeros = |count| "00000000".repeat(count);
        let expected = [
            &format!(
                "07070100000001000041ed{}00000002{}00000008{}modules\0\0\0",
                zeros(2),
                zeros(6),
                zeros(1)
            ),
            &format!(
                "07070100000002000081ed{}00000001{}00000005{}00000005{}init\0\0",
                zeros(2),
                zeros(1),
                zeros(4),
                zeros(1)
            ),
            "12345\0\0\0",
            &format!("070701{}00000001{}0000000b{}TRAILER!!!\0\0\0\0", zeros(4), zeros(6), zeros(1)),
        ]
        .map(|part: &str| part.to_owned())
        .concat();
        assert_eq!(text, expected);
        assert_eq!(text.len() % 4, 0);
    }
}
