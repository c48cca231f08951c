//! The store keeps whole images, and nothing else under their names.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use image::{AGENT, Pruned, RootOrigin};

use crate::fixture::{Entry, Place, SHELL, told};

fn other() -> Vec<Entry<'static>> {
    [SHELL, &[Entry::File("other", "x")]].concat()
}

#[test]
fn an_image_is_found_by_name_digest_and_the_begin_of_a_digest() {
    let place = Place::new();
    let image = place.build("ci", SHELL).unwrap();
    assert_eq!(image.name(), Some("ci"));
    let digest = image.digest().to_string();
    for name in ["ci", &digest, &digest[..6]] {
        assert_eq!(place.store.get(name).unwrap().digest(), image.digest(), "{name}");
    }
    let missing = |name: &str| told(&place.store.get(name).unwrap_err());
    assert_eq!(missing("gone"), "there is no image `gone`");
    assert_eq!(missing(&digest[..5]), format!("there is no image `{}`", &digest[..5]));
    assert!(missing("../x").contains("`../x` is no name for an image"));
}

#[test]
fn an_image_has_what_a_machine_boots_from() {
    let place = Place::new();
    let image = place.build("ci", SHELL).unwrap();
    let manifest = image.manifest();
    assert_eq!((manifest.user.name.as_str(), manifest.user.uid, manifest.user.gid), ("runner", 1001, 1001));
    assert_eq!(manifest.kernel_release, "6.1.0-test");
    assert_eq!(manifest.environment["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    assert!(fs::read(image.kernel()).unwrap().starts_with(b"\x7fELF"));
    let initramfs = fs::read(image.initramfs().unwrap()).unwrap();
    // The header has 110 bytes, and `init` with its zero ends at a multiple of four.
    assert!(initramfs[116..].starts_with(AGENT));
    assert!(AGENT.starts_with(b"\x7fELF"));
    let text = String::from_utf8_lossy(&initramfs);
    assert!(text.contains("modules/order") && text.contains("modules/virtio_blk.ko"));
    assert_eq!(image.initramfs().unwrap(), image.initramfs().unwrap());
}

/// Needs no library of the image: it is the first program in a machine, and there is nothing else yet.
#[test]
fn the_agent_is_a_static_program() {
    const INTERPRETER: u32 = 3;
    let word = |at: usize| u64::from_le_bytes(AGENT[at..at + 8].try_into().unwrap()) as usize;
    let half = |at: usize| u16::from_le_bytes(AGENT[at..at + 2].try_into().unwrap()) as usize;
    let (table, size, count) = (word(0x20), half(0x36), half(0x38));
    let kinds =
        (0..count).map(|index| u32::from_le_bytes(AGENT[table + index * size..][..4].try_into().unwrap()));
    assert!(kinds.into_iter().all(|kind| kind != INTERPRETER));
}

#[test]
fn the_last_name_takes_the_image_with_it() {
    let place = Place::new();
    let digest = place.build("one", SHELL).unwrap().digest();
    place.build("two", SHELL).unwrap();
    let listed = place.store.list().unwrap();
    assert_eq!(listed.iter().map(|listed| listed.names.join(" ")).collect::<Vec<_>>(), ["one two"]);
    drop(listed);
    place.store.remove("one").unwrap();
    assert_eq!(place.store.get("two").unwrap().digest(), digest);
    place.store.remove("two").unwrap();
    assert!(place.store.list().unwrap().is_empty());
    assert!(!place.images().join(digest.to_string()).exists());
    place.build("one", SHELL).unwrap();
    place.build("two", SHELL).unwrap();
    place.store.remove(&digest.to_string()).unwrap();
    assert!(place.store.get("one").is_err() && place.store.get("two").is_err());
}

#[test]
fn an_image_that_is_used_stays() {
    let place = Place::new();
    let used = place.build("ci", SHELL).unwrap();
    assert_eq!(told(&place.store.remove("ci").unwrap_err()), "the image `ci` is in use");
    place.build("ci", &other()).unwrap();
    assert!(place.store.prune().unwrap().images.is_empty());
    let digest = used.digest();
    drop(used);
    assert_eq!(place.store.prune().unwrap().images, [digest]);
}

#[test]
fn a_name_that_is_built_again_names_the_new_image() {
    let place = Place::new();
    let old = place.build("ci", SHELL).unwrap().digest();
    let new = place.build("ci", &other()).unwrap().digest();
    assert_eq!(place.store.get("ci").unwrap().digest(), new);
    assert_eq!(place.store.prune().unwrap().images, [old]);
}

/// What a build has left that was killed: a folder whose lock nobody holds.
#[test]
fn a_killed_build_leaves_nothing_after_the_next_one() {
    let place = Place::new();
    let leave = || {
        let left = place.images().join("building/4194304-0");
        fs::create_dir_all(left.join("work/kernel")).unwrap();
        fs::write(left.join("lock"), "").unwrap();
        fs::write(left.join("work/root.tar"), "half").unwrap();
    };
    let count = || fs::read_dir(place.images().join("building")).unwrap().count();
    leave();
    let pruned = place.store.prune().unwrap();
    assert_eq!(pruned, Pruned { images: Vec::new(), unfinished: 1, bytes: 4 });
    assert_eq!(count(), 0);
    leave();
    place.build("ci", SHELL).unwrap();
    assert_eq!(count(), 0);
}

#[test]
fn a_build_that_fails_leaves_nothing() {
    let place = Place::new();
    place.build("ci", &[Entry::File("no-shell", "x")]).unwrap_err();
    let mut recipe = place.recipe(RootOrigin::Tar(place.tar(SHELL)));
    recipe.max_root = 4096;
    let error = told(&place.store.build("ci", &recipe, &|_| ()).unwrap_err());
    assert!(error.contains("4096 are allowed"), "{error}");
    assert_eq!(fs::read_dir(place.images().join("building")).unwrap().count(), 0);
    assert!(place.store.list().unwrap().is_empty());
}

/// One holds the lock of the name while the other begins; the other says that it waits, and goes on after that.
#[test]
fn builds_of_one_name_wait_for_each_other() {
    let place = Place::new();
    let lock = place.images().join("locks/ci");
    let mut holder = Command::new("flock")
        .arg(&lock)
        .args(["sh", "-c", "echo held; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let recipe = place.recipe(RootOrigin::Tar(place.tar(SHELL)));
    let (sender, news) = channel();
    std::thread::scope(|scope| {
        let building = scope.spawn(|| {
            let sender = std::sync::Mutex::new(sender);
            place.store.build("ci", &recipe, &|news| {
                drop(sender.lock().unwrap().send(format!("{news:?}")));
            })
        });
        assert!(news.recv().unwrap().contains("waiting for another build of this name"));
        drop(holder.stdin.take());
        assert!(building.join().unwrap().is_ok());
    });
    holder.wait().unwrap();
}

#[test]
fn builds_at_the_same_time_make_one_image() {
    let place = Place::new();
    let recipe = place.recipe(RootOrigin::Tar(place.tar(SHELL)));
    std::thread::scope(|scope| {
        let builds: Vec<_> = (0..6)
            .map(|number| {
                let (place, recipe) = (&place, &recipe);
                scope.spawn(move || place.store.build(&format!("n{}", number % 3), recipe, &|_| ()))
            })
            .collect();
        for build in builds {
            build.join().unwrap().unwrap();
        }
    });
    assert_eq!(place.store.list().unwrap().len(), 1);
}

/// Changes a whole image by `damage`, and says what the store has to say about it.
fn damaged(damage: impl FnOnce(&std::path::Path)) -> String {
    let place = Place::new();
    let image = place.build("ci", SHELL).unwrap();
    let folder = image.folder().to_owned();
    drop(image);
    damage(&folder);
    match place.store.get("ci") {
        Err(error) => told(&error),
        Ok(image) => told(&image.verify().expect_err("it was damaged")),
    }
}

#[test]
fn what_is_wrong_with_an_image_is_said() {
    let check = |said: String, expected: &str| assert!(said.contains(expected), "{said}");
    let name = |folder: &std::path::Path, file: &str| folder.join(file);
    check(
        damaged(|folder| fs::remove_file(name(folder, "manifest.json")).unwrap()),
        "is not an image of a virtual machine, or one that is incomplete",
    );
    check(damaged(|folder| fs::remove_file(name(folder, "vmlinux")).unwrap()), "incomplete");
    check(damaged(|folder| fs::write(name(folder, "manifest.json"), "{}").unwrap()), "`");
    check(
        damaged(|folder| fs::write(name(folder, "modules.cpio"), "short").unwrap()),
        "modules.cpio` has 5 bytes and should have",
    );
    check(
        damaged(|folder| {
            let root = fs::File::options().write(true).open(name(folder, "root.ext4")).unwrap();
            root.write_all_at(b"x", 5000).unwrap();
        }),
        "root.ext4` has the digest",
    );
}

/// A manifest with another text, under the digest that it then has.
fn changed(change: impl FnOnce(String) -> String) -> String {
    let place = Place::new();
    let image = place.build("ci", SHELL).unwrap();
    let text = change(fs::read_to_string(image.folder().join("manifest.json")).unwrap());
    let digest = image::Digest::of(text.as_bytes()).to_string();
    let folder = place.images().join(&digest);
    fs::rename(image.folder(), &folder).unwrap();
    fs::write(folder.join("manifest.json"), text).unwrap();
    told(&place.store.get(&digest).expect_err("it is another kind of image"))
}

#[test]
fn an_image_of_another_kind_is_named_as_such() {
    let check = |said: String, expected: &str| assert!(said.contains(expected), "{said}");
    check(
        changed(|text| text.replace("\"format\": 1", "\"format\": 9")),
        "has the format 9, this program reads 1",
    );
    check(
        changed(|text| text.replace(std::env::consts::ARCH, "riscv64")),
        "the image is for riscv64, this host is",
    );
    check(changed(|text| text.replace("\"labels\"", "\"names\"")), "unknown field `names`");
    check(changed(|_| "no JSON".into()), "is not the manifest of an image");
}

#[test]
fn a_damaged_image_is_replaced_when_it_is_built_again() {
    let place = Place::new();
    let image = place.build("ci", SHELL).unwrap();
    let root = fs::File::options().write(true).open(image.root()).unwrap();
    root.write_all_at(b"x", 5000).unwrap();
    drop(image);
    place.build("ci", SHELL).unwrap().verify().unwrap();
}

#[test]
fn what_an_older_program_boots_from_is_removed() {
    let place = Place::new();
    let image = place.build("ci", SHELL).unwrap();
    let current = image.initramfs().unwrap();
    fs::write(image.folder().join("initramfs-0123456789ab.cpio"), "old").unwrap();
    assert_eq!(place.store.prune().unwrap().bytes, 3);
    assert!(current.exists());
}
