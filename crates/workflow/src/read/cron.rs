//! The syntax of `schedule`: cron expressions of five fields and names of time zones.

struct Field {
    lowest: u32,
    highest: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Minute, hour, day of the month, month, day of the week.
const FIELDS: [Field; 5] = [
    Field { lowest: 0, highest: 59, names: &[] },
    Field { lowest: 0, highest: 23, names: &[] },
    Field { lowest: 1, highest: 31, names: &[] },
    Field { lowest: 1, highest: 12, names: &MONTHS },
    Field { lowest: 0, highest: 6, names: &DAYS },
];

/// Whether GitHub accepts the text as `cron`.
pub(crate) fn is_valid_cron(text: &str) -> bool {
    let parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
    let no_padding = !text.starts_with(' ') && !text.ends_with(' ');
    no_padding
        && parts.len() == FIELDS.len()
        && FIELDS.iter().zip(parts).all(|(field, part)| field.admits_list(part))
}

/// Whether the text has the form of a name of the IANA time zone database, such as `Europe/Berlin`.
pub(crate) fn is_valid_time_zone(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-'))
    };
    text.len() <= 64 && text.split('/').count() <= 3 && text.split('/').all(part)
}

impl Field {
    fn admits_list(&self, text: &str) -> bool {
        text.split(',').all(|part| self.admits_step(part))
    }

    fn admits_step(&self, text: &str) -> bool {
        match text.split_once('/') {
            None => self.admits_range(text),
            Some((range, step)) => {
                let step_fits = self.number(step).is_some_and(|step| step > 0 && step <= self.highest);
                step_fits && self.admits_range(range)
            }
        }
    }

    fn admits_range(&self, text: &str) -> bool {
        if text == "*" {
            return true;
        }
        match text.split_once('-') {
            None => self.value(text).is_some(),
            Some((from, to)) => match (self.value(from), self.value(to)) {
                (Some(from), Some(to)) => from <= to,
                _ => false,
            },
        }
    }

    fn value(&self, text: &str) -> Option<u32> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return u32::try_from(index).ok().map(|index| index + self.lowest);
        }
        self.number(text).filter(|number| (self.lowest..=self.highest).contains(number))
    }

    fn number(&self, text: &str) -> Option<u32> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_valid_cron, is_valid_time_zone};

    fn check(text: &str, expected: bool) {
        assert_eq!(is_valid_cron(text), expected, "{text:?}");
    }

    #[test]
    fn cron_expressions() {
        for text in ["0 0 * * *", "*/5 1-3,7 1 jan-MAR sun", "5-45/10 * * * 1-5", "0  0 1 1 0"] {
            check(text, true);
        }
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "*/0 * * * *",
            "3-1 * * * *",
            "a * * * *",
            "1, * * * *",
            "1/2/3 * * * *",
            "-1 * * * *",
            "@daily",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn time_zones() {
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(is_valid_time_zone(name), "{name}");
        }
        for name in ["", "Europe/", "../etc", "Europe/New York", "+1"] {
            assert!(!is_valid_time_zone(name), "{name}");
        }
    }
}
