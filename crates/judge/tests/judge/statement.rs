//! Rows as the page has them, whole and with fields withheld.

use causality_judge::FactId;

use crate::world::{tagged_hash, uint};

/// An observation of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// 0 for what nobody but its origin gives to others, 1 for the audience.
    pub(crate) onward: u8,
    pub(crate) label: &'static str,
    /// What it requires, in ascending order.
    pub(crate) requires: Vec<FactId>,
    /// In the order of their names.
    pub(crate) fields: Vec<(&'static str, u64)>,
}

impl Statement {
    /// For everybody who may have the log.
    pub(crate) fn of(fields: &[(&'static str, u64)]) -> Self {
        Self {
            onward: 1,
            label: "",
            requires: Vec::new(),
            fields: fields.to_vec(),
        }
    }

    pub(crate) fn labelled(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    pub(crate) fn because(self, cause: FactId) -> Self {
        let requires = vec![cause];
        Self { requires, ..self }
    }

    /// A row of all of it.
    pub(crate) fn whole(&self, time: u64) -> Vec<u8> {
        let mut row = self.start(0, time);
        row.extend(SEED);
        row.extend(uint(self.fields.len() as u64));
        for number in 0..self.fields.len() {
            row.extend(self.field(number));
        }
        row
    }

    /// A row of some of its fields.
    pub(crate) fn partial(&self, time: u64, shown: &[&str]) -> Vec<u8> {
        let mut row = self.start(1, time);
        row.extend(uint(self.fields.len() as u64));
        for (number, (name, _)) in self.fields.iter().enumerate() {
            let mut salt = SEED.to_vec();
            salt.extend(uint(number as u64));
            let salt = tagged_hash("causality/0/salt", &salt);
            let field = self.field(number);
            if shown.contains(name) {
                row.push(1);
                row.extend(salt);
                row.extend(field);
            } else {
                row.push(0);
                let leaf = [&salt[..], &field].concat();
                row.extend(tagged_hash("causality/0/field", &leaf));
            }
        }
        row
    }

    /// The kind of the row, and all of the core but the content root.
    fn start(&self, kind: u8, time: u64) -> Vec<u8> {
        let mut row = vec![kind, 0, self.onward];
        row.extend(text(self.label));
        row.push(2);
        row.extend(b"\x07reading\x01x\x00");
        row.extend(time.to_le_bytes());
        row.extend([0, 0]);
        row.extend(uint(self.requires.len() as u64));
        self.requires.iter().for_each(|id| row.extend(id.0));
        row.push(0);
        row
    }

    fn field(&self, number: usize) -> Vec<u8> {
        let (name, value) = self.fields[number];
        let mut field = text(name);
        field.push(3);
        field.extend(uint(value * 2));
        field
    }
}

fn text(text: &str) -> Vec<u8> {
    [&uint(text.len() as u64), text.as_bytes()].concat()
}

const SEED: [u8; 16] = [7; 16];
