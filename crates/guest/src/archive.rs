//! Folders into and out of the guest, as tar archives in chunks.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};

use crate::output::{Failure, Replies, Window, lock};
use crate::protocol::{MAX_CHUNK, Reply, TAR_PIPELINE};

/// The archives that are under way, by the id of their request.
#[derive(Debug, Default)]
pub(crate) struct Archives {
    incoming: HashMap<u32, SyncSender<Vec<u8>>>,
    outgoing: Arc<Mutex<HashMap<u32, Arc<Window>>>>,
}

impl Archives {
    /// Begins to unpack what [`Archives::chunk`] will bring.
    pub(crate) fn put(&mut self, id: u32, destination: String, replies: &Arc<Replies>) -> io::Result<()> {
        let (sender, chunks) = sync_channel(TAR_PIPELINE);
        self.incoming.insert(id, sender);
        let replies = Arc::clone(replies);
        std::thread::Builder::new().name(format!("unpack-{id}")).spawn(move || {
            let reader = Chunks {
                id,
                chunks: Some(chunks),
                current: Vec::new(),
                used: 0,
                replies: Arc::clone(&replies),
            };
            // A host that is gone ends the agent from its reading side.
            let _ = replies.finish(id, unpack(reader, &destination));
        })?;
        Ok(())
    }

    /// Passes a chunk on; an empty one ends the archive. A chunk of an archive that failed is dropped.
    pub(crate) fn chunk(&mut self, id: u32, data: Vec<u8>) {
        let Some(sender) = self.incoming.get(&id) else { return };
        let is_last = data.is_empty();
        // Full is a host that does not wait for `Taken`: its archive is cut short, and unpacking fails.
        let refused =
            matches!(sender.try_send(data), Err(TrySendError::Full(_) | TrySendError::Disconnected(_)));
        if is_last || refused {
            self.incoming.remove(&id);
        }
    }

    /// Packs `root`, or only `entries` of it, on a thread of its own.
    pub(crate) fn get(
        &mut self,
        id: u32,
        root: String,
        entries: Vec<String>,
        replies: &Arc<Replies>,
    ) -> io::Result<()> {
        let window = Arc::new(Window::new());
        lock(&self.outgoing).insert(id, Arc::clone(&window));
        let (replies, outgoing) = (Arc::clone(replies), Arc::clone(&self.outgoing));
        std::thread::Builder::new().name(format!("pack-{id}")).spawn(move || {
            let result = pack(Sending { id, window, replies: Arc::clone(&replies) }, &root, &entries);
            lock(&outgoing).remove(&id);
            // As above.
            let _ = replies.finish(id, result);
        })?;
        Ok(())
    }

    pub(crate) fn grant(&self, id: u32, bytes: u32) {
        if let Some(window) = lock(&self.outgoing).get(&id) {
            window.grant(bytes);
        }
    }

    /// Gives up all that are under way.
    pub(crate) fn abandon_all(&mut self) {
        self.incoming.clear();
        lock(&self.outgoing).values().for_each(|window| window.abandon());
    }

    pub(crate) fn abandon(&mut self, id: u32) {
        self.incoming.remove(&id);
        if let Some(window) = lock(&self.outgoing).get(&id) {
            window.abandon();
        }
    }
}

fn unpack(reader: impl Read, destination: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(format!("unpack into `{destination}`"), &chain(&error));
    std::fs::create_dir_all(destination).map_err(failed)?;
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_overwrite(true);
    archive.unpack(destination).map_err(failed)?;
    // The end of an archive is padding that the reader of entries leaves behind.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(failed)?;
    Ok(())
}

/// The archive library keeps the cause apart from what it was doing.
fn chain(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.get_ref().and_then(|inner| std::error::Error::source(inner));
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn pack(writer: Sending, root: &str, entries: &[String]) -> Result<(), Failure> {
    let root = Path::new(root);
    let mut builder = tar::Builder::new(io::BufWriter::with_capacity(MAX_CHUNK, writer));
    builder.follow_symlinks(false);
    let failed =
        |path: &Path, error: &io::Error| Failure::new(format!("pack `{}`", path.display()), &chain(error));
    if entries.is_empty() {
        builder.append_dir_all("", root).map_err(|error| failed(root, &error))?;
    }
    for entry in entries {
        let path = root.join(entry);
        let is_folder = path.symlink_metadata().map_err(|error| failed(&path, &error))?.is_dir();
        let appended = if is_folder {
            builder.append_dir_all(entry, &path)
        } else {
            builder.append_path_with_name(&path, entry)
        };
        appended.map_err(|error| failed(&path, &error))?;
    }
    let mut buffer = builder.into_inner().map_err(|error| failed(root, &error))?;
    buffer.flush().map_err(|error| failed(root, &error))
}

struct Chunks {
    id: u32,
    /// `None` after the end.
    chunks: Option<Receiver<Vec<u8>>>,
    current: Vec<u8>,
    used: usize,
    replies: Arc<Replies>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.current.len() {
            let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the archive was cut short");
            let Some(chunks) = &self.chunks else { return Ok(0) };
            self.current = chunks.recv().map_err(|_| cut())?;
            self.used = 0;
            self.replies.send(&Reply::Taken { id: self.id })?;
            if self.current.is_empty() {
                self.chunks = None;
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.current.len() - self.used);
        buffer[..count].copy_from_slice(&self.current[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

struct Sending {
    id: u32,
    window: Arc<Window>,
    replies: Arc<Replies>,
}

impl Write for Sending {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let chunk = &data[..data.len().min(MAX_CHUNK)];
        if !self.window.take(chunk.len()) {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody wants the archive"));
        }
        self.replies.send(&Reply::Data { id: self.id, index: 0, data: chunk })?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::unpack;

    /// An archive with entries of these names: files, or links where there is a target.
    fn archive(entries: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, target) in entries {
            let mut header = tar::Header::new_gnu();
            // By hand: the library makes no archive that leads out of its folder.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_mode(0o644);
            header.set_size(if target.is_some() { 0 } else { 4 });
            if let Some(target) = target {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name(target).unwrap();
            }
            header.set_cksum();
            let content: &[u8] = if target.is_some() { b"" } else { b"evil" };
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// Whatever becomes of the archive, nothing is written outside of its folder.
    fn check(entries: impl Fn(&Path) -> Vec<(String, Option<String>)>) {
        let outside = tempfile::tempdir().unwrap();
        let inside = outside.path().join("inside");
        let entries = entries(outside.path());
        let entries: Vec<_> =
            entries.iter().map(|(name, target)| (name.as_str(), target.as_deref())).collect();
        let unpacked = unpack(&archive(&entries)[..], inside.to_str().unwrap());
        let names: Vec<_> =
            outside.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["inside"], "{entries:?} {unpacked:?}");
    }

    #[test]
    fn nothing_is_unpacked_outside_of_the_folder() {
        let file = |name: &str| (name.to_owned(), None);
        check(|_| vec![file("../escaped")]);
        check(|_| vec![file("a/../../escaped")]);
        check(|outside| vec![file(outside.join("e").to_str().unwrap())]);
        check(|outside| vec![("link".to_owned(), Some(outside.display().to_string())), file("link/escaped")]);
        check(|_| vec![("link".to_owned(), Some("..".to_owned())), file("link/escaped")]);
    }
}
