//! Container images in files.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{BuildError, Image, OciOrigin, RootOrigin};
use serde_json::{Value, json};

use crate::container::{Container, INDEX, MANIFEST, Packed, cat, digest};
use crate::fixture::{Entry, Place, SHELL, has_e2fsprogs, told};

fn build(place: &Place, path: &Path) -> Result<Image, BuildError> {
    let recipe = place.recipe(RootOrigin::Oci(OciOrigin::Path(path.to_owned())));
    place.store.build("test", &recipe, &|_| ())
}

/// Three layers: the second takes a file and what is in two folders away.
const LAYERS: [&[Entry<'static>]; 3] = [
    &[
        Entry::Folder("bin"),
        Entry::File("bin/sh", "#!shell"),
        Entry::File("etc/kept", "1"),
        Entry::File("etc/gone", "1"),
        Entry::File("old/a/b", "1"),
        Entry::File("opaque/below", "1"),
        Entry::Link("lib", "usr/lib"),
        Entry::Folder("usr/lib"),
        Entry::File("replaced/by-a-file", "1"),
    ],
    &[
        Entry::File("etc/.wh.gone", ""),
        Entry::File(".wh.old", ""),
        Entry::File("opaque/new", "2"),
        Entry::File("opaque/.wh..wh..opq", ""),
        Entry::File("lib/through-the-link", "2"),
        Entry::File("replaced", "2"),
    ],
    &[Entry::File("etc/kept", "3"), Entry::File("old/again", "3")],
];

#[test]
fn layers_lie_over_each_other_however_they_are_packed() {
    if !has_e2fsprogs() {
        return;
    }
    let packings = [Packed::No, Packed::Gzip, Packed::Zstd];
    let place = Place::new();
    let layers: Vec<_> = LAYERS.iter().copied().zip(packings).collect();
    let container = Container::new(&layers);
    let image = build(&place, &container.layout(place.path())).unwrap();
    let expect = |path: &str, content: Option<&str>| {
        assert_eq!(cat(&image, path).ok().as_deref(), content, "{path}");
    };
    expect("/etc/kept", Some("3"));
    expect("/etc/gone", None);
    expect("/etc/.wh.gone", None);
    expect("/old/a/b", None);
    expect("/old/again", Some("3"));
    expect("/opaque/below", None);
    expect("/opaque/new", Some("2"));
    expect("/usr/lib/through-the-link", Some("2"));
    expect("/replaced", Some("2"));
    let manifest = image.manifest();
    assert_eq!(manifest.environment["PATH"], "/bin");
    assert_eq!(manifest.environment["LANG"], "C");
    assert_eq!(manifest.working_directory, "/work");
    assert_eq!(manifest.labels["a"], "b");
    assert_eq!(manifest.user.name, "runner");
    assert_eq!(manifest.origin, "oci");
}

#[test]
fn the_place_and_the_packing_of_an_image_do_not_change_what_is_made_of_it() {
    let place = Place::new();
    let packed = Container::new(&[(SHELL, Packed::Gzip)]);
    let plain = Container::new(&[(SHELL, Packed::No)]);
    let expected = build(&place, &packed.layout(place.path())).unwrap().digest();
    assert_eq!(build(&place, &archive(&place, &packed)).unwrap().digest(), expected);
    assert_eq!(build(&place, &saved(&place, &plain)).unwrap().digest(), expected);
}

/// An archive of the layout.
fn archive(place: &Place, container: &Container) -> std::path::PathBuf {
    let folder = place.path().join("archived");
    container.write_layout(&folder, std::slice::from_ref(&container.manifest));
    let path = place.path().join("oci.tar");
    let status = Command::new("tar").arg("-C").arg(&folder).arg("-cf").arg(&path).arg(".").status();
    assert!(status.unwrap().success());
    path
}

/// An archive as `docker save` wrote it for years.
fn saved(place: &Place, container: &Container) -> std::path::PathBuf {
    let folder = place.path().join("saved");
    fs::create_dir(&folder).unwrap();
    let mut names = Vec::new();
    for (number, layer) in container.layers.iter().enumerate() {
        fs::create_dir(folder.join(number.to_string())).unwrap();
        names.push(format!("{number}/layer.tar"));
        fs::write(folder.join(names.last().unwrap()), layer).unwrap();
    }
    fs::write(folder.join("config.json"), container.configuration.to_string()).unwrap();
    let list = json!([{"Config": "config.json", "RepoTags": ["a/b:c"], "Layers": names}]);
    fs::write(folder.join("manifest.json"), list.to_string()).unwrap();
    let path = place.path().join("saved.tar");
    let status = Command::new("tar").arg("-C").arg(&folder).arg("-cf").arg(&path).arg(".").status();
    assert!(status.unwrap().success());
    path
}

#[test]
fn an_image_is_found_by_machine_and_by_name() {
    let place = Place::new();
    let mine = Container::new(&[(SHELL, Packed::No)]);
    let folder = place.path().join("layout");
    let for_machine = |architecture: &str| {
        let mut manifest = mine.manifest.clone();
        manifest["platform"] = json!({"os": "linux", "architecture": architecture});
        manifest
    };
    let mut other = for_machine("arm64");
    other["digest"] = json!(digest(b"not there"));
    mine.write_layout(&folder, &[other.clone(), for_machine("amd64")]);
    let expected = build(&place, &folder).unwrap().digest();

    let mut nested = mine.clone();
    let inner = json!({"schemaVersion": 2, "manifests": [other, for_machine("amd64")]});
    let inner = nested.add(INDEX, inner.to_string().into_bytes());
    nested.write_layout(&folder, &[inner]);
    assert_eq!(build(&place, &folder).unwrap().digest(), expected);

    let mut named = mine.manifest.clone();
    named["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    mine.write_layout(&folder, &[other.clone(), named]);
    let with_name = |name: &str| folder.with_file_name(format!("layout:{name}"));
    assert_eq!(build(&place, &with_name("v1")).unwrap().digest(), expected);
    let failed = told(&build(&place, &with_name("v2")).unwrap_err());
    assert!(failed.ends_with("is no container image: no image in it is called `v2`"), "{failed}");
    mine.write_layout(&folder, &[other]);
    let failed = told(&build(&place, &folder).unwrap_err());
    assert!(failed.contains("the blob sha256:") && failed.ends_with("is missing"), "{failed}");
}

#[test]
fn the_user_of_an_image_runs_its_commands() {
    let check = |user: &str, expected: Result<(&str, u32, u32), &str>| {
        let place = Place::new();
        let layer = [
            SHELL,
            &[
                Entry::File(
                    "etc/passwd",
                    "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n",
                ),
                Entry::File("etc/group", "root:x:0:\nnode:x:1000:\nstaff:x:50:\n"),
            ],
        ]
        .concat();
        let container = Container::with(&[(&layer, Packed::No)], "amd64", json!({ "User": user }));
        let built = build(&place, &container.layout(place.path()));
        match expected {
            Ok(expected) => {
                let user = built.unwrap().manifest().user.clone();
                assert_eq!((user.name.as_str(), user.uid, user.gid), expected);
            }
            Err(expected) => assert_eq!(told(&built.unwrap_err()), expected),
        }
    };
    check("", Ok(("runner", 1001, 1001)));
    check("root", Ok(("runner", 1001, 1001)));
    check("node", Ok(("node", 1000, 1000)));
    check("1000:staff", Ok(("node", 1000, 50)));
    check("4242:4243", Ok(("4242", 4242, 4243)));
    check("nobody-knows", Err("the image's user `nobody-knows` is not in its `/etc/passwd`"));
}

/// Builds a good image after a change to its documents.
fn check_refused(change: impl FnOnce(&mut Container, &mut Value), expected: &str) {
    let place = Place::new();
    let mut container = Container::new(&[(SHELL, Packed::Gzip)]);
    let mut manifest = container.document(&container.manifest);
    change(&mut container, &mut manifest);
    container.set_manifest(manifest);
    let failed = told(&build(&place, &container.layout(place.path())).unwrap_err());
    assert!(failed.contains(expected), "{failed}\n{expected}");
    assert_eq!(place.store.list().unwrap().len(), 0);
    assert_eq!(fs::read_dir(place.images().join("building")).unwrap().count(), 0);
}

#[test]
fn a_blob_that_is_not_what_it_should_be_is_refused() {
    let layer = |manifest: &Value| manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    check_refused(
        |container, manifest| container.blobs.get_mut(&layer(manifest)).unwrap()[20] ^= 1,
        "is damaged: its digest is sha256:",
    );
    check_refused(
        |container, manifest| container.blobs.get_mut(&layer(manifest)).unwrap().truncate(30),
        "is damaged: it has 30 of ",
    );
    check_refused(
        |container, manifest| container.blobs.get_mut(&layer(manifest)).unwrap().extend([0; 4096]),
        "is damaged: it has more of ",
    );
    check_refused(
        |container, manifest| {
            let mut configuration = container.document(&manifest["config"]);
            configuration["rootfs"]["diff_ids"][0] = json!(digest(b"another"));
            manifest["config"] = container.add("config", configuration.to_string().into_bytes());
        },
        "is damaged: unpacked, its digest is sha256:",
    );
    check_refused(
        |_, manifest| manifest["layers"][0]["size"] = json!(1_u64 << 40),
        "a blob has 1099511627776 bytes, and ",
    );
}

#[test]
fn documents_that_say_what_is_not_possible_are_refused() {
    check_refused(
        |_, manifest| manifest["layers"] = json!([]),
        "it has 0 layers, and its configuration knows 1",
    );
    check_refused(
        |_, manifest| manifest["layers"][0]["digest"] = json!("sha256:../../etc/passwd"),
        "`sha256:../../etc/passwd` is no digest of the kind sha256",
    );
    check_refused(
        |_, manifest| manifest["layers"][0]["mediaType"] = json!("application/x-executable"),
        "a layer is of the type `application/x-executable`",
    );
    check_refused(|_, manifest| manifest["config"] = json!(7), "the image's manifest cannot be understood");
    check_refused(
        |container, manifest| {
            let mut configuration = container.document(&manifest["config"]);
            configuration["architecture"] = json!("arm64");
            manifest["config"] = container.add("config", configuration.to_string().into_bytes());
        },
        "the image is for linux/arm64, and machines here are linux/amd64",
    );
    check_refused(
        |_, manifest| {
            let layer = manifest["layers"][0].clone();
            manifest["layers"] = json!(vec![layer; 501]);
        },
        "it has more than 500 layers",
    );
}

#[test]
fn indexes_that_lead_round_and_round_end() {
    let place = Place::new();
    let mut container = Container::new(&[(SHELL, Packed::No)]);
    let mut descriptor = container.manifest.clone();
    for _ in 0..6 {
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        descriptor = container.add(INDEX, index.to_string().into_bytes());
    }
    container.manifest = descriptor;
    let failed = told(&build(&place, &container.layout(place.path())).unwrap_err());
    assert!(failed.ends_with("more than 4 indexes lead from one to the next"), "{failed}");
}

#[test]
fn what_is_no_container_image_is_refused() {
    let check = |make: &dyn Fn(&Path), expected: &str| {
        let place = Place::new();
        let path = place.path().join("thing");
        make(&path);
        let failed = told(&build(&place, &path).unwrap_err());
        let shown = failed.replace(place.path().to_str().unwrap(), "");
        assert!(shown.contains(expected), "{shown}\n{expected}");
    };
    check(&|_| (), "cannot read `/thing`: No such file");
    check(
        &|path| fs::create_dir(path).unwrap(),
        "`/thing` is no container image: it has no file `oci-layout`",
    );
    check(&|path| fs::write(path, "text").unwrap(), "`/thing` is no container image: ");
    check(
        &|path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("oci-layout"), "{}").unwrap();
            fs::write(path.join("index.json"), "{").unwrap();
        },
        "the image's index cannot be understood",
    );
}

