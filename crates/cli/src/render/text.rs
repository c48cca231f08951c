//! Text from steps made fit for a terminal or a file: output is data, so it may colour itself but never move the
//! cursor, set a title or ring a bell.

use std::borrow::Cow;
use std::time::Duration;

/// The longest line that is shown to people, in bytes; the rest is counted. The store and NDJSON keep it whole.
pub(crate) const MAX_SHOWN_LINE: usize = 16 * 1024;

const ESCAPE: char = '\u{1b}';
const RESET: &str = "\u{1b}[0m";

/// One line of output as it may be shown: without control characters, with its colours where `colours` says so. What
/// a carriage return overwrote is left out.
pub(crate) fn shown(line: &str, colours: bool) -> Cow<'_, str> {
    let (line, cut) = bounded(line);
    if cut == 0 && !line.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f || byte == 0xc2) {
        return Cow::Borrowed(line);
    }
    let visible = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    let mut shown = String::with_capacity(visible.len());
    let mut coloured = false;
    let mut rest = visible.chars();
    while let Some(character) = rest.next() {
        match character {
            ESCAPE => {
                let sequence = escape_sequence(&mut rest);
                if colours && is_colour(sequence) {
                    coloured = true;
                    shown.push(ESCAPE);
                    shown.push_str(sequence);
                }
            }
            '\t' => shown.push('\t'),
            other if other.is_control() => {}
            other => shown.push(other),
        }
    }
    if coloured {
        shown.push_str(RESET);
    }
    if cut > 0 {
        shown.push_str(&format!(" … {cut} bytes more"));
    }
    Cow::Owned(shown)
}

/// The line up to [`MAX_SHOWN_LINE`], and how many bytes are left out.
fn bounded(line: &str) -> (&str, usize) {
    if line.len() <= MAX_SHOWN_LINE {
        return (line, 0);
    }
    let end = (0..=MAX_SHOWN_LINE).rev().find(|end| line.is_char_boundary(*end)).unwrap_or_default();
    (&line[..end], line.len() - end)
}

/// Takes what belongs to an escape sequence, after the escape character itself, and returns it.
fn escape_sequence<'a>(rest: &mut std::str::Chars<'a>) -> &'a str {
    let text = rest.as_str();
    let length = match text.chars().next() {
        // A control sequence ends with a character from `@` to `~`.
        Some('[') => text[1..].find(|c| ('@'..='~').contains(&c)).map_or(text.len(), |end| end + 2),
        // Strings for the terminal (titles, links, device controls) end with a bell or `ESC \`.
        Some(']' | 'P' | 'X' | '^' | '_') => match text.find(['\u{7}', ESCAPE]) {
            Some(end) if text[end..].starts_with("\u{1b}\\") => end + 2,
            Some(end) => end + 1,
            None => text.len(),
        },
        Some(character) => character.len_utf8(),
        None => 0,
    };
    let (sequence, after) = text.split_at(length);
    *rest = after.chars();
    sequence
}

/// Whether a control sequence only chooses colours and weights.
fn is_colour(sequence: &str) -> bool {
    sequence.strip_prefix('[').and_then(|sequence| sequence.strip_suffix('m')).is_some_and(|numbers| {
        numbers.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'))
    })
}

/// A size as people read it: `17 B`, `3.2 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut size = count as f64 / 1024.0;
    let mut unit = 0;
    while size >= 999.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A duration as people read it: `0.4s`, `12s`, `3m 07s`, `1h 02m`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Milliseconds between two timestamps as a duration; zero where a clock went back.
pub(crate) fn between(from: run::event::Timestamp, to: run::event::Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(to.saturating_sub(from)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_SHOWN_LINE, duration, shown};

    fn check(line: &str, plain: &str, coloured: &str) {
        assert_eq!(shown(line, false), plain, "plain {line:?}");
        assert_eq!(shown(line, true), coloured, "coloured {line:?}");
    }

    #[test]
    fn output_may_colour_itself_and_nothing_else() {
        check("plain\ttext ä", "plain\ttext ä", "plain\ttext ä");
        check("\u{1b}[1;31mred\u{1b}[0m", "red", "\u{1b}[1;31mred\u{1b}[0m\u{1b}[0m");
        check("\u{1b}[2J\u{1b}[Hcleared", "cleared", "cleared");
        check("\u{1b}]0;title\u{7}text", "text", "text");
        check("\u{1b}]8;;http://x\u{1b}\\link", "link", "link");
        check("bell\u{7}\u{8}", "bell", "bell");
        check("\u{9b}31mx", "31mx", "31mx");
        check("\u{1b}[?25lx\u{1b}[3", "x", "x");
        check("\u{1b}", "", "");
    }

    #[test]
    fn a_carriage_return_starts_the_line_anew() {
        check("10 %\r20 %\r30 %", "30 %", "30 %");
        check("windows\r", "windows", "windows");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let line = "ä".repeat(MAX_SHOWN_LINE);
        let text = shown(&line, false);
        assert!(text.len() < MAX_SHOWN_LINE + 40);
        assert!(text.ends_with(&format!(" … {MAX_SHOWN_LINE} bytes more")));
    }

    #[test]
    fn durations_read_well() {
        let read = |millis| duration(Duration::from_millis(millis));
        assert_eq!([read(0), read(420), read(9_960)], ["0.0s", "0.4s", "10.0s"]);
        assert_eq!([read(12_900), read(187_000), read(3_730_000)], ["12s", "3m 07s", "1h 02m"]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_reaches_the_terminal_with_a_control_character(line in "\\PC*|[\u{0}-\u{9f}\\[\\]m;0-9]*") {
            let text = shown(&line, true).replace(super::RESET, "");
            let mut rest = text.as_str();
            while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
                let colours = rest[at..].starts_with("\u{1b}[");
                proptest::prop_assert!(colours, "{rest:?} at {at}");
                let end = rest[at..].find(|c: char| c.is_ascii_alphabetic());
                proptest::prop_assert_eq!(end.map(|end| &rest[at + end..=at + end]), Some("m"));
                rest = &rest[at + 1..];
            }
        }
    }
}
