//! Rules and what a check of them found, in plain words.

use std::fmt::Write as _;

use crate::plain::plain;
use crate::protocol::{
    PeerRulesItem, PolicyCheckSummary, PolicyReloadSummary, PolicyShowSummary, RuleItem,
    VolumeItem, WindowItem,
};
use crate::text::count;

impl PolicyCheckSummary {
    /// The findings for people. What is wrong with the file is the failure of the command.
    pub(crate) fn text(&self) -> String {
        let file = plain(&self.file);
        if self.is_missing {
            return no_file(&file);
        }
        if self.error.is_some() {
            return String::new();
        }
        if self.findings.is_empty() {
            return format!("{file} is sound: {}\n", count(self.rules, "rule"));
        }
        let lines = self.findings.iter();
        lines
            .map(|finding| format!("{}\n", plain(&finding.message)))
            .collect()
    }
}

fn no_file(file: &str) -> String {
    format!("there is no {file}: what the address book grants is all that is shared\n")
}

impl PolicyReloadSummary {
    pub(crate) fn text(&self) -> String {
        let (file, rules) = (plain(&self.file), count(self.rules, "rule"));
        if self.is_missing {
            return no_file(&file);
        }
        match self.reloaded {
            true => format!("{file} is in force: {rules}\n"),
            false => format!("{file} can come into force: {rules}\n"),
        }
    }
}

impl PolicyShowSummary {
    /// The rules of each peer.
    pub(crate) fn text(&self) -> String {
        let peers = self.peers.iter().map(PeerRulesItem::text);
        peers.collect::<Vec<_>>().join("\n")
    }
}

impl PeerRulesItem {
    fn text(&self) -> String {
        let (name, id) = (plain(&self.name), plain(&self.id));
        let lines = |rules: &[RuleItem]| -> String {
            let words = rules.iter().map(RuleItem::words);
            words
                .map(|words| format!("    {}\n", plain(&words)))
                .collect()
        };
        let or_nothing = |rules: &[RuleItem]| match rules {
            [] => "    nothing\n".to_owned(),
            rules => lines(rules),
        };
        let mut text = format!("{name} {id}\n  is sent\n{}", or_nothing(&self.out));
        if !self.out.is_empty() && !self.security.is_empty() {
            let _ = write!(text, "  but\n{}", lines(&self.security));
        }
        let _ = write!(text, "  gives\n{}", or_nothing(&self.inward));
        text
    }
}

impl RuleItem {
    /// What the rule says, and where it stands.
    pub(crate) fn words(&self) -> String {
        let effect = self.effect();
        let facts = self.facts();
        let mut words = match effect.as_str() {
            "" => facts,
            effect => format!("{effect}: {facts}"),
        };
        if let Some(VolumeItem {
            facts,
            bytes,
            seconds,
        }) = &self.volume
        {
            let [facts, bytes, seconds] =
                [(*facts, "fact"), (*bytes, "byte"), (*seconds, "second")]
                    .map(|(number, noun)| count(number, noun));
            let _ = write!(words, "; at most {facts} and {bytes} in {seconds}");
        }
        if let Some(in_force) = &self.in_force {
            let _ = write!(words, "; in force {}", in_force.words());
        }
        let name = &self.name;
        match self.line {
            Some(line) => words + &format!(" ({name:?}, line {line})"),
            None => words + " (address book)",
        }
    }

    /// What a rule that restricts does to facts.
    fn effect(&self) -> String {
        if self.refuse {
            return "not sent".to_owned();
        }
        let fields: Vec<_> = self.withhold.iter().map(|field| quoted(field)).collect();
        let without = (!fields.is_empty()).then(|| format!("without {}", fields.join(", ")));
        let session = self
            .protection
            .as_ref()
            .map(|_| "in sessions only".to_owned());
        let effects: Vec<_> = without.into_iter().chain(session).collect();
        effects.join(", and ")
    }

    /// Which facts are meant.
    fn facts(&self) -> String {
        let compartments = match self.compartments.as_slice() {
            [] => String::new(),
            some => format!(" in {}", any(some.iter().map(|name| quoted(name)))),
        };
        let mut conditions = String::new();
        for (before, entries) in [
            (" of type ", &self.fact_types),
            (" about ", &self.resource_types),
        ] {
            if !entries.is_empty() {
                let _ = write!(
                    conditions,
                    "{before}{}",
                    any(entries.iter().map(|entry| quoted(entry)))
                );
            }
        }
        if !self.labels.is_empty() {
            let labels = self.labels.iter().map(|label| match label.as_str() {
                "" => "without a label".to_owned(),
                label => format!("labelled {}", quoted(label)),
            });
            let _ = write!(conditions, " {}", any(labels));
        }
        if !self.onward.is_empty() {
            let _ = write!(
                conditions,
                ", marked onward {}",
                any(self.onward.iter().cloned())
            );
        }
        for (before, window) in [(", true ", &self.valid), (", said ", &self.known)] {
            if let Some(window) = window {
                let _ = write!(conditions, "{before}{}", window.words());
            }
        }
        if let Some(filter) = &self.filter {
            let _ = write!(conditions, ", where {filter}");
        }
        match conditions.is_empty() {
            true => format!("everything{compartments}"),
            false => format!("facts{compartments}{conditions}"),
        }
    }
}

impl WindowItem {
    fn words(&self) -> String {
        match (&self.from, &self.until) {
            (Some(from), Some(until)) => format!("from {from} until {until}"),
            (Some(from), None) => format!("from {from} on"),
            (None, Some(until)) => format!("until {until}"),
            (None, None) => "always".to_owned(),
        }
    }
}

fn any(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<_> = entries.collect();
    match entries.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// An entry of a list in a sentence: in quotes, unless it is one plain word.
fn quoted(entry: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "*?_-.:".contains(c);
    if !entry.is_empty() && entry.chars().all(is_plain) {
        entry.to_owned()
    } else {
        format!("{entry:?}")
    }
}
