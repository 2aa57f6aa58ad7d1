//! Durations of a policy file: a whole number and its unit.

/// The units, with their lengths in milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// What people write for a unit.
const SLIPS: [(&str, &str); 16] = [
    ("day", "d"),
    ("days", "d"),
    ("hour", "h"),
    ("hours", "h"),
    ("hr", "h"),
    ("hrs", "h"),
    ("m", "min"),
    ("mins", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("milliseconds", "ms"),
    ("msec", "ms"),
    ("sec", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("secs", "s"),
];

/// Milliseconds; `None` for what is no duration, or too long for the number.
pub(super) fn of(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*length)
}

/// What was probably meant by something that is no duration.
pub(super) fn meant(text: &str) -> Option<String> {
    let (number, unit) = split(text)?;
    let unit = unit.trim_start().to_lowercase();
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let slip = SLIPS.iter().find(|(slip, _)| *slip == unit);
    let unit = known.map(|(name, _)| name).or(slip.map(|(_, name)| name))?;
    let meant = format!("{number}{unit}");
    of(&meant).map(|_| meant)
}

/// A duration as a file has it.
pub(super) fn text(ms: u64) -> String {
    let exact = UNITS
        .iter()
        .find(|(_, length)| ms > 0 && ms.is_multiple_of(*length));
    let (unit, length) = exact.unwrap_or(&("ms", 1));
    format!("{}{unit}", ms / length)
}

fn split(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        for (written, ms) in [
            ("0ms", Some(0)),
            ("250ms", Some(250)),
            ("5s", Some(5_000)),
            ("2min", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("18446744073709551615ms", Some(u64::MAX)),
            ("18446744073709551616ms", None),
            ("18446744073709551615s", None),
            ("", None),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("1.5s", None),
            ("5 s", None),
            ("1h30min", None),
            ("5m", None),
        ] {
            assert_eq!(of(written), ms, "{written}");
        }
    }

    #[test]
    fn what_was_meant_is_a_duration() {
        for (written, expected) in [
            ("5m", Some("5min")),
            ("5 Seconds", Some("5s")),
            ("10 MS", Some("10ms")),
            ("2 weeks", None),
            ("fast", None),
            ("99999999999999999999 hours", None),
        ] {
            assert_eq!(meant(written).as_deref(), expected, "{written}");
        }
        for (slip, unit) in SLIPS {
            assert_eq!(meant(&format!("3{slip}")), Some(format!("3{unit}")));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_duration(
            number in prop_oneof![any::<u64>(), 0..10_000_u64], unit in 0..UNITS.len(),
        ) {
            let ms = number.saturating_mul(UNITS[unit].1);
            prop_assert_eq!(of(&text(ms)), Some(ms));
        }
    }
}
