//! Instructions in a commit's message that no workflow shall run for it.

const INSTRUCTIONS: [&str; 5] = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];
const TRAILER: &str = "skip-checks:";

/// The instruction that the message has.
pub(super) fn instruction(message: &str) -> Option<&str> {
    let found = INSTRUCTIONS.iter().find(|instruction| message.contains(**instruction));
    found.copied().or_else(|| trailer(message))
}

/// `skip-checks: true` as the last of the trailers, which stand at the end below two empty lines.
fn trailer(message: &str) -> Option<&str> {
    let mut lines = message.trim_end().lines().rev();
    let last = lines.next()?;
    if last.strip_prefix(TRAILER)?.trim_start() != "true" {
        return None;
    }
    let is_empty = |line: &str| line.trim().is_empty();
    let mut above = lines.skip_while(|line| !is_empty(line) && line.contains(':'));
    let two_empty = above.by_ref().take(2).filter(|line| is_empty(line)).count() == 2;
    two_empty.then_some(last)
}

#[cfg(test)]
mod tests {
    use super::instruction;

    fn check(message: &str, expected: Option<&str>) {
        assert_eq!(instruction(message), expected, "{message:?}");
    }

    #[test]
    fn instructions_may_be_anywhere() {
        check("docs [skip ci]", Some("[skip ci]"));
        check("[ci skip] docs", Some("[ci skip]"));
        check("docs\n\nlong text [no ci].", Some("[no ci]"));
        check("a [skip actions]", Some("[skip actions]"));
        check("a [actions skip]", Some("[actions skip]"));
        check("skip ci", None);
        check("[skip tests]", None);
        check("", None);
    }

    #[test]
    fn the_trailer_stands_below_two_empty_lines() {
        check("docs\n\n\nskip-checks: true", Some("skip-checks: true"));
        check("docs\n\n\nskip-checks:true\n", Some("skip-checks:true"));
        check("docs\r\n\r\n\r\nskip-checks: true\r\n", Some("skip-checks: true"));
        check("docs\n\n\nSigned-off-by: Mona\nskip-checks: true", Some("skip-checks: true"));
        check("docs\n\nskip-checks: true", None);
        check("docs\n\n\nskip-checks: true\nSigned-off-by: Mona", None);
        check("docs\n\n\nskip-checks: false", None);
        check("skip-checks: true", None);
    }
}
