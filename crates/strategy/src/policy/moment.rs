//! Moments of a policy file: a date, or a date and time with its offset, as milliseconds since 1970; and back.

use toml::value::Datetime;
use toml::value::Offset;

use crate::policy::conditions::as_moment;

/// The first moment of a date in UTC, or the moment of a date and time; `None` for a time that does not say where.
pub(super) fn of(datetime: &Datetime) -> Option<i64> {
    let date = datetime.date?;
    let days = days_since_1970(date.year.into(), date.month.into(), date.day.into());
    let (time, offset) = match (datetime.time, datetime.offset) {
        (None, _) => return Some(days * DAY_MS),
        (Some(time), Some(offset)) => (time, offset),
        (Some(_), None) => return None,
    };
    let minutes = i64::from(time.hour) * 60 + i64::from(time.minute);
    let east = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let seconds = (minutes - east) * 60 + i64::from(time.second.unwrap_or(0));
    let ms = i64::from(time.nanosecond.unwrap_or(0) / 1_000_000);
    Some(days * DAY_MS + seconds * 1000 + ms)
}

/// A moment as a date and time in UTC.
pub(super) fn text(ms: u64) -> String {
    let ms = as_moment(ms);
    let (days, ms) = (ms / DAY_MS, ms % DAY_MS);
    // No year is longer than 366 days, so it is this one or one of the next few.
    let mut year = 1970 + days / 366;
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days_since_1970(year, month + 1, 1) <= days {
        month += 1;
    }
    let day = 1 + days - days_since_1970(year, month, 1);
    let seconds = ms / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = match ms % 1000 {
        0 => String::new(),
        ms => format!(".{ms:03}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March here, so that a leap day is its last
/// one, and a month begins `(153 * month + 2) / 5` days into it.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    const UNTIL_1970: i64 = 719_469;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - UNTIL_1970
}

const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(of(&text.parse().unwrap()), expected, "{text}");
    }

    #[test]
    fn moments_are_milliseconds_since_1970() {
        check("1970-01-01", Some(0));
        check("1970-01-01T00:00:00.0019Z", Some(1));
        check("1969-12-31", Some(-DAY_MS));
        check("2000-02-29", Some(951_782_400_000));
        check("2000-03-01", Some(951_868_800_000));
        check("2100-03-01T00:00:00Z", Some(4_107_542_400_000));
        check("0000-01-01", Some(-62_167_219_200_000));
        check("9999-12-31T23:59:59Z", Some(253_402_300_799_000));
        check("2018-01-30T12:00:00+02:30", Some(1_517_304_600_000));
        check("2018-01-30 09:30:00Z", Some(1_517_304_600_000));
    }

    #[test]
    fn moments_are_written_in_utc() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (1_517_304_600_000, "2018-01-30T09:30:00Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
            (253_402_300_799_000, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(text(ms), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_moment(ms in 0..253_402_300_800_000_u64) {
            let moment: Datetime = text(ms).parse().unwrap();
            prop_assert_eq!(of(&moment), i64::try_from(ms).ok());
        }
    }

    #[test]
    fn a_time_without_a_date_or_an_offset_is_no_moment() {
        check("2018-01-30T12:00:00", None);
        check("12:00:00", None);
    }
}
