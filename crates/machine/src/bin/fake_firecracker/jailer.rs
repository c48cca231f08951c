//! The jailer's part: its arguments are checked, and Firecracker is started where the jailer would have changed its root to.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const WITH_VALUE: [&str; 9] = [
    "--id",
    "--exec-file",
    "--uid",
    "--gid",
    "--chroot-base-dir",
    "--netns",
    "--cgroup-version",
    "--parent-cgroup",
    "--resource-limit",
];

pub(crate) fn run(arguments: &[String]) -> io::Result<u8> {
    let wrong = |what: String| io::Error::other(what);
    if arguments == ["--version"] {
        println!("Jailer v{}\n", crate::VERSION);
        return Ok(0);
    }
    let end = arguments.iter().position(|argument| argument == "--");
    let (own, rest) = arguments.split_at(end.ok_or_else(|| wrong("nothing is for Firecracker".to_owned()))?);
    let mut values: Vec<(&str, &str)> = Vec::new();
    let mut own = own.iter().map(String::as_str);
    while let Some(argument) = own.next() {
        match argument {
            "--new-pid-ns" => values.push((argument, "")),
            _ if WITH_VALUE.contains(&argument) => {
                let value = own.next().ok_or_else(|| wrong(format!("{argument} has no value")))?;
                values.push((argument, value));
            }
            _ => return Err(wrong(format!("found argument '{argument}' which wasn't expected"))),
        }
    }
    let value = |name: &str| {
        let found = values.iter().find(|(argument, _)| *argument == name);
        found.map(|(_, value)| *value).ok_or_else(|| wrong(format!("{name} is missing")))
    };
    let (user, group): (u32, u32) = (number(value("--uid")?)?, number(value("--gid")?)?);
    if user == 0 || group != user || values.iter().all(|(argument, _)| *argument != "--new-pid-ns") {
        return Err(wrong("the machine has no user or no process namespace of its own".to_owned()));
    }
    if !matches!(value("--cgroup-version")?, "1" | "2") {
        return Err(wrong("no such version of control groups".to_owned()));
    }
    let limits: Vec<&str> = values
        .iter()
        .filter(|(argument, _)| *argument == "--resource-limit")
        .map(|(_, value)| *value)
        .collect();
    if !["no-file=", "fsize="].iter().all(|name| limits.iter().any(|limit| limit.starts_with(name))) {
        return Err(wrong("a limit is missing".to_owned()));
    }
    start(
        Path::new(value("--exec-file")?),
        Path::new(value("--chroot-base-dir")?),
        value("--id")?,
        &rest[1..],
    )
}

fn number(text: &str) -> io::Result<u32> {
    text.parse().map_err(|_| io::Error::other(format!("`{text}` is no number")))
}

fn start(program: &Path, base: &Path, id: &str, arguments: &[String]) -> io::Result<u8> {
    let name = program.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    if !name.to_string_lossy().contains("firecracker") {
        return Err(io::Error::other("the program's name must contain firecracker"));
    }
    let root: PathBuf = base.join(name).join(id).join("root");
    fs::create_dir_all(&root)?;
    // The real one must not find these.
    for made in [&format!("{}.pid", name.to_string_lossy()), "dev/kvm", "dev/net/tun"] {
        let file = root.join(made);
        fs::create_dir_all(file.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        File::create_new(file)?;
    }
    let mut command = Command::new(program);
    command.arg(format!("--id={id}")).args(["--start-time-us=1", "--start-time-cpu-us=1"]).args(arguments);
    // In the real one Firecracker is the first process of a namespace, and the jailer ends.
    Err(command.env_clear().current_dir(root).exec())
}
