//! Much output, in bounded memory.

use run::event::JobEvent;
use run::status::Conclusion;

use crate::fixture::steps;

/// The most memory that this process may have held, in KiB, beside what the tests keep themselves.
const MEMORY_KIB: u64 = 200 * 1024;

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub(crate) fn much_output_keeps_its_order() {
    let job = steps("- run: seq 1 200000");
    job.check(|ended| {
        let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
        assert!(ended.log() == expected, "lines are lost or reordered");
    });
}

pub(crate) fn one_endless_line_is_bounded() {
    let job = steps("- run: head -c 100000000 /dev/zero | tr '\\0' x").discards_logs();
    let before = peak_kib();
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        assert!(ended.logged_bytes >= 100_000_000, "{} bytes", ended.logged_bytes);
        assert!(peak_kib() < before + MEMORY_KIB, "{} KiB", peak_kib());
    });
}

pub(crate) fn two_hundred_megabytes_are_bounded() {
    let job = steps("- run: yes 0123456789012345678901234567890123456789012345678 | head -c 200000000")
        .discards_logs();
    let before = peak_kib();
    job.check(|ended| {
        assert_eq!(ended.logged_bytes, 200_000_000);
        assert!(peak_kib() < before + MEMORY_KIB, "{} KiB", peak_kib());
    });
}

pub(crate) fn invalid_text_is_replaced() {
    let job = steps("- run: printf 'a\\377b\\n'");
    job.check(|ended| {
        assert_eq!(ended.log(), "a\u{fffd}b\n");
        assert!(ended.events.iter().any(|event| matches!(event, JobEvent::Finished { .. })));
    });
}
