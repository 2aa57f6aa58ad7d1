//! Text from others as it may stand on a terminal.

use std::borrow::Cow;

/// The text without power over a terminal or over the direction of what stands around it: control characters, line ends
/// among them, and invisible formatting characters become escapes such as `\u{1b}`.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(has_power) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if has_power(character) {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    Cow::Owned(plain)
}

/// The text as one word of a command that somebody may paste into a shell.
pub(crate) fn word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:,+=@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Joiners (U+200C, U+200D) stay: scripts and pictures are written with them.
fn has_power(character: char) -> bool {
    let formats = matches!(
        character,
        '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    character.is_control() || formats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_command_is_one_whatever_it_holds() {
        for (text, expected) in [
            ("public", "public"),
            ("/srv/a.b_c-d:1", "/srv/a.b_c-d:1"),
            ("", "''"),
            ("for partners", "'for partners'"),
            ("$(reboot) `x` \"y\" *", "'$(reboot) `x` \"y\" *'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(word(text), expected);
        }
    }

    #[test]
    fn what_has_power_is_escaped_and_all_else_stays() {
        for (text, expected) in [
            ("", ""),
            (
                "Zürich 🌋 \"\\ e\u{301} 👩\u{200d}🔬",
                "Zürich 🌋 \"\\ e\u{301} 👩\u{200d}🔬",
            ),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\n\tb", "a\\r\\n\\tb"),
            ("\u{0}\u{7f}\u{9b}31m", "\\u{0}\\u{7f}\\u{9b}31m"),
            ("\u{202e}txt\u{2066}", "\\u{202e}txt\\u{2066}"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }
}
