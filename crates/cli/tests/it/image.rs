//! Images as they are handled on the command line. The kernel is one by its header only: nothing boots here.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::command::{Answer, Place, answer};

/// A place with a small root in `root.tar`, a kernel in `vmlinux` and its modules in `6.1.0-test`.
fn place() -> Place {
    let place = Place::new();
    let root = place.root();
    let mut kernel = vec![0; 4096];
    kernel[..6].copy_from_slice(b"\x7fELF\x02\x01");
    kernel[18] = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    fs::write(root.join("vmlinux"), kernel).expect("a file can be written");
    place.write("6.1.0-test/virtio_blk.ko", "\x7fELF\0depends=\0");
    place.write("6.1.0-test/modules.builtin", "overlay.ko\next4.ko\nvirtio_console.ko\n");
    place.write("tree/bin/sh", "#!shell");
    let packed = Command::new("tar").args(["-C", "tree", "-cf", "root.tar", "."]).current_dir(&root).status();
    assert!(packed.expect("tar starts").success());
    place
}

const KERNEL: &[&str] = &["--kernel", "vmlinux", "--modules", "6.1.0-test"];

fn build(place: &Place, name: &str, from: &str) -> Answer {
    place.call(&[&["image", "build", name, "--from", from], KERNEL].concat())
}

fn images(place: &Place) -> PathBuf {
    place.root().join("../.local/share/firedog/images")
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.code, Some(0), "{answer:?}");
    serde_json::from_str(&answer.stdout).expect("standard output is JSON")
}

#[test]
fn an_image_is_built_listed_shown_and_removed() {
    let place = place();
    let empty = place.call(&["image", "ls"]);
    assert_eq!((empty.code, empty.stderr.as_str()), (Some(0), "there are no images yet\n"));
    let built = build(&place, "mine", "tar:root.tar");
    assert_eq!(built.code, Some(0), "{built:?}");
    assert_eq!(built.stdout, "");
    let said: Vec<&str> = built.stderr.lines().collect();
    assert_eq!(said[..2], ["reading the archive ...", "writing the root file system ..."]);
    assert!(said[2].starts_with("built `mine` (") && said.len() == 3, "{said:?}");

    let listed = json(&place.call(&["image", "ls", "--format", "json"]));
    let image = &listed["images"][0];
    assert_eq!(image["names"][0], "mine");
    assert_eq!(image["manifest"]["kernel_release"], "6.1.0-test");
    let shown = json(&place.call(&["image", "inspect", "mine", "--verify", "--format", "json"]));
    assert_eq!(shown["digest"], image["digest"]);
    for part in ["kernel", "initramfs", "root"] {
        assert!(Path::new(shown[part].as_str().expect("it is a path")).is_file(), "{part}");
    }
    let text = place.call(&["image", "inspect", "mine"]).stdout;
    assert!(text.contains("user          runner (1001:1001), /home/runner"), "{text}");

    assert_eq!(place.call(&["image", "rm", "mine"]).code, Some(0));
    assert_eq!(json(&place.call(&["image", "ls", "--format", "json"]))["images"], serde_json::json!([]));
}

#[test]
fn a_second_build_of_the_same_input_is_the_same_image() {
    let place = place();
    let digest = |name: &str| {
        let arguments = ["image", "build", name, "--from", "tar:root.tar", "--format", "json"];
        json(&place.call(&[&arguments[..], KERNEL].concat()))["image"]["digest"].clone()
    };
    assert_eq!(digest("one"), digest("two"));
    let listed = place.call(&["image", "ls"]).stdout;
    assert!(listed.contains("one, two"), "{listed}");
}

#[test]
fn quiet_says_nothing() {
    let place = place();
    let arguments = [&["image", "build", "mine", "--from", "tar:root.tar", "--quiet"], KERNEL].concat();
    let built = place.call(&arguments);
    assert_eq!((built.code, built.stdout.as_str(), built.stderr.as_str()), (Some(0), "", ""));
}

/// A call that ends with `code` and says on standard error a text with `expected` in it.
fn check(answer: &Answer, code: i32, expected: &str) {
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(code), ""), "{answer:?}");
    assert!(answer.stderr.contains(expected), "{answer:?}");
}

