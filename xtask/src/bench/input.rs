//! Seeded input: facts whose content is one value of 256 bytes that does not compress, each of a resource of its own.

use std::io::Write;

use anyhow::Result;

/// Bytes of the one value of each fact.
const VALUE_BYTES: usize = 256;

/// Writes one line a fact for `fact import`; says how many bytes.
pub(super) fn write(facts: u64, into: &mut dyn Write) -> Result<u64> {
    let mut random = Random { state: 2 };
    let mut bytes = 0;
    for number in 0..facts {
        let line = line(number, &mut random);
        bytes += u64::try_from(line.len())?;
        into.write_all(line.as_bytes())?;
    }
    Ok(bytes)
}

/// The same with a field `number`: all numbers below `facts`, each once, in no order.
pub(super) fn write_numbered(facts: u64, into: &mut dyn Write) -> Result<()> {
    let mut random = Random { state: 3 };
    let mut numbers: Vec<_> = (0..facts).map(|number| (random.next(), number)).collect();
    numbers.sort_unstable();
    for (place, (_, number)) in (0..).zip(numbers) {
        let fields = format!("\"number\":{number},");
        into.write_all(line_with(place, &fields, &mut random).as_bytes())?;
    }
    Ok(())
}

/// One line, with its newline.
pub(super) fn line(number: u64, random: &mut Random) -> String {
    line_with(number, "", random)
}

fn line_with(number: u64, fields: &str, random: &mut Random) -> String {
    let value: Vec<u8> = (0..VALUE_BYTES / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    // `type/name` with 16 characters in all.
    let resource = format!("load/{number:011x}");
    let value = base64(&value);
    format!(
        "{{\"type\":\"observation\",\"resource\":\"{resource}\",\"content\":{{{fields}\"value\":{{\"$bytes\":\"{value}\"}}}}}}\n"
    )
}

/// SplitMix64: small, seeded, and good enough not to compress.
#[derive(Debug)]
pub(super) struct Random {
    pub(super) state: u64,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0_usize, |group, byte| group << 8 | usize::from(*byte));
        for place in 0..4 {
            let letter = char::from(LETTERS[group >> (18 - 6 * place) & 63]);
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn base64_has_the_vectors_of_its_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn each_number_stands_in_one_line_and_not_in_order() {
        let mut written = Vec::new();
        write_numbered(100, &mut written).unwrap();
        let lines = written.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        let number = |line: &[u8]| {
            let line: Value = serde_json::from_slice(line).unwrap();
            line["content"]["number"].as_u64().unwrap()
        };
        let mut numbers: Vec<_> = lines.map(number).collect();
        assert!(!numbers.is_sorted());
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..100));
    }

    #[test]
    fn lines_are_seeded_and_their_resources_differ() {
        let mut first = Vec::new();
        let mut second = Vec::new();
        assert_eq!(
            write(3, &mut first).unwrap(),
            u64::try_from(first.len()).unwrap()
        );
        write(3, &mut second).unwrap();
        assert_eq!(first, second);
        let lines: Vec<Value> = first
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        assert_ne!(lines[0]["resource"], lines[1]["resource"]);
        assert_eq!(lines[0]["resource"].as_str().unwrap().len(), 16);
        assert_eq!(
            lines[0]["content"]["value"]["$bytes"]
                .as_str()
                .unwrap()
                .len(),
            344
        );
    }
}
