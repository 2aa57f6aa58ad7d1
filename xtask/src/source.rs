//! Rust source told apart into code, comments and tests, line by line, as far as the checks need it.

/// One line of a file: its code with the inside of literals blanked, and its comment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) code: String,
    pub(crate) comment: String,
}

/// Splits a file into lines of code and comment.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    let mut scanner = Scanner {
        chars: text.chars().collect(),
        at: 0,
        lines: vec![Line::default()],
    };
    scanner.scan();
    scanner.lines
}

/// The lines outside of `#[cfg(test)]` modules and those inside, each with the rest blank, so that numbers stay.
pub(crate) fn split_tests(lines: &[Line]) -> (Vec<Line>, Vec<Line>) {
    let mut product = Vec::new();
    let mut tests = Vec::new();
    let mut depth: Option<i64> = None;
    for line in lines {
        let starts = depth.is_none() && line.code.trim_start().starts_with("#[cfg(test)]");
        if starts {
            depth = Some(0);
        }
        let (mine, other) = if depth.is_some() {
            (&mut tests, &mut product)
        } else {
            (&mut product, &mut tests)
        };
        mine.push(line.clone());
        other.push(Line::default());
        let Some(open) = depth else { continue };
        let after = open + balance(&line.code);
        let closed = after == 0 && (line.code.contains('}') || line.code.trim_end().ends_with(';'));
        depth = if closed { None } else { Some(after) };
    }
    (product, tests)
}

/// Braces opened less braces closed.
pub(crate) fn balance(code: &str) -> i64 {
    code.chars()
        .map(|c| i64::from(c == '{') - i64::from(c == '}'))
        .sum()
}

/// Whether `word` stands in `text` with no letter, digit or underscore at either side.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(part);
        let after = text[at + word.len()..].chars().next().is_some_and(part);
        let open = word.starts_with(|c| !part(c));
        (open || !before) && !after
    })
}

struct Scanner {
    chars: Vec<char>,
    at: usize,
    lines: Vec<Line>,
}

impl Scanner {
    fn scan(&mut self) {
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(),
                ('r', Some('"' | '#')) if !self.inside_word() && self.raw_hashes().is_some() => {
                    self.raw_string()
                }
                ('\'', _) => self.quote(),
                _ => self.take_code(),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn inside_word(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.chars.get(at));
        // `br"…"` is a raw string too, `for"…"` is not.
        before.is_some_and(|c| (c.is_alphanumeric() || *c == '_') && *c != 'b')
    }

    /// The number of `#` of a raw string that starts here.
    fn raw_hashes(&self) -> Option<usize> {
        let hashes = self.chars[self.at + 1..]
            .iter()
            .take_while(|c| **c == '#')
            .count();
        (self.peek(1 + hashes) == Some('"')).then_some(hashes)
    }

    fn line(&mut self) -> &mut Line {
        self.lines
            .last_mut()
            .expect("a scanner starts with one line and only adds")
    }

    fn take_code(&mut self) {
        if let Some(c) = self.peek(0) {
            self.at += 1;
            if c == '\n' {
                self.lines.push(Line::default())
            } else {
                self.line().code.push(c)
            }
        }
    }

    fn take_comment(&mut self) {
        if let Some(c) = self.peek(0) {
            self.at += 1;
            if c == '\n' {
                self.lines.push(Line::default())
            } else {
                self.line().comment.push(c)
            }
        }
    }

    /// Skips a character inside a literal; the line structure stays.
    fn skip(&mut self) {
        if self.peek(0) == Some('\n') {
            self.lines.push(Line::default());
        }
        self.at += 1;
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.take_comment();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (None, _) => return,
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.take_comment();
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.take_comment();
                }
                _ => {}
            }
            self.take_comment();
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.take_code();
        while let Some(c) = self.peek(0) {
            match c {
                '"' => return self.take_code(),
                '\\' => {
                    self.skip();
                    self.skip();
                }
                _ => self.skip(),
            }
        }
    }

    fn raw_string(&mut self) {
        let hashes = self.raw_hashes().unwrap_or_default();
        for _ in 0..hashes + 2 {
            self.take_code();
        }
        while self.peek(0).is_some() {
            let closes =
                self.peek(0) == Some('"') && (1..=hashes).all(|n| self.peek(n) == Some('#'));
            if closes {
                for _ in 0..=hashes {
                    self.take_code();
                }
                return;
            }
            self.skip();
        }
    }

    /// A character literal is blanked; a lifetime is code.
    fn quote(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        let literal = escaped || self.peek(2) == Some('\'');
        self.take_code();
        if !literal {
            return;
        }
        if escaped {
            self.skip();
        }
        self.skip();
        while self.peek(0).is_some_and(|c| c != '\'') {
            self.skip();
        }
        self.take_code();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, String) {
        let line = lines(text).remove(0);
        (line.code, line.comment)
    }

    #[test]
    fn comments_and_the_inside_of_literals_are_no_code() {
        for (text, code, comment) in [
            ("let a = 1; // why", "let a = 1; ", "// why"),
            (r#"f("// no \" comment"); // yes"#, r#"f(""); "#, "// yes"),
            (
                r###"f(r#"a "b" // c"#); // d"###,
                r###"f(r#""#); "###,
                "// d",
            ),
            ("x /* a /* b */ c */ y", "x  y", "/* a /* b */ c */"),
            (
                r"m('\'', '\u{7f}', '/', b'\\'); // e",
                "m('', '', '', b''); ",
                "// e",
            ),
            (
                "fn f<'a>(x: &'a str) {} // g",
                "fn f<'a>(x: &'a str) {} ",
                "// g",
            ),
            (r#"br"//"; // h"#, r#"br""; "#, "// h"),
        ] {
            assert_eq!(one(text), (code.to_owned(), comment.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_literal_over_several_lines_keeps_the_numbers() {
        let found = lines("a(\"x\ny\"); // one\nb /* c\nd */ e");
        assert_eq!(found.len(), 4);
        assert_eq!(
            found[1],
            Line {
                code: "\"); ".to_owned(),
                comment: "// one".to_owned()
            }
        );
        assert_eq!(
            found[3],
            Line {
                code: " e".to_owned(),
                comment: "d */".to_owned()
            }
        );
    }

    #[test]
    fn tests_are_told_apart_from_the_product() {
        let (product, tests) = split_tests(&lines(
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n",
        ));
        let code = |lines: &[Line]| {
            lines
                .iter()
                .map(|l| l.code.as_str())
                .collect::<Vec<_>>()
                .join("|")
        };
        assert_eq!(code(&product), "fn a() {}|||||fn c() {}|");
        assert_eq!(code(&tests), "|#[cfg(test)]|mod tests {| fn b() {}|}||");
        let (product, _) = split_tests(&lines("#[cfg(test)]\nmod tests;\nfn c() {}"));
        assert_eq!(code(&product), "||fn c() {}");
    }

    #[test]
    fn words_end_where_letters_end() {
        assert!(has_word("E::Short;", "::Short"));
        assert!(!has_word("E::Shorter;", "::Short"));
        assert!(!has_word("fn longer_name()", "longer"));
        assert!(has_word("fn name()", "name"));
    }
}
