//! Cuts a stream of bytes into lines of bounded length.

use crate::line::LINE_BYTES_MAX;

/// The lines of a stream whose bytes come in pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// How much of the buffer is lines that were taken.
    taken: usize,
    /// Up to where there is no further line end.
    searched: usize,
    number: u64,
    bytes: u64,
    has_ended: bool,
}

/// A line that is no text of bounded length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoLine {
    /// It has more than [`LINE_BYTES_MAX`] bytes; there is no next line.
    TooLong,
    /// It is not UTF-8, from this column on.
    NotText(usize),
}

impl Lines {
    /// Adds bytes; none for the end.
    pub(super) fn push(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else {
            self.has_ended = true;
            return;
        };
        self.buffer.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether no more bytes are of use.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// How many bytes have been taken.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line, without its end, and its number from 1; `None` until more bytes come.
    pub(super) fn take(&mut self) -> Option<(u64, Result<&str, NoLine>)> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let end = unsearched
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| self.searched + at);
        self.searched = end.unwrap_or(self.buffer.len());
        let (start, length) = (self.taken, self.searched - self.taken);
        let is_too_long = length > LINE_BYTES_MAX;
        let is_last = self.has_ended && length > 0;
        if end.is_none() && !is_last && !is_too_long {
            return None;
        }
        self.searched += usize::from(end.is_some());
        self.taken = self.searched;
        self.number += 1;
        self.bytes += (self.taken - start) as u64;
        if is_too_long {
            self.buffer.truncate(self.taken);
            self.has_ended = true;
            return Some((self.number, Err(NoLine::TooLong)));
        }
        let line = &self.buffer[start..start + length];
        let text = std::str::from_utf8(line).map_err(|error| {
            let valid = String::from_utf8_lossy(&line[..error.valid_up_to()]);
            NoLine::NotText(valid.chars().count() + 1)
        });
        Some((self.number, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<(u64, Result<String, NoLine>)> {
        let mut lines = Lines::default();
        let mut taken = Vec::new();
        for piece in pieces.iter().copied().map(Some).chain([None]) {
            lines.push(piece);
            while let Some((number, line)) = lines.take() {
                taken.push((number, line.map(str::to_owned)));
            }
        }
        assert!(lines.has_ended());
        taken
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_come() {
        let text = "one\n\ntwo ä\r\nthree".as_bytes();
        let whole = all(&[text]);
        let texts: Vec<_> = whole
            .iter()
            .map(|(_, line)| line.clone().unwrap())
            .collect();
        assert_eq!(texts, ["one", "", "two ä\r", "three"]);
        for at in 0..text.len() {
            assert_eq!(all(&[&text[..at], &text[at..]]), whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all(&bytes), whole);
        assert_eq!(all(&[b"one\n"]).len(), 1);
        assert!(all(&[]).is_empty());
    }

    #[test]
    fn what_is_no_text_is_told_with_its_column() {
        let lines = all(&[b"a\n\xc3\xa4\xff\nb\xc3"]);
        let expected = [
            (1, Ok("a".to_owned())),
            (2, Err(NoLine::NotText(2))),
            (3, Err(NoLine::NotText(2))),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_line_has_a_limit_and_nothing_is_read_behind_it() {
        let longest = vec![b'x'; LINE_BYTES_MAX];
        assert!(all(&[&longest, b"\n"])[0].1.is_ok());
        assert!(all(&[&longest])[0].1.is_ok());
        let longer = [longest.as_slice(), b"x"].concat();
        assert_eq!(all(&[&longer]), [(1, Err(NoLine::TooLong))]);
        let mut lines = Lines::default();
        lines.push(Some(&longest));
        assert_eq!(lines.take(), None);
        lines.push(Some(b"xx\nmore\n"));
        assert_eq!(lines.take(), Some((1, Err(NoLine::TooLong))));
        assert!(lines.has_ended());
        assert_eq!(lines.take(), None);
    }

    #[test]
    fn bytes_are_counted() {
        let mut lines = Lines::default();
        lines.push(Some(b"one\ntwo\nthr"));
        while lines.take().is_some() {}
        assert_eq!(lines.bytes(), 8);
        lines.push(None);
        assert_eq!(lines.take(), Some((3, Ok("thr"))));
        assert_eq!(lines.bytes(), 11);
    }
}
