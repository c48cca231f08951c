//! Archives that lie: nothing of them is outside of the image, and what cannot be is refused with its name.

use image::RootOrigin;
use image::tarball::{self, Whiteouts};
use image::tree::{Kind, Tree};

use crate::fixture::{Entry, Place, SHELL, tar, told};

/// The paths of a tree that comes of these layers, or why there is none.
fn layers(layers: &[&[Entry<'_>]]) -> Result<String, String> {
    let mut tree = Tree::new();
    for entries in layers {
        tree.next_layer();
        read(&mut tree, &tar(entries))?;
    }
    let paths = tree.walk().into_iter().map(|(path, id)| {
        let end = if matches!(tree.node(id).kind, Kind::Folder(_)) { "/" } else { "" };
        format!("{}{end}", String::from_utf8_lossy(&path))
    });
    Ok(paths.skip(1).collect::<Vec<_>>().join(" "))
}

fn read(tree: &mut Tree, archive: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    std::fs::write(&path, archive).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    tarball::read_into(tree, file, Whiteouts::Apply).map_err(|error| told(&error))
}

fn check(entries: &[&[Entry<'_>]], expected: &str) {
    assert_eq!(layers(entries).as_deref(), Ok(expected), "{entries:?}");
}

fn refused(entries: &[Entry<'_>], reason: &str) {
    let found = layers(&[entries]).expect_err("it is refused");
    assert!(found.contains(reason), "{found}");
}

use Entry::{Device, File, Folder, HardLink, Link};

#[test]
fn paths_stay_in_the_image() {
    check(&[&[File("/etc/passwd", "x")]], "/etc/ /etc/passwd");
    check(&[&[File("./a//b/./c", "x")]], "/a/ /a/b/ /a/b/c");
    refused(&[File("../a", "x")], "`../a` has a part `..`");
    refused(&[File("a/../../b", "x")], "has a part `..`");
    refused(&[HardLink("a", "../../etc/passwd")], "has a part `..`");
    refused(&[HardLink("a", "/etc/passwd")], "does not exist");
}

#[test]
fn links_lead_to_places_in_the_image() {
    check(&[&[Link("up", "../../.."), File("up/a", "x")]], "/a /up");
    check(&[&[Link("root", "/"), File("root/a", "x")]], "/a /root");
    check(
        &[&[Folder("usr/lib"), Link("lib", "usr/lib"), File("lib/a", "x")]],
        "/lib /usr/ /usr/lib/ /usr/lib/a",
    );
    check(&[&[Link("a", "/etc/passwd"), File("a", "x")]], "/a");
    refused(&[Link("a", "b"), Link("b", "a"), File("a/c", "x")], "too many symbolic links");
    refused(&[Link("a", "gone"), File("a/c", "x")], "does not exist");
    refused(&[File("a", "x"), File("a/b", "x")], "is not a folder");
    refused(&[Link("a", "")], "a link to nothing");
}

#[test]
fn devices_are_described_and_not_made() {
    check(&[&[Device("dev/null")]], "/dev/ /dev/null");
}

#[test]
fn whiteouts_take_away_what_lower_layers_have() {
    let lower: &[Entry<'_>] = &[File("d/a", "x"), File("d/b", "x"), File("e/f/g", "x")];
    check(&[lower, &[File("d/.wh.a", "")]], "/d/ /d/b /e/ /e/f/ /e/f/g");
    check(&[lower, &[File(".wh.e", "")]], "/d/ /d/a /d/b");
    check(&[lower, &[File("d/c", "x"), File("d/.wh..wh..opq", "")]], "/d/ /d/c /e/ /e/f/ /e/f/g");
    check(&[lower, &[File("e/f/h", "x"), File("e/.wh.f", "")]], "/d/ /d/a /d/b /e/ /e/f/ /e/f/h");
    check(&[lower, &[File("gone/.wh.x", "")]], "/d/ /d/a /d/b /e/ /e/f/ /e/f/g");
    check(&[lower, &[File(".wh..wh.plnk", "")]], "/d/ /d/a /d/b /e/ /e/f/ /e/f/g");
    refused(&[File("d/.wh...", "")], "`d/.wh...` is no name");
    refused(&[File("d/.wh.", "")], "is no name");
}

#[test]
fn what_is_over_a_folder_replaces_it_and_a_folder_keeps_what_is_in_it() {
    check(&[&[File("a/b", "x")], &[Folder("a")]], "/a/ /a/b");
    check(&[&[File("a/b", "x")], &[File("a", "x")]], "/a");
    check(&[&[Folder("usr"), Link("a", "usr")], &[Folder("a")]], "/a/ /usr/");
}

#[test]
fn an_archive_claims_no_more_than_it_has() {
    let mut tree = Tree::new();
    let cut = tar(&[File("a", &"x".repeat(2000))]);
    let error = read(&mut tree, &cut[..1024]).unwrap_err();
    assert!(error.contains("ends in the middle of `a`"), "{error}");

    let mut header = tar::Header::new_gnu();
    header.set_path("endless").unwrap();
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    let error = read(&mut tree, header.as_bytes()).unwrap_err();
    assert!(error.contains("ends in the middle of `endless`"), "{error}");

    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_cksum();
    let error = read(&mut tree, header.as_bytes()).unwrap_err();
    assert!(error.contains("larger than 1 MiB"), "{error}");

    let error = read(&mut tree, &[b'x'; 2048]).unwrap_err();
    assert!(error.contains("cannot read the archive"), "{error}");
}

#[test]
fn an_owner_is_a_number_or_left_out() {
    let mut header = tar::Header::new_gnu();
    header.set_path("a").unwrap();
    header.set_size(0);
    header.set_mode(0o644);
    let owner = |header: &tar::Header| {
        let mut tree = Tree::new();
        read(&mut tree, header.as_bytes())?;
        let metadata = &tree.node(tree.find(b"a").unwrap()).metadata;
        Ok::<_, String>((metadata.uid, metadata.gid))
    };
    header.set_cksum();
    assert_eq!(owner(&header), Ok((0, 0)));
    header.set_uid(u64::from(u32::MAX));
    header.set_cksum();
    assert_eq!(owner(&header), Ok((u32::MAX, 0)));
    header.set_uid(u64::from(u32::MAX) + 1);
    header.set_cksum();
    assert!(owner(&header).unwrap_err().contains("its owner has no number of 32 bits"));
    header.as_old_mut().uid = *b"nobody\0\0";
    header.set_cksum();
    assert!(owner(&header).is_err());
}

#[test]
fn names_that_do_not_fit_into_a_header_are_whole() {
    let mut builder = tar::Builder::new(Vec::new());
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(200));
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    builder.append_data(&mut header, &long, &b""[..]).unwrap();
    builder
        .append_pax_extensions([
            ("path", b"from-pax".as_slice()),
            ("SCHILY.xattr.user.a", b"value"),
            ("uid", b"3000000"),
        ])
        .unwrap();
    header.set_path("x").unwrap();
    header.set_cksum();
    builder.append(&header, &b""[..]).unwrap();
    let mut tree = Tree::new();
    read(&mut tree, &builder.into_inner().unwrap()).unwrap();
    assert!(tree.find(long.as_bytes()).is_ok());
    let node = tree.node(tree.find(b"from-pax").unwrap());
    assert_eq!(node.metadata.attributes["user.a"], b"value");
    assert_eq!((node.metadata.uid, node.metadata.gid), (3_000_000, 0));
}

proptest::proptest! {
    #[test]
    fn no_archive_makes_the_reader_panic(at: usize, value: u8, noise: Vec<u8>) {
        let mut archive = tar(&[Folder("d"), File("d/a", "text"), Link("l", "d"), HardLink("h", "d/a")]);
        let at = at % archive.len();
        archive[at] = value;
        drop(read(&mut Tree::new(), &archive));
        drop(read(&mut Tree::new(), &noise));
    }
}

#[test]
fn a_root_without_a_shell_is_no_image() {
    let place = Place::new();
    let check = |entries: &[Entry<'_>]| {
        let error = told(&place.build("x", entries).unwrap_err());
        assert!(error.contains("has no `/bin/sh`"), "{error}");
    };
    check(&[Folder("bin")]);
    check(&[Folder("bin/sh")]);
    check(&[Link("bin/sh", "/host/bin/sh")]);
    assert!(place.store.list().unwrap().is_empty());
}

#[test]
fn a_root_that_is_packed_is_unpacked_within_the_limit() {
    let place = Place::new();
    let archive = tar(&[SHELL, &[File("big", &"0".repeat(3 << 20))]].concat());
    let path = place.path().join("packed.tar");
    let check = |program: &str, packed: &[u8]| {
        std::fs::write(&path, packed).unwrap();
        let mut recipe = place.recipe(RootOrigin::Tar(path.clone()));
        let whole = place.store.build(program, &recipe, &|_| ()).unwrap();
        assert!(whole.manifest().root.size > 3 << 20);
        recipe.max_root = 1 << 20;
        let error = told(&place.store.build(program, &recipe, &|_| ()).unwrap_err());
        assert!(error.contains("unpacks to more than 1048576 bytes"), "{error}");
    };
    for program in ["gzip", "zstd", "xz"] {
        let plain = place.path().join("plain.tar");
        std::fs::write(&plain, &archive).unwrap();
        match std::process::Command::new(program).arg("-c").arg(&plain).output() {
            Ok(output) => check(program, &output.stdout),
            Err(_) => println!("skipped: {program}"),
        }
    }
}

#[test]
fn programs_of_another_processor_are_refused() {
    let place = Place::new();
    // For IBM's System z, whose highest byte comes first.
    let program = format!("\u{7f}ELF\u{2}\u{2}\u{1}{}\0\u{16}{}", "\0".repeat(11), "\0".repeat(44));
    let failed = place.build("x", &[Entry::File("bin/sh", &program)]).unwrap_err();
    let expected = format!(
        "the root file system is for another processor (ELF machine 5632), and this machine has {}",
        std::env::consts::ARCH
    );
    assert_eq!(told(&failed), expected);
}