#[test]
fn what_cannot_be_built_is_said() {
    let place = place();
    check(&build(&place, "../x", "tar:root.tar"), 2, "error: `../x` is no name for an image");
    check(
        &build(&place, "x", "tar:gone.tar"),
        2,
        "error: cannot build the image: cannot read `gone.tar`: No such",
    );
    check(&build(&place, "x", "tar:vmlinux"), 2, "cannot use `vmlinux`: cannot read the archive");
    check(&build(&place, "x", "dir:6.1.0-test"), 2, "has no `/bin/sh`, so no step could run in it");
    check(&build(&place, "x", "tar:"), 2, "`tar:` names nothing");
    check(&build(&place, "x", "floppy:a"), 2, "an image is not made from `floppy`");
    let kernel = |kernel: &str, modules: &str| {
        let from = ["image", "build", "x", "--from", "dir:tree"];
        place.call(&[&from[..], &["--kernel", kernel, "--modules", modules]].concat())
    };
    check(
        &kernel("root.tar", "6.1.0-test"),
        2,
        "`root.tar` is no kernel: it is neither an ELF file nor a Linux kernel",
    );
    check(&kernel("vmlinux", "tree"), 2, "the kernel has no `virtio_blk`");
    let mut large =
        place.command(&[&["image", "build", "x", "--from", "dir:tree", "--max-size", "1"], KERNEL].concat());
    fs::write(place.root().join("tree/large"), vec![1; 2 << 20]).expect("a file can be written");
    check(&answer(large.output().expect("it starts")), 2, "a larger limit is given with `--max-size`");
    let mut epoch = place.command(&[&["image", "build", "x", "--from", "dir:tree"], KERNEL].concat());
    let epoch = answer(epoch.env("SOURCE_DATE_EPOCH", "soon").output().expect("it starts"));
    check(&epoch, 2, "SOURCE_DATE_EPOCH is `soon`, which is no number of seconds");
}

