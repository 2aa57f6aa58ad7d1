//! The table of the demo: redrawn in place on a terminal, a plain line a day without one.

use std::io::IsTerminal as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::dress::{self, grouped};
use crate::workspace::out;

/// What one domain has done so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Row {
    name: String,
    /// Facts appended by the domain itself.
    pub(super) own: u64,
    /// Facts in its store, of whatever origin.
    pub(super) held: u64,
    sent: u64,
    received: u64,
}

#[derive(Debug)]
pub(super) struct Board {
    terminal: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: Vec<Row>,
    note: String,
    drawn: usize,
}

impl Board {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let rows = names
            .map(|name| Row {
                name: name.to_owned(),
                ..Row::default()
            })
            .collect();
        let state = Mutex::new(State {
            rows,
            ..State::default()
        });
        Self {
            terminal: std::io::stdout().is_terminal(),
            state,
        }
    }

    /// Changes the row of a domain.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Row)) {
        let mut state = self.state();
        if let Some(row) = state.rows.iter_mut().find(|row| row.name == name) {
            change(row);
        }
        self.draw(&mut state);
    }

    /// Notes what a domain's daemon has sent and received in all.
    pub(super) fn wire(&self, name: &str, sent: u64, received: u64) {
        self.change(name, |row| (row.sent, row.received) = (sent, received));
    }

    /// Says what has just happened.
    pub(super) fn note(&self, text: &str) {
        let mut state = self.state();
        text.clone_into(&mut state.note);
        if self.terminal {
            self.draw(&mut state);
        } else {
            let held: Vec<String> = state
                .rows
                .iter()
                .rev()
                .take(2)
                .rev()
                .map(|row| format!("{} holds {}", row.name, grouped(row.held)))
                .collect();
            out(&format!("{text}; {}", held.join(", ")));
        }
    }

    /// Leaves the table behind.
    pub(super) fn finish(&self) {
        self.draw(&mut self.state());
    }

    /// Facts a domain and bytes on the wire, at the end.
    pub(super) fn summary(&self) -> String {
        let state = self.state();
        // Each byte was sent by one and received by another.
        let wire: u64 = state.rows.iter().map(|row| row.sent).sum();
        let own: u64 = state.rows.iter().map(|row| row.own).sum();
        let total = format!(
            "{} facts, {} bytes on the wire (UDP payload)",
            grouped(own),
            grouped(wire)
        );
        if self.terminal {
            total
        } else {
            format!("{}{total}", table(&state.rows))
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, state: &mut State) {
        if !self.terminal {
            return;
        }
        let text = format!("{}{}\n", table(&state.rows), state.note);
        let up = if state.drawn > 0 {
            format!("\x1b[{}A\x1b[J", state.drawn)
        } else {
            String::new()
        };
        state.drawn = text.lines().count();
        out(&format!("{up}{text}"));
    }
}

fn table(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let figures = [row.own, row.held, row.sent, row.received].map(grouped);
        std::iter::once(row.name.clone()).chain(figures).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    dress::table(
        &[
            "domain",
            "own facts",
            "facts held",
            "bytes sent",
            "bytes received",
        ],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_sends_another_receives_is_counted_once() {
        let board = Board::new(["a", "b"].into_iter());
        board.wire("a", 1000, 10);
        board.wire("b", 10, 1000);
        board.change("a", |row| row.own += 2);
        assert!(
            board
                .summary()
                .ends_with("2 facts, 1,010 bytes on the wire (UDP payload)")
        );
    }
}
