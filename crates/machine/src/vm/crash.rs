//! What a virtual machine died of.
//!
//! What the program that ran it says counts more than what the guest wrote to its console, which may be anything.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use guest::init::COMPLAINT;

/// Lines of the console that are quoted.
const MAX_LINES: usize = 8;

/// Longest line that is quoted, in characters.
const MAX_LINE: usize = 200;

const PANIC: &str = "Kernel panic - not syncing: ";

/// What is known about a machine that is gone, or does not answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// What the stream to the agent told.
    pub(crate) heard: String,
    /// The last of the console.
    pub(crate) console: String,
    /// The last that the program complained about.
    pub(crate) complaints: String,
    /// How the program ended; none where it runs on.
    pub(crate) exit: Option<ExitStatus>,
    /// Whether it told of a disk of the host that is full.
    pub(crate) disk_full: bool,
    /// What it told of a disk of the host that failed otherwise.
    pub(crate) disk_failed: Option<String>,
    /// Whether the kernel of the host, or of the machine's control group, killed for want of memory meanwhile.
    pub(crate) host_out_of_memory: bool,
}

/// What it died of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The host had no room for what the machine wrote to its disk.
    HostDiskFull,
    /// A disk of the host failed.
    HostDisk(String),
    /// The host had no memory left and killed it.
    HostOutOfMemory,
    /// The guest had no memory left and could kill nothing any more.
    GuestOutOfMemory(Vec<String>),
    /// The guest's kernel gave up.
    Panic { why: String, lines: Vec<String> },
    /// The guest's first process gave up, for this reason.
    Refused(String),
    /// The program ended by itself or was killed.
    Exit { how: String, complaint: Option<String> },
    /// The guest switched itself off.
    SwitchedOff(Vec<String>),
    /// It runs and does not answer, or cannot be understood.
    Silent { heard: String, lines: Vec<String> },
}

/// Finds the cause in the evidence.
pub(crate) fn cause(evidence: &Evidence) -> Cause {
    if evidence.disk_full {
        return Cause::HostDiskFull;
    }
    if let Some(reason) = &evidence.disk_failed {
        return Cause::HostDisk(reason.clone());
    }
    let lines = lines(&evidence.console);
    let was_killed = evidence.exit.is_some_and(|exit| exit.signal() == Some(libc::SIGKILL));
    if was_killed && evidence.host_out_of_memory {
        return Cause::HostOutOfMemory;
    }
    let failed = evidence.exit.is_some_and(|exit| !exit.success());
    if failed {
        return exit(evidence);
    }
    let panic = lines.iter().rev().find_map(|line| line.split_once(PANIC));
    if let Some((_, why)) = panic {
        let is_memory =
            ["System is deadlocked on memory", "Out of memory"].iter().any(|text| why.contains(text));
        return match is_memory {
            true => Cause::GuestOutOfMemory(lines),
            false => Cause::Panic { why: why.to_owned(), lines },
        };
    }
    if let Some((_, complaint)) = lines.iter().rev().find_map(|line| line.split_once(COMPLAINT)) {
        return Cause::Refused(complaint.to_owned());
    }
    match evidence.exit {
        Some(_) if complaint(&evidence.complaints).is_some() => exit(evidence),
        Some(_) => Cause::SwitchedOff(lines),
        None => Cause::Silent { heard: evidence.heard.clone(), lines },
    }
}

fn exit(evidence: &Evidence) -> Cause {
    let how = evidence.exit.map_or_else(String::new, |exit| exit.to_string());
    Cause::Exit { how, complaint: complaint(&evidence.complaints) }
}

/// The last thing that the program complained about.
fn complaint(text: &str) -> Option<String> {
    lines(text).pop()
}

/// A sign that a machine that lives has no memory left: what its kernel last said about killing for want of it.
pub(crate) fn out_of_memory(console: &str) -> Option<String> {
    const KILLED: &str = "Out of memory: Killed process";
    // What was written before, by firmware, may have no end of a line.
    lines(console).into_iter().rev().find_map(|line| line.find(KILLED).map(|start| line[start..].to_owned()))
}

/// The lines that say something, without the kernel's times and without anything that a terminal would obey. All of them: a kernel
/// that panics says why first, and then much else.
fn lines(text: &str) -> Vec<String> {
    let clean = |line: &str| -> String {
        let line = line.trim();
        let rest = line.strip_prefix('[').and_then(|line| line.split_once("] "));
        let line = match rest {
            Some((time, rest)) if time.trim().parse::<f64>().is_ok() => rest,
            _ => line,
        };
        let visible = line.chars().map(|character| if character.is_control() { ' ' } else { character });
        visible.take(MAX_LINE).collect()
    };
    text.lines().map(clean).filter(|line| !line.is_empty()).collect()
}

