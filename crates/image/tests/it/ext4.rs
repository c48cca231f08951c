//! The file systems that are written are what the tools of ext4 take them for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use image::ext4;
use image::tree::{Content, Kind, Metadata, Tree};
use proptest::prelude::{Strategy, prop};
use proptest::test_runner::{Config, TestRunner};

use crate::fixture::{has_e2fsprogs, program};

/// Writes blocks of zeros as holes: a large file costs no space.
struct Sparse(File);

impl Write for Sparse {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.iter().all(|byte| *byte == 0) {
            self.0.seek(SeekFrom::Current(i64::try_from(data.len()).unwrap()))?;
            return Ok(data.len());
        }
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes the tree, and lets `e2fsck` look for anything that is not as it should be.
fn write(tree: &Tree, folder: &Path) -> std::path::PathBuf {
    let path = folder.join("root.ext4");
    let mut file = Sparse(File::create(&path).unwrap());
    ext4::write(tree, &mut file, &mut |_| ()).unwrap();
    let size = file.0.stream_position().unwrap();
    assert_eq!(size, ext4::size(tree).unwrap());
    file.0.set_len(size).unwrap();
    let output = Command::new(program("e2fsck")).args(["-f", "-n"]).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    path
}

/// What `debugfs` answers to a request.
fn debugfs(image: &Path, request: &str) -> Vec<u8> {
    let output = Command::new(program("debugfs")).args(["-R", request]).arg(image).output().unwrap();
    assert!(output.status.success(), "{request}");
    output.stdout
}

fn stat(image: &Path, path: &str) -> String {
    String::from_utf8(debugfs(image, &format!("stat {path}"))).unwrap()
}

fn bytes(content: &[u8]) -> Kind {
    Kind::Regular(Content::Bytes(Arc::from(content)))
}

fn folder() -> Kind {
    Kind::Folder(BTreeMap::new())
}

#[test]
fn everything_of_a_tree_is_in_the_file_system() {
    if !has_e2fsprogs() {
        return;
    }
    let mut tree = Tree::new();
    let owned = Metadata { uid: 70_000, gid: 100_001, modified: 1_700_000_000, ..Metadata::of_root(0o4751) };
    let mut capable = Metadata::of_root(0o755);
    capable
        .attributes
        .insert("security.capability".into(), b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec());
    capable.attributes.insert("user.note".into(), b"odd".to_vec());
    let long = "t".repeat(3000);
    tree.put(b"/a/file", owned, bytes(b"content\n")).unwrap();
    tree.put(b"/a/capable", capable, bytes(&[7; 5000])).unwrap();
    tree.put(b"/a/empty", Metadata::of_root(0o600), bytes(b"")).unwrap();
    tree.put(b"/short", Metadata::of_root(0o777), Kind::Link(b"a/file".to_vec())).unwrap();
    tree.put(b"/edge", Metadata::of_root(0o777), Kind::Link("e".repeat(60).into_bytes())).unwrap();
    tree.put(b"/long", Metadata::of_root(0o777), Kind::Link(long.clone().into_bytes())).unwrap();
    tree.put(b"/null", Metadata::of_root(0o666), Kind::Character { major: 1, minor: 3 }).unwrap();
    tree.put(b"/disk", Metadata::of_root(0o660), Kind::Block { major: 259, minor: 300 }).unwrap();
    tree.put(b"/pipe", Metadata::of_root(0o600), Kind::Pipe).unwrap();
    tree.put_hard_link(b"/b/same", b"/a/file").unwrap();
    let place = tempfile::tempdir().unwrap();
    let image = write(&tree, place.path());

    assert_eq!(debugfs(&image, "cat /b/same"), b"content\n");
    assert_eq!(debugfs(&image, "cat /a/capable"), [7; 5000]);
    assert_eq!(debugfs(&image, "cat /long"), long.into_bytes());
    let file = stat(&image, "/a/file");
    for part in ["Mode:  04751", "User: 70000", "Group: 100001", "Size: 8", "Links: 2", "mtime: 0x6553f100"] {
        assert!(file.contains(part), "{part}: {file}");
    }
    assert!(stat(&image, "/short").contains("Fast link dest: \"a/file\""));
    assert!(stat(&image, "/null").contains("Device major/minor number: 01:03"));
    assert!(stat(&image, "/disk").contains("Device major/minor number: 259:300"));
    let attributes = String::from_utf8(debugfs(&image, "ea_list /a/capable")).unwrap();
    assert!(
        attributes.contains("security.capability (20) = 01 00 00 02")
            && attributes.contains("user.note (3) = \"odd\""),
        "{attributes}"
    );
}

#[test]
fn a_folder_of_many_files_and_many_folders_has_many_blocks() {
    if !has_e2fsprogs() {
        return;
    }
    let mut tree = Tree::new();
    for number in 0..3000 {
        tree.put(
            format!("/many/file-with-a-long-name-{number}").as_bytes(),
            Metadata::of_root(0o644),
            bytes(b"x"),
        )
        .unwrap();
        tree.put(format!("/folders/{number}").as_bytes(), Metadata::of_root(0o755), folder()).unwrap();
    }
    let place = tempfile::tempdir().unwrap();
    let image = write(&tree, place.path());
    assert_eq!(debugfs(&image, "cat /many/file-with-a-long-name-2999"), b"x");
    assert!(stat(&image, "/folders").contains("Links: 3002"));
}

#[test]
fn more_inodes_than_one_group_has_need_more_groups() {
    if !has_e2fsprogs() {
        return;
    }
    let mut tree = Tree::new();
    for number in 0..70_000 {
        let path = format!("/{}/{number}", number % 100);
        tree.put(path.as_bytes(), Metadata::of_root(0o644), bytes(b"")).unwrap();
    }
    write(&tree, tempfile::tempdir().unwrap().path());
}

#[test]
fn a_file_of_more_extents_than_an_inode_holds_has_them_in_blocks() {
    if !has_e2fsprogs() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let length = (700 << 20) + 5;
    let mut large = tempfile::tempfile().unwrap();
    large.seek(SeekFrom::Start(length - 3)).unwrap();
    large.write_all(b"end").unwrap();
    let content = Content::Span { file: Arc::new(large), offset: 0, length };
    let mut tree = Tree::new();
    tree.put(b"/large", Metadata::of_root(0o644), Kind::Regular(content)).unwrap();
    tree.put(b"/after", Metadata::of_root(0o644), bytes(b"after")).unwrap();
    let image = write(&tree, place.path());
    assert!(stat(&image, "/large").contains(&format!("Size: {length}")));
    assert_eq!(debugfs(&image, "cat /after"), b"after");
}

#[test]
fn a_content_that_was_cut_is_an_error() {
    let mut tree = Tree::new();
    let content = Content::Span { file: Arc::new(tempfile::tempfile().unwrap()), offset: 0, length: 10 };
    tree.put(b"/cut", Metadata::of_root(0o644), Kind::Regular(content)).unwrap();
    assert!(ext4::write(&tree, &mut io::sink(), &mut |_| ()).is_err());
}

#[test]
fn any_tree_becomes_a_clean_file_system_with_its_contents() {
    if !has_e2fsprogs() {
        return;
    }
    let path = prop::collection::vec("[a-c]{1,3}", 1..4).prop_map(|parts| format!("/{}", parts.join("/")));
    let size = prop::sample::select(vec![0_usize, 1, 59, 60, 4095, 4096, 4097, 20_000]);
    let entries = prop::collection::vec((path, size, 0_u8..4), 0..30);
    let mut runner = TestRunner::new(Config { cases: 12, ..Config::default() });
    let ran = runner.run(&entries, |entries| {
        let mut tree = Tree::new();
        for (path, size, kind) in &entries {
            let content = path.as_bytes().repeat(size / path.len() + 1)[..*size].to_vec();
            let kind = match kind {
                0 => folder(),
                1 => Kind::Link(format!("/{}", "l".repeat(size % 4000)).into_bytes()),
                _ => bytes(&content),
            };
            // A file in the place of a folder on the way is refused: any tree that comes of it will do.
            drop(tree.put(path.as_bytes(), Metadata::of_root(0o755), kind));
        }
        let place = tempfile::tempdir().unwrap();
        let image = write(&tree, place.path());
        for (path, id) in tree.walk() {
            if let Kind::Regular(content) = &tree.node(id).kind {
                let path = String::from_utf8(path).unwrap();
                proptest::prop_assert_eq!(
                    debugfs(&image, &format!("cat {path}")),
                    content.read(1 << 20).unwrap()
                );
            }
        }
        Ok(())
    });
    ran.unwrap();
}
