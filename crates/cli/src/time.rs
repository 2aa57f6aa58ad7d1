//! Times as text: RFC 3339 in and out, milliseconds since 1970 inside.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use thiserror::Error;

/// Why text is not a time.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum TimeError {
    #[error(
        "a time is written as RFC 3339, such as 2018-01-30T12:00:00.123Z, or as milliseconds since 1970"
    )]
    NotRfc3339,
    #[error("times are kept to the millisecond; this one is finer")]
    TooFine,
}

/// Reads RFC 3339 time (section 5.6). Leap seconds have no place on the scale, so they are refused.
pub(crate) fn parse(text: &str) -> Result<i64, TimeError> {
    let parts = Parts::of(text).ok_or(TimeError::NotRfc3339)?;
    let local: DateTime = parts.local.parse().map_err(|_| TimeError::NotRfc3339)?;
    if parts.fraction.bytes().skip(3).any(|digit| digit != b'0') {
        return Err(TimeError::TooFine);
    }
    let since_epoch = local.duration_since(EPOCH).as_millis();
    let ms = since_epoch - i128::from(parts.offset_minutes) * 60_000;
    i64::try_from(ms).map_err(|_| TimeError::NotRfc3339)
}

/// RFC 3339 with milliseconds if there are any; the number itself where the calendar ends.
pub(crate) fn format(ms: i64) -> String {
    match EPOCH.checked_add(SignedDuration::from_millis(ms)) {
        Ok(time) if time.year() >= 0 => format!("{time}Z"),
        _ => ms.to_string(),
    }
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The parts of a text that has the shape of a time; the calendar is another question.
struct Parts<'a> {
    local: &'a str,
    /// The digits behind the point of the seconds.
    fraction: &'a str,
    offset_minutes: i32,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (seconds, rest) = text.split_at_checked("0000-00-00T00:00:00".len())?;
        let fits = |(byte, expected): (u8, u8)| match expected {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't' | b' '),
            _ => byte == expected,
        };
        let has_shape = seconds.bytes().zip(*b"0000-00-00T00:00:00").all(fits);
        if !has_shape || seconds.ends_with("60") {
            return None;
        }
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, zone) = match rest.strip_prefix('.') {
            Some(rest) => rest
                .split_at_checked(digits(rest))
                .filter(|(f, _)| (1..=9).contains(&f.len()))?,
            None => ("", rest),
        };
        let local = text.strip_suffix(zone)?;
        Some(Self {
            local,
            fraction,
            offset_minutes: offset_minutes(zone)?,
        })
    }
}

fn offset_minutes(zone: &str) -> Option<i32> {
    let two = |tens: u8, ones: u8, limit: i32| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        let number = i32::from(tens) * 10 + i32::from(ones) - i32::from(b'0') * 11;
        (digits && number < limit).then_some(number)
    };
    match *zone.as_bytes() {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let minutes = two(h1, h2, 24)? * 60 + two(m1, m2, 60)?;
            Some(if sign == b'-' { -minutes } else { minutes })
        }
        _ => None,
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
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("2018-01-30 11:30:00.123000-00:30", 1_517_313_600_123),
        ];
        for (text, ms) in cases {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn finer_times_and_other_shapes_are_refused() {
        for text in [
            "2018-01-30T12:00:00.1234Z",
            "2018-01-30T12:00:00.000000001Z",
        ] {
            assert_eq!(parse(text), Err(TimeError::TooFine), "{text}");
        }
        let shapes = [
            "",
            "yesterday",
            "2018-01-30",
            "2018-01-30T12:00:00",
            "2018-02-30T12:00:00Z",
            "2018-01-30T12:00:60Z",
            "2018-01-30T12:00:00.Z",
            "2018-01-30T12:00Z",
            "20180130T120000Z",
            "2018-01-30T12:00:00Z[UTC]",
            "2018-01-30T25:00:00Z",
            "2018-01-30T12:00:00+0100",
            " 2018-01-30T12:00:00Z",
            "2018-01-30T12:00:00.0000000001Z",
            "2018-01-30T12:00:00+24:00",
            "2018-01-30T12:00:00+01:60",
            "2018-01-30T12:00:00ä",
            "2018-01-30T12:00:0ä",
        ];
        for text in shapes {
            assert_eq!(parse(text), Err(TimeError::NotRfc3339), "{text}");
        }
    }

    #[test]
    fn times_are_written_so_that_they_are_read_back() {
        for ms in [
            0,
            -1,
            1_517_313_600_123,
            253_402_300_799_999,
            -62_167_219_200_000,
        ] {
            assert_eq!(parse(&format(ms)), Ok(ms), "{}", format(ms));
        }
        assert_eq!(format(1_517_313_600_120), "2018-01-30T12:00:00.12Z");
        for ms in [i64::MAX, i64::MIN, 253_402_300_800_000, -62_167_219_200_001] {
            assert_eq!(format(ms), ms.to_string());
        }
    }
}
