//! Who descends from whom, as `/proc` tells it.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal};

/// One process, from `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// Clock ticks (1/100 s) after boot.
    pub(crate) start: u64,
    /// Ended, but not yet waited for.
    pub(crate) zombie: bool,
}

/// Every process that this `/proc` shows.
pub(crate) fn snapshot() -> Vec<Entry> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

fn parse_stat(stat: &[u8]) -> Option<Entry> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let pid = std::str::from_utf8(&stat[..open]).ok()?.trim().parse().ok()?;
    let fields: Vec<&str> = std::str::from_utf8(&stat[close + 1..]).ok()?.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<i32>().ok();
    Some(Entry {
        pid,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The live processes among `all` that are roots by `is_root` or descend from one, `never` and its like excepted.
pub(crate) fn members(all: &[Entry], is_root: impl Fn(&Entry) -> bool, never: &[i32]) -> Vec<Entry> {
    let mut found: Vec<Entry> =
        all.iter().filter(|entry| !never.contains(&entry.pid) && is_root(entry)).copied().collect();
    let mut next = 0;
    while next < found.len() {
        let parent = found[next].pid;
        let children = all.iter().filter(|entry| entry.parent == parent && !never.contains(&entry.pid));
        let new: Vec<Entry> = children.filter(|child| !found.contains(child)).copied().collect();
        found.extend(new);
        next += 1;
    }
    found.retain(|entry| !entry.zombie);
    found
}

/// The value of an environment variable that a process was started with, if that may be read.
pub(crate) fn environment_value(pid: i32, name: &str) -> Option<Vec<u8>> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ
        .split(|&byte| byte == 0)
        .find_map(|entry| Some(entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec()))
}

/// Sends a signal to a child that nobody has waited for, whose number therefore is its own; one that has ended is no
/// error.
pub(crate) fn send(pid: Pid, signal: Signal) {
    // The only failures are a process that has ended and one that has become another user's.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Sends a signal to a process of a [`snapshot`], unless it has ended and its number has become another's since.
pub(crate) fn send_to(entry: &Entry, signal: Signal) {
    let Some(pid) = Pid::from_raw(entry.pid) else { return };
    // What is open stays the same process, whatever becomes of its number.
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    let now = fs::read(format!("/proc/{}/stat", entry.pid)).ok().and_then(|stat| parse_stat(&stat));
    if now.is_some_and(|now| now.start == entry.start) {
        // As above.
        let _ = rustix::process::pidfd_send_signal(&process, signal);
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, Signal};

    use super::{Entry, members, parse_stat, send_to, snapshot};

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = b"42 (a) b (c) S 7 42 40 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 12345 0 0";
        let expected = Entry { pid: 42, parent: 7, group: 42, session: 40, start: 12345, zombie: false };
        assert_eq!(parse_stat(stat), Some(expected));
        assert_eq!(parse_stat(b"42 (a"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn members_are_roots_and_their_descendants_but_not_other_trees() {
        let entry = |pid, parent| Entry { pid, parent, group: 0, session: 0, start: 0, zombie: pid == 5 };
        let all = [entry(1, 0), entry(2, 1), entry(3, 2), entry(4, 3), entry(5, 3), entry(6, 1), entry(7, 4)];
        let numbers = |entries: Vec<Entry>| entries.iter().map(|entry| entry.pid).collect::<Vec<_>>();
        assert_eq!(numbers(members(&all, |entry| entry.pid == 2, &[4])), [2, 3]);
        assert_eq!(numbers(members(&all, |entry| entry.pid == 6, &[])), [6]);
    }

    #[test]
    fn a_stranger_with_the_number_of_a_process_that_ended_gets_no_signal() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let all = snapshot();
        let entry = *all.iter().find(|entry| entry.pid == pid.as_raw_nonzero().get()).unwrap();
        send_to(&Entry { start: entry.start - 1, ..entry }, Signal::KILL);
        send_to(&entry, Signal::TERM);
        let status = std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap());
        assert_eq!(status, Some(Signal::TERM.as_raw()));
        send_to(&entry, Signal::KILL);
    }
}