#[test]
fn a_containerfile_makes_an_image() {
    let place = place();
    place.write("Containerfile", "FROM scratch\nARG WHO\nCOPY tree /\nENV WHO=$WHO\nLABEL made=here\n");
    let from = ["image", "build", "x", "--from", "containerfile:Containerfile", "--build-arg", "WHO=me"];
    let built = place.call(&[&from[..], KERNEL].concat());
    assert_eq!(built.code, Some(0), "{built:?}");
    let shown = json(&place.call(&["image", "inspect", "x", "--format", "json"]));
    assert!(
        shown.to_string().contains(r#""WHO":"me""#) && shown.to_string().contains(r#""made":"here""#),
        "{shown}"
    );
    place.write("Containerfile", "FROM scratch\nCMD x\n");
    let refused = "cannot do what `Containerfile` says: line 2: `CMD` is not read";
    check(&build(&place, "y", "containerfile:Containerfile"), 2, refused);
    let argument = ["image", "build", "y", "--from", "dir:tree", "--build-arg", "A=1"];
    check(&place.call(&argument), 2, "error: `--build-arg` goes with `--from containerfile:FILE` only");
}

#[test]
fn a_container_image_that_is_none_is_said() {
    let place = place();
    check(
        &build(&place, "x", "oci:./tree"),
        2,
        "`./tree` is no container image: it has no file `oci-layout`",
    );
    check(&build(&place, "x", "oci:Not/Lower"), 2, "`Not/Lower` is no reference to a container image");
    check(
        &build(&place, "x", "oci:localhost:1/a"),
        2,
        "cannot ask `http://localhost:1/v2/a/manifests/latest`",
    );
    place.write("../.docker/config.json", "no logins");
    check(&build(&place, "x", "oci:localhost:1/a"), 2, ".docker/config.json`: ");
}

#[test]
fn a_host_without_the_programs_is_told_which() {
    let place = place();
    let mut command = place.command(&[&["image", "build", "x", "--from", "debian"], KERNEL].concat());
    let answer = answer(command.env("PATH", "/nowhere").output().expect("it starts"));
    assert_eq!(answer.code, Some(3), "{answer:?}");
    assert!(answer.stderr.contains("is not installed ("), "{answer:?}");
}

#[test]
fn images_that_are_not_there_or_not_whole() {
    let place = place();
    let unknown = "error: there is no image `mine`\nhelp: `firedog image ls` lists the images\n";
    for verb in ["inspect", "rm"] {
        check(&place.call(&["image", verb, "mine"]), 2, unknown);
    }
    json(
        &place.call(
            &[&["image", "build", "mine", "--from", "tar:root.tar", "--format", "json"], KERNEL].concat(),
        ),
    );
    let shown = json(&place.call(&["image", "inspect", "mine", "--format", "json"]));
    fs::write(shown["root"].as_str().expect("it is a path"), "short").expect("a file can be written");
    let damaged = place.call(&["image", "inspect", "mine"]);
    check(&damaged, 2, "error: the image `mine` cannot be used: the image is damaged: `");
    check(&damaged, 2, "root.ext4` has 5 bytes and should have");
    check(&damaged, 2, "help: build it again with `firedog image build`");
    let listed = place.call(&["image", "ls"]);
    assert!(listed.stdout.contains("the image is damaged"), "{listed:?}");
}

/// The archive is a pipe that nobody writes to: the build waits there until it is killed.
#[test]
fn a_killed_build_leaves_what_the_next_removes() {
    let place = place();
    let pipe = Command::new("mkfifo").arg("pipe.tar").current_dir(place.root()).status();
    assert!(pipe.expect("mkfifo starts").success());
    let mut building = place.start(&[&["image", "build", "mine", "--from", "tar:pipe.tar"], KERNEL].concat());
    let mut line = String::new();
    let said = building.stderr.take().expect("it is piped");
    BufReader::new(said).read_line(&mut line).expect("it says something");
    assert_eq!(line, "reading the archive ...\n");
    building.kill().expect("it runs");
    building.wait().expect("it ends");
    let left = || fs::read_dir(images(&place).join("building")).expect("it is there").count();
    assert_eq!(left(), 1);
    assert_eq!(place.call(&["image", "prune"]).code, Some(0));
    assert_eq!(left(), 0);
}

#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
fn skipped(what: &str) {
    eprintln!("skipped: {what}");
}

/// Processes of this host that have the folder in their arguments.
fn processes_with(folder: &Path) -> usize {
    let folder = folder.canonicalize().expect("it is there").display().to_string();
    let processes = fs::read_dir("/proc").expect("it is there").flatten();
    let arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    arguments.filter(|arguments| String::from_utf8_lossy(arguments).contains(&folder)).count()
}

/// What installs packages has processes of its own, far below. As root all of them are in one namespace that ends
/// with the build; the test waits for that, and hangs where one stays.
#[test]
fn a_killed_build_ends_the_programs_that_it_started() {
    let place = place();
    if !rustix::process::geteuid().is_root() || Command::new("mmdebstrap").arg("--version").output().is_err()
    {
        skipped("mmdebstrap as root");
        return;
    }
    let from = ["image", "build", "mine", "--from", "debian", "--packages", "base"];
    let mut building = place.start(&[&from[..], KERNEL].concat());
    let mut line = String::new();
    let said = building.stderr.take().expect("it is piped");
    BufReader::new(said).read_line(&mut line).expect("it says something");
    assert_eq!(line, "installing Debian packages ...\n");
    let folder = images(&place).join("building");
    while processes_with(&folder) == 0 {
        assert!(building.try_wait().expect("it can be asked").is_none(), "it ended before it was killed");
        std::thread::yield_now();
    }
    building.kill().expect("it runs");
    building.wait().expect("it ends");
    while processes_with(&folder) > 0 {
        std::thread::yield_now();
    }
    assert_eq!(place.call(&["image", "prune"]).code, Some(0));
    assert_eq!(fs::read_dir(folder).expect("it is there").count(), 0);
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let place = place();
    fs::write(place.root().join("tree/large"), vec![1; 4 << 20]).expect("a file can be written");
    let data = place.root().join("small");
    fs::create_dir(&data).expect("a folder can be made");
    let original = place.command(&[&["image", "build", "x", "--from", "dir:tree"], KERNEL].concat());
    let mut command = Command::new("bwrap");
    command
        .args(["--dev-bind", "/", "/", "--size", "2097152", "--tmpfs"])
        .arg(&data)
        .arg("--chdir")
        .arg(place.root());
    command.arg(original.get_program()).args(original.get_args()).env("XDG_DATA_HOME", &data);
    let answer = answer(command.output().expect("bwrap starts"));
    if answer.stderr.contains("bwrap:") {
        skipped("a small disk made with bwrap --size");
        return;
    }
    check(&answer, 2, "No space left on device");
    check(
        &answer,
        2,
        "help: `firedog image prune` frees space; XDG_DATA_HOME can name a folder on another disk",
    );
}