/// The last of the lines, on one.
struct Quoted<'a>(&'a [String]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = &self.0[self.0.len().saturating_sub(MAX_LINES)..];
        if last.is_empty() {
            return formatter.write_str("; its console says nothing");
        }
        write!(formatter, "; the last of its console: {}", last.join(" | "))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostDiskFull => formatter.write_str(
                "the host's disk is full: there is no room for what the machine writes to its own",
            ),
            Self::HostDisk(reason) => write!(formatter, "the host's disk failed: {reason}"),
            Self::HostOutOfMemory => formatter.write_str("the host ran out of memory and killed it"),
            Self::GuestOutOfMemory(lines) => {
                write!(formatter, "the machine ran out of memory{}", Quoted(lines))
            }
            Self::Panic { why, lines } => {
                write!(formatter, "the machine's kernel panicked: {why}{}", Quoted(lines))
            }
            Self::Refused(complaint) => write!(formatter, "the machine gave up: {complaint}"),
            Self::Exit { how, complaint } => {
                write!(formatter, "the program that ran the machine ended ({how})")?;
                complaint.as_ref().map_or(Ok(()), |complaint| write!(formatter, ": {complaint}"))
            }
            Self::SwitchedOff(lines) => {
                write!(formatter, "the machine was switched off from inside{}", Quoted(lines))
            }
            Self::Silent { heard, lines } => write!(formatter, "{heard}{}", Quoted(lines)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::{Evidence, cause, out_of_memory};

    const PANIC: &str = "[    3.012345] sysrq: Trigger a crash\r\n[    3.1] Kernel panic - not syncing: sysrq triggered crash\r\n";

    fn check(evidence: &Evidence, expected: &str) {
        assert_eq!(cause(evidence).to_string(), expected);
    }

    fn ended(raw: i32, console: &str) -> Evidence {
        Evidence { exit: Some(ExitStatus::from_raw(raw)), console: console.to_owned(), ..Evidence::default() }
    }

    #[test]
    fn causes_are_told_apart() {
        let quoted = "sysrq: Trigger a crash | Kernel panic - not syncing: sysrq triggered crash";
        let panic = format!(
            "the machine's kernel panicked: sysrq triggered crash; the last of its console: {quoted}"
        );
        check(&ended(0, PANIC), &panic);
        let trace = PANIC.to_owned() + &"[    3.2] Call Trace:\r\n".repeat(1000);
        let why = "the machine's kernel panicked: sysrq triggered crash; ";
        assert!(cause(&ended(0, &trace)).to_string().starts_with(why), "before a long trace");
        let memory = "[1.0] Kernel panic - not syncing: System is deadlocked on memory";
        let expected = "the machine ran out of memory; the last of its console: Kernel panic - not syncing: System is deadlocked on memory";
        check(&ended(0, memory), expected);
        let refused = "firedog: cannot mount `/dev/vda` (ext4) at `/lower`: Invalid argument\n";
        check(
            &ended(0, refused),
            "the machine gave up: cannot mount `/dev/vda` (ext4) at `/lower`: Invalid argument",
        );
        let killed = "the program that ran the machine ended (signal: 9 (SIGKILL))";
        check(&ended(9, ""), killed);
        check(
            &Evidence { host_out_of_memory: true, ..ended(9, PANIC) },
            "the host ran out of memory and killed it",
        );
        let complaint = Evidence { complaints: "qemu: bad\nqemu: worse\n".to_owned(), ..ended(256, PANIC) };
        check(&complaint, "the program that ran the machine ended (exit status: 1): qemu: worse");
        let full = Evidence { disk_full: true, ..ended(9, "") };
        check(&full, "the host's disk is full: there is no room for what the machine writes to its own");
        check(&ended(0, ""), "the machine was switched off from inside; its console says nothing");
        let silent = Evidence { heard: "no greeting within 9 seconds".to_owned(), ..Evidence::default() };
        check(&silent, "no greeting within 9 seconds; its console says nothing");
    }

    #[test]
    fn what_a_console_says_is_bounded_and_harmless() {
        let console = format!("\u{1b}[2Jgone\n{}", format!("{}\n", "x".repeat(5000)).repeat(100));
        let text = cause(&ended(0, &console)).to_string();
        assert!(text.len() < 2000, "{}", text.len());
        let text = cause(&ended(0, "\u{1b}[2Jgone\u{7}\n")).to_string();
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
    }

    #[test]
    fn a_machine_that_killed_for_want_of_memory_says_so() {
        let console = "Booting from ROM..[  12.5] Out of memory: Killed process 77 (python3) total-vm:1kB\n[ 13.0] other\n";
        let line = "Out of memory: Killed process 77 (python3) total-vm:1kB";
        assert_eq!(out_of_memory(console).as_deref(), Some(line));
        assert_eq!(out_of_memory("nothing\n"), None);
    }
}
