//! Text as people read it: aligned tables, grouped numbers.

/// Lines of a table with its columns aligned: the first to the left, the others to the right unless they are words.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| width(cell)).collect();
    for row in rows {
        for (column, cell) in widths.iter_mut().zip(row) {
            *column = (*column).max(width(cell));
        }
    }
    let mut text = line(&widths, header.iter().copied());
    text += &line(
        &widths,
        widths
            .iter()
            .map(|width| "-".repeat(*width))
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str),
    );
    for row in rows {
        text += &line(&widths, row.iter().map(String::as_str));
    }
    text
}

fn line<'a>(widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (at, (cell, width)) in cells.zip(widths).enumerate() {
        let padding = " ".repeat(width.saturating_sub(self::width(cell)));
        let number = at > 0 && cell.starts_with(|c: char| c.is_ascii_digit());
        let padded = if number {
            padding + cell
        } else {
            cell.to_owned() + &padding
        };
        text += if at > 0 { "  " } else { "" };
        text += &padded;
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["a".to_owned(), "1".to_owned()],
            vec!["long".to_owned(), "23".to_owned()],
        ];
        assert_eq!(
            table(&["x", "n"], &rows),
            "x     n\n----  --\na      1\nlong  23\n"
        );
    }
}
