//! Arguments of a verb, taken one by one; whatever is left over is a usage error.

use std::fmt;

/// The words after the verb that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Args {
    words: Vec<String>,
}

impl Args {
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        Self {
            words: words.collect(),
        }
    }

    /// Takes a flag; says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() < before
    }

    /// Takes an option with its value.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>, Usage> {
        let Some(at) = self.words.iter().position(|word| word == name) else {
            return Ok(None);
        };
        self.words.remove(at);
        if at == self.words.len() {
            return Err(Usage::new(format!("{name} wants a value")));
        }
        Ok(Some(self.words.remove(at)))
    }

    /// Takes an option whose value is a whole number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, Usage> {
        let Some(text) = self.value(name)? else {
            return Ok(None);
        };
        let number = text.replace('_', "").parse();
        number
            .map(Some)
            .map_err(|_| Usage::new(format!("{name} wants a whole number, not {text:?}")))
    }

    /// Takes the first word, if one is left.
    pub(crate) fn word(&mut self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// Takes whatever is left, to hand it on.
    pub(crate) fn rest(self) -> Vec<String> {
        self.words
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), Usage> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(Usage::new(format!(
                "unknown argument {word:?}; see `cargo xtask --help`"
            ))),
        }
    }
}

/// The caller's words make no sense: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage {
    message: String,
}

impl Usage {
    pub(crate) fn new(message: String) -> Self {
        Self { message }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Usage {}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_values_and_words_are_taken_in_any_order() {
        let mut args = args("sync --facts 10_000 --keep");
        assert!(args.flag("--keep"));
        assert_eq!(args.number("--facts").unwrap(), Some(10_000));
        assert_eq!(args.word().as_deref(), Some("sync"));
        args.finish().unwrap();
    }

    #[test]
    fn what_is_left_is_handed_on_in_its_order() {
        let mut args = args("--seed 7 --keep --trace");
        assert!(args.flag("--keep"));
        assert_eq!(args.rest(), ["--seed", "7", "--trace"]);
    }

    #[test]
    fn a_missing_value_a_wrong_number_and_a_left_over_word_are_usage_errors() {
        assert!(args("--facts").number("--facts").is_err());
        assert!(args("--facts many").number("--facts").is_err());
        assert!(
            args("--what")
                .finish()
                .unwrap_err()
                .to_string()
                .contains("--what")
        );
    }
}
