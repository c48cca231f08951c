//! Builds the guest agent as a static program for `Image::initramfs`.
//!
//! The agent belongs to firedog and not to an image, so an image that is years old boots today's agent. Cargo cannot
//! embed a program of one crate in the library of another yet, hence the nested build. It has a target folder of its
//! own: the outer build holds the lock of the usual one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Settings of the outer build that must not reach the nested one: clippy as the compiler, its flags, its folders.
const FOREIGN: &[&str] = &[
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_RUSTFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "RUSTC",
    "RUSTDOC",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
];

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(variable("OUT_DIR"));
    let target = variable("TARGET");
    for watched in ["crates/guest/src", "crates/guest/Cargo.toml", "Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(watched).display());
    }
    println!("cargo::rerun-if-changed=build.rs");

    let folder = out.join("agent-target");
    let mut build = Command::new(variable("CARGO"));
    build.current_dir(&workspace).args([
        "build",
        "--package",
        "guest",
        "--bin",
        "firedog-guest",
        "--release",
    ]);
    build.args(["--locked", "--target", &target, "--target-dir"]).arg(&folder);
    for name in FOREIGN {
        build.env_remove(name);
    }
    // Optimised whatever the outer profile is: in a guest without hardware support each instruction costs tenfold.
    build.env("CARGO_PROFILE_RELEASE_STRIP", "symbols").env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    build.env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static");
    let output =
        build.output().unwrap_or_else(|error| panic!("cannot start cargo for the guest agent: {error}"));
    assert!(
        output.status.success(),
        "the guest agent does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let built = folder.join(&target).join("release/firedog-guest");
    std::fs::copy(&built, out.join("agent"))
        .unwrap_or_else(|error| panic!("cannot copy `{}`: {error}", built.display()));
}