#[test]
fn a_layer_cannot_reach_out_of_the_root() {
    let check = |entries: &[Entry<'_>], expected: Result<(), &str>| {
        let place = Place::new();
        fs::write(place.path().join("outside"), "untouched").unwrap();
        let container = Container::new(&[(SHELL, Packed::No), (entries, Packed::No)]);
        let built = build(&place, &container.layout(place.path()));
        match expected {
            Ok(()) => drop(built.unwrap()),
            Err(expected) => {
                let failed = told(&built.unwrap_err());
                assert!(
                    failed.starts_with("layer 2 of 2 cannot be used") && failed.contains(expected),
                    "{failed}"
                );
            }
        }
        assert_eq!(fs::read_to_string(place.path().join("outside")).unwrap(), "untouched");
    };
    check(&[Entry::File("../outside", "x")], Err("`../outside` has a part `..`"));
    check(&[Entry::File("a/../../outside", "x")], Err("has a part `..`"));
    check(&[Entry::HardLink("x", "../outside")], Err("`../outside` has a part `..`"));
    check(&[Entry::HardLink("x", "/etc/shadow")], Err("does not exist"));
    check(&[Entry::File(".wh...", "")], Err("is no name of a file"));
    check(&[Entry::File("a/.wh...", "")], Err("is no name of a file"));
    check(&[Entry::File("/absolute", "x")], Ok(()));
    // Links lead to places in the root only, also when they lead upwards.
    check(&[Entry::Link("up", "../../.."), Entry::File("up/outside", "x")], Ok(()));
    check(&[Entry::Link("loop", "loop"), Entry::File("loop/x", "x")], Err("too many symbolic links"));
}

#[test]
fn the_root_of_an_image_is_that_of_an_archive_with_the_same_files() {
    let place = Place::new();
    let entries = [SHELL, &[Entry::Device("dev/null"), Entry::HardLink("bin/ash", "bin/sh")]].concat();
    let config = json!({"WorkingDir": "/"});
    let container = Container::with(&[(&entries, Packed::Gzip)], "amd64", config);
    let from_layer = build(&place, &container.layout(place.path())).unwrap();
    let from_archive = place.build("other", &entries).unwrap();
    assert_eq!(from_layer.manifest().root, from_archive.manifest().root);
}

#[test]
fn media_types_of_docker_are_read_too() {
    let place = Place::new();
    let mut container = Container::new(&[(SHELL, Packed::Gzip)]);
    let mut manifest = container.document(&container.manifest);
    manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.diff.tar.gzip");
    container.set_manifest(manifest);
    assert_eq!(container.manifest["mediaType"], MANIFEST);
    container.manifest["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json");
    build(&place, &container.layout(place.path())).unwrap();
}
