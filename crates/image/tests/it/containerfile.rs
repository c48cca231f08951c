//! Roots that are made as containerfiles say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{BuildError, Image, RootOrigin};
use serde_json::json;

use crate::container::{Container, Packed, cat};
use crate::fixture::{Entry, Place, SHELL, has_e2fsprogs, program, told};

/// A folder with a containerfile and what it may copy: `root`, which has a shell, and some files.
struct Context {
    place: Place,
    arguments: BTreeMap<String, String>,
}

impl Context {
    fn new() -> Self {
        let context = Self { place: Place::new(), arguments: BTreeMap::new() };
        context.write("root/bin/sh", "#!shell");
        context
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("context")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn build(&self, text: &str) -> Result<Image, BuildError> {
        self.write("Containerfile", text);
        let path = self.folder().join("Containerfile");
        let recipe = self.place.recipe(RootOrigin::Containerfile { path, arguments: self.arguments.clone() });
        self.place.store.build("test", &recipe, &|_| ())
    }

    /// What the failure says behind the path of the containerfile.
    fn failure(&self, text: &str) -> String {
        let told = told(&self.build(text).unwrap_err());
        let before = format!("cannot do what `{}` says: ", self.folder().join("Containerfile").display());
        told.strip_prefix(&before).unwrap_or(&told).to_owned()
    }
}

const BASE: &str = "FROM scratch\nCOPY root /\n";

#[test]
fn settings_become_those_of_the_image() {
    let context = Context::new();
    let text = format!(
        "ARG VERSION=1\n{BASE}ARG VERSION\nARG OTHER=$VERSION.2\nENV A=one B=\"$A two\" C='$A'\nENV D=${{A}}-${{OTHER}}\n\
         LABEL version=$OTHER\nWORKDIR /srv\nWORKDIR $A\n"
    );
    let image = context.build(&text).unwrap();
    let manifest = image.manifest();
    let expected = [("A", "one"), ("B", " two"), ("C", "$A"), ("D", "one-1.2")];
    for (name, value) in expected {
        assert_eq!(manifest.environment[name], value, "{name}");
    }
    assert_eq!(manifest.labels["version"], "1.2");
    assert_eq!(manifest.working_directory, "/srv/one");
    assert_eq!(manifest.origin, "containerfile");
    let mut context = context;
    context.arguments.insert("VERSION".to_owned(), "9".to_owned());
    assert_eq!(context.build(&text).unwrap().manifest().labels["version"], "9.2");
}

#[test]
fn files_are_copied_as_docker_copies_them() {
    if !has_e2fsprogs() {
        return;
    }
    let context = Context::new();
    for (path, text) in
        [("a.txt", "a"), ("b.txt", "b"), ("folder/c", "c"), ("folder/deep/d", "d"), ("log.tmp", "l")]
    {
        context.write(path, text);
    }
    context.write(".dockerignore", "*.tmp\nfolder/deep\n");
    symlink("a.txt", context.folder().join("link")).unwrap();
    let archive = context.folder().join("some.tar.gz");
    let folder = context.folder().join("folder");
    let packed = Command::new("tar").arg("-C").arg(folder).arg("-czf").arg(archive).arg("deep").status();
    assert!(packed.unwrap().success());
    let text = format!(
        "{BASE}WORKDIR /w\nCOPY a.txt b.txt into/\nCOPY a.txt renamed\nCOPY folder under\nCOPY *.t?t folder/c /all/\n\
         COPY link followed\nADD some.tar.gz unpacked\nADD a.txt plain\nCOPY --chmod=600 --chown=12:34 b.txt owned\n"
    );
    let image = context.build(&text).unwrap();
    let expected = [
        ("/w/into/a.txt", "a"),
        ("/w/into/b.txt", "b"),
        ("/w/renamed", "a"),
        ("/w/under/c", "c"),
        ("/all/a.txt", "a"),
        ("/all/b.txt", "b"),
        ("/all/c", "c"),
        ("/w/followed", "a"),
        ("/w/unpacked/deep/d", "d"),
        ("/w/plain", "a"),
    ];
    for (path, content) in expected {
        assert_eq!(cat(&image, path).as_deref(), Ok(content), "{path}");
    }
    assert!(cat(&image, "/w/under/deep/d").is_err());
    let stat =
        Command::new(program("debugfs")).args(["-R", "stat /w/owned"]).arg(image.root()).output().unwrap();
    let stat = String::from_utf8_lossy(&stat.stdout).into_owned();
    assert!(stat.contains("Mode:  0600") && stat.contains("User:    12   Group:    34"), "{stat}");
}

#[test]
fn nothing_outside_of_the_context_is_copied() {
    let context = Context::new();
    fs::write(context.place.path().join("secret"), "secret").unwrap();
    symlink("/etc/passwd", context.folder().join("absolute")).unwrap();
    symlink("../secret", context.folder().join("relative")).unwrap();
    symlink("/", context.folder().join("everything")).unwrap();
    let copied = |what: &str| context.failure(&format!("{BASE}COPY {what} /x"));
    assert_eq!(copied("../secret"), "line 3: `../secret` leads out of where is copied from");
    assert_eq!(copied("a/../../secret"), "line 3: `a/../../secret` leads out of where is copied from");
    assert_eq!(copied("/etc/passwd"), "line 3: there is no `/etc/passwd` to copy");
    assert_eq!(copied("absolute"), "line 3: there is no `absolute` to copy");
    assert_eq!(copied("relative"), "line 3: there is no `relative` to copy");
    assert_eq!(copied("everything/etc/passwd"), "line 3: there is no `everything/etc/passwd` to copy");
}

#[test]
fn what_is_refused_is_named_with_its_line() {
    let context = Context::new();
    let check = |text: &str, expected: &str| assert_eq!(context.failure(text), expected, "{text}");
    check("", "line 1: there is no `FROM`");
    check("RUN x", "line 1: the first instruction must be `FROM`");
    check(
        "FROM scratch\nENTRYPOINT x",
        "line 2: `ENTRYPOINT` is not read: it says how a container is run, and an image here is for machines",
    );
    let far = "line 2: `https://a/b` is not in the containerfile's folder; use `RUN` with a program that downloads it";
    check("FROM scratch\nADD https://a/b /", far);
    check("FROM scratch\nENV A=${B%x}", "line 2: `${B%x}` is not understood: only `:-` and `:+` are");
    check("FROM scratch\nCOPY --chmod=rwx root /", "line 2: `rwx` is no number of permissions, such as 755");
    let nobody = "line 2: the image's user `nobody` is not in its `/etc/passwd`";
    check("FROM scratch\nCOPY --chown=nobody root /", nobody);
    check(
        "FROM Not/a/reference",
        "line 1: finding the base: `Not/a/reference` is no reference to a container image: \
         a name has lower-case letters, digits and single `.`, `_` and `-` between them",
    );
    context.write("a", "");
    context.write("b", "");
    check(
        "FROM scratch\nCOPY a b /c",
        "line 2: several files are copied, so `/c` must be a folder: write a `/` behind it",
    );
    check("FROM scratch", "the root file system has no `/bin/sh`, so no step could run in it");
}

#[test]
fn stages_begin_with_others_and_copy_from_them() {
    if !has_e2fsprogs() {
        return;
    }
    let context = Context::new();
    context.write("made", "1");
    let layer = [SHELL, &[Entry::File("from-base", "base")]].concat();
    let container =
        Container::with(&[(&layer, Packed::Gzip)], "amd64", json!({"Env": ["A=base"], "User": "7:8"}));
    container.layout(&context.folder());
    let text = "FROM scratch AS build\nCOPY made /out/made\nFROM build AS more\nENV B=2\nCOPY made /out/more\n\
                FROM oci:layout\nCOPY --from=build /out /first/\nCOPY --from=1 /out/more /\nENV C=$A$B\n";
    let image = context.build(text).unwrap();
    for (path, content) in [("/from-base", "base"), ("/first/made", "1"), ("/more", "1")] {
        assert_eq!(cat(&image, path).as_deref(), Ok(content), "{path}");
    }
    assert!(cat(&image, "/out/made").is_err());
    assert_eq!(image.manifest().environment["C"], "base");
    assert_eq!((image.manifest().user.uid, image.manifest().user.gid), (7, 8));
}

/// Copies programs of this host, with the libraries that they load, into the context's root.
fn copy_programs(root: &Path, names: &[&str]) {
    for name in names {
        let path = ["/bin", "/usr/bin"]
            .map(|folder| Path::new(folder).join(name))
            .into_iter()
            .find(|path| path.exists());
        let path = path.unwrap().canonicalize().unwrap();
        let needed = Command::new("ldd").arg(&path).output().unwrap();
        let needed = String::from_utf8(needed.stdout).unwrap();
        let libraries = needed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
        let copies =
            libraries.map(|library| (library.clone(), library)).chain([(path, Path::new("/bin").join(name))]);
        for (from, to) in copies {
            let to = root.join(to.strip_prefix("/").unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from.canonicalize().unwrap(), to).unwrap();
        }
    }
}

#[test]
fn commands_change_the_root_and_see_nothing_of_the_host() {
    if !has_e2fsprogs() {
        return;
    }
    if Command::new("bwrap").args(["--ro-bind", "/", "/", "--unshare-pid", "true"]).status().is_err() {
        println!("skipped: bwrap (bubblewrap)");
        return;
    }
    let mut context = Context::new();
    copy_programs(
        &context.folder().join("root"),
        &["sh", "id", "cat", "mkdir", "touch", "env", "ls", "chown"],
    );
    context.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nme:x:1234:1235::/home/me:/bin/sh\n");
    let outside = context.place.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    context.arguments.insert("GIVEN".to_owned(), "by argument".to_owned());
    let text = format!(
        "{BASE}ARG GIVEN\nENV SET=\"by environment\"\nWORKDIR /work\nRUN id -u > who && echo \"$GIVEN, $SET\" > said\n\
         RUN mkdir -p /made && chown 1234:1235 /made && test ! -e {}\nUSER me\nRUN id -u > /made/who && echo $HOME >> /made/who\n\
         RUN [\"touch\", \"/made/exec form\"]\nSHELL [\"/bin/env\", \"X=y\", \"/bin/sh\", \"-c\"]\nRUN echo $X > /made/shell\n\
         USER root\nRUN test \"$(cat /made/shell)\" = y && ls /dev > /devices\n",
        outside.display()
    );
    let image = context.build(&text).unwrap();
    let expected = [
        ("/work/who", "0\n"),
        ("/work/said", "by argument, by environment\n"),
        ("/made/who", "1234\n/home/me\n"),
        ("/made/exec form", ""),
        ("/made/shell", "y\n"),
    ];
    for (path, content) in expected {
        assert_eq!(cat(&image, &format!("\"{path}\"")).as_deref(), Ok(content), "{path}");
    }
    assert!(!cat(&image, "/devices").unwrap().contains("sda"));
    assert_eq!(image.manifest().user.name, "runner");
    assert_eq!(context.build(&text).unwrap().digest(), image.digest());
    assert_eq!(fs::read_to_string(outside).unwrap(), "untouched");

    let failed = context.failure(&format!("{BASE}\nRUN echo before; echo why >&2; exit 3\nRUN echo never"));
    let expected =
        "line 4: running a command: the command failed (exit status: 3); it said last:\n  before\n  why";
    assert_eq!(failed, expected);
    let failed = context.failure(&format!("{BASE}RUN [\"/no/such/program\"]"));
    assert!(failed.contains("cannot start `/no/such/program`: No such file or directory"), "{failed}");
    assert_eq!(fs::read_dir(context.place.images().join("building")).unwrap().count(), 0);
}
