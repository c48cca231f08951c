//! The caller's own tools, used in machines of namespaces.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use machine::{Content, ExitStatus, Folder, Machine, Network, Place};

use crate::fixture::{namespace, run, spec};

/// Runs a script in a workspace of these files, where the host has `program`.
async fn check(program: &str, files: &[(&str, &str)], script: &str, expected: &str) {
    let Some(backend) = namespace() else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let source = root.path().join("source");
    for (name, text) in files {
        let file = source.join(name);
        std::fs::create_dir_all(file.parent().expect("it lies in the source")).expect("folders can be made");
        std::fs::write(file, text).expect("files can be written");
    }
    let mut spec = spec(root.path());
    spec.network = Network::None;
    let entries = Arc::new(files.iter().map(|(name, _)| name.into()).collect());
    spec.folders.push(Folder { place: Place::Workspace, content: Content::Copy { root: source, entries } });
    let machine = Machine::start(&backend, &spec).await.expect("the machine starts");
    let (found, status) = run(&machine, &format!("command -v {program} >/dev/null && echo yes")).await;
    if status == ExitStatus::Code(0) {
        assert_eq!(found, "yes\n");
        let workspace = machine.path(Place::Workspace);
        let (output, status) = run(&machine, &format!("cd {workspace} && ({script}) 2>&1")).await;
        assert_eq!(status, ExitStatus::Code(0), "{output}");
        assert!(output.contains(expected), "{output}");
    } else {
        skipped(program);
    }
    machine.stop().await;
    machine::scratch::wait_for_removals();
}

#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
fn skipped(program: &str) {
    eprintln!("skipped: no {program}");
}

#[tokio::test]
async fn cargo_builds_and_tests() {
    let manifest = "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let source = "fn main() { println!(\"built {}\", two()); }\nfn two() -> i32 { 2 }\n\
                  #[test]\nfn works() { assert_eq!(two(), 2) }\n";
    let files = [("Cargo.toml", manifest), ("src/main.rs", source)];
    check("cargo", &files, "cargo run -q --offline && cargo test -q --offline", "built 2").await;
}

#[tokio::test]
async fn python_runs_and_makes_environments() {
    let script = "python3 -c 'print(6 * 7)' && if command -v pyenv >/dev/null; then pyenv rehash; fi && \
                  python3 -m venv --without-pip env && env/bin/python -c 'print(\"in it\")'";
    check("python3", &[], script, "in it").await;
}

#[tokio::test]
async fn node_and_npm_run() {
    let files =
        [("package.json", r#"{"name": "tiny", "scripts": {"test": "node -e 'console.log(6 * 7)'"}}"#)];
    check("npm", &files, "npm test --silent", "42").await;
}

#[tokio::test]
async fn git_commits() {
    let script = "git init -q . && git add . && \
                  git -c user.name=a -c user.email=a@b commit -qm first && git log --format=%s";
    check("git", &[("file", "text")], script, "first").await;
}

#[tokio::test]
async fn pyenvs_version_is_the_projects_and_its_programs_come_before_the_shims() {
    let Some(backend) = namespace() else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let pyenv = root.path().join("home/.pyenv");
    let programs = [("versions/3.1.4/bin", "3.1.4"), ("versions/2.7.1/bin", "2.7.1"), ("shims", "shim")];
    for (folder, says) in programs {
        std::fs::create_dir_all(pyenv.join(folder)).expect("folders can be made");
        let program = pyenv.join(folder).join("python");
        std::fs::write(&program, format!("#!/bin/sh\necho {says}\n")).expect("files can be written");
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).expect("modes can be set");
    }
    std::fs::write(pyenv.join("version"), "2.7.1\n").expect("files can be written");
    let source = root.path().join("source");
    std::fs::create_dir(&source).expect("folders can be made");
    std::fs::write(source.join(".python-version"), "3.1\n").expect("files can be written");
    let mut spec = spec(root.path());
    spec.caller.home = root.path().join("home");
    spec.caller.path.insert(0, pyenv.join("shims"));
    spec.caller.environment.retain(|(name, _)| !name.starts_with("PYENV_"));
    let run_in = async |spec| {
        let machine = Machine::start(&backend, &spec).await.expect("the machine starts");
        let result = run(&machine, "python; cd $PYENV_ROOT/shims && ls -A && touch new && ls").await;
        machine.stop().await;
        machine::scratch::wait_for_removals();
        result
    };
    assert_eq!(run_in(spec.clone()).await, ("2.7.1\nnew\n".to_owned(), ExitStatus::Code(0)));
    let content = Content::Copy { root: source.clone(), entries: Arc::new(vec![".python-version".into()]) };
    spec.folders.push(Folder { place: Place::Workspace, content });
    assert_eq!(run_in(spec.clone()).await, ("3.1.4\nnew\n".to_owned(), ExitStatus::Code(0)));
    spec.caller.environment.push(("PYENV_VERSION".to_owned(), "2".to_owned()));
    assert_eq!(run_in(spec).await, ("2.7.1\nnew\n".to_owned(), ExitStatus::Code(0)));
    assert!(!pyenv.join("shims/new").exists());
}
