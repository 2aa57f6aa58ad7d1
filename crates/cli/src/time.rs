//! Times as text: RFC 3339 in and out, milliseconds since 1970 inside.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use thiserror::Error;

/// Why text is not a time.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum TimeError {
    #[error("a time is written as RFC 3339, such as 2018-01-30T12:00:00.123Z, or as milliseconds since 1970")]
    NotRfc3339,
    #[error("times are kept to the millisecond; this one is finer")]
    TooFine,
}

/// Reads RFC 3339 time. Leap seconds have no place on the scale, so they are refused.
pub(crate) fn parse(text: &str) -> Result<i64, TimeError> {
    if !has_shape(text.as_bytes()) {
        return Err(TimeError::NotRfc3339);
    }
    let time: Timestamp = text.parse().map_err(|_| TimeError::NotRfc3339)?;
    let digits = text.as_bytes().get(SECONDS_END..).unwrap_or_default();
    let finer = |digit: &u8| digit.is_ascii_digit() && *digit != b'0';
    // Behind the point and three digits; beyond nanoseconds the parser would not look.
    let fraction = digits.iter().skip(4).take_while(|digit| digit.is_ascii_digit());
    if digits.first() == Some(&b'.') && fraction.into_iter().any(finer) {
        return Err(TimeError::TooFine);
    }
    Ok(time.as_millisecond())
}

/// RFC 3339 with milliseconds if there are any; the number itself where the calendar ends.
pub(crate) fn format(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) if (0..=9999).contains(&time.to_zoned(jiff::tz::TimeZone::UTC).year()) => {
            DateTimePrinter::new().timestamp_to_string(&time)
        }
        _ => ms.to_string(),
    }
}

const SECONDS_END: usize = "2018-01-30T12:00:00".len();

/// The shape of RFC 3339, section 5.6; the parser knows the calendar, and accepts more shapes than this one.
fn has_shape(text: &[u8]) -> bool {
    let Some((seconds, rest)) = text.split_at_checked(SECONDS_END) else { return false };
    let fits = |(byte, expected): (&u8, &u8)| match expected {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        _ => byte == expected,
    };
    let leap = seconds.ends_with(b"60");
    !leap && seconds.iter().zip(b"0000-00-00T00:00:00").all(fits) && has_end(rest)
}

fn has_end(rest: &[u8]) -> bool {
    let zone = match rest.strip_prefix(b".") {
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            rest.get(digits..).unwrap_or_default()
        }
        None => rest,
    };
    match zone {
        b"Z" | b"z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_is_read_to_the_millisecond() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2018-01-30T12:00:00.123Z", 1_517_313_600_123),
            ("2018-01-30t13:00:00.12+01:00", 1_517_313_600_120),
            ("2018-01-30 11:30:00.123000-00:30", 1_517_313_600_123),
        ];
        for (text, ms) in cases {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn finer_times_and_other_shapes_are_refused() {
        for text in ["2018-01-30T12:00:00.1234Z", "2018-01-30T12:00:00.000000001Z"] {
            assert_eq!(parse(text), Err(TimeError::TooFine), "{text}");
        }
        let shapes = [
            "", "yesterday", "2018-01-30", "2018-01-30T12:00:00", "2018-02-30T12:00:00Z",
            "2018-01-30T12:00:60Z", "2018-01-30T12:00:00.Z", "2018-01-30T12:00Z", "20180130T120000Z",
            "2018-01-30T12:00:00Z[UTC]", "2018-01-30T25:00:00Z", "2018-01-30T12:00:00+0100", " 2018-01-30T12:00:00Z",
            "2018-01-30T12:00:00.0000000001Z",
        ];
        for text in shapes {
            assert_eq!(parse(text), Err(TimeError::NotRfc3339), "{text}");
        }
    }

    #[test]
    fn times_are_written_so_that_they_are_read_back() {
        for ms in [0, -1, 1_517_313_600_123, 253_402_300_799_000] {
            assert_eq!(parse(&format(ms)), Ok(ms), "{}", format(ms));
        }
        assert_eq!(format(1_517_313_600_120), "2018-01-30T12:00:00.12Z");
        assert_eq!(format(i64::MAX), i64::MAX.to_string());
    }
}
