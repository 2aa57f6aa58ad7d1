//! The program `causality-judge`: judges the history in a file.

use std::env;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::process::ExitCode;

use causality_judge::{BadHistory, HistoryError, Verdict, judge};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [path] = arguments.as_slice() else {
        return bad_usage();
    };
    let (name, path) = (path.to_string_lossy(), path);
    let verdict = match name.as_ref() {
        "-h" | "--help" => return answer(HELP, OK),
        "-" => judge(io::stdin().lock()),
        option if option.starts_with('-') => return bad_usage(),
        _ => match File::open(path) {
            Ok(file) => judge(BufReader::new(file)),
            Err(error) => return complain(&format!("{name}: {error}"), OTHER),
        },
    };
    match verdict {
        Ok(verdict) if verdict.is_clean() => answer(&told(&verdict), OK),
        Ok(verdict) => answer(&told(&verdict), VIOLATION),
        Err(error) => {
            let is_io = matches!(
                error,
                BadHistory {
                    error: HistoryError::Io(_),
                    ..
                }
            );
            let code = if is_io { OTHER } else { BAD_INPUT };
            complain(&format!("{name}: {error}"), code)
        }
    }
}

fn told(verdict: &Verdict) -> String {
    let mut text = String::new();
    for violation in &verdict.violations {
        text += &format!("{violation}\n\n");
    }
    let broken = verdict.violations.len() as u64 + verdict.omitted;
    text + &match broken {
        0 => format!("{} events, every promise kept\n", verdict.events),
        _ => format!(
            "{} events, {broken} violations, {} of them not shown\n",
            verdict.events, verdict.omitted
        ),
    }
}

fn answer(text: &str, code: u8) -> ExitCode {
    // Whoever closed the other end has read enough; the exit code still says how it went.
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"), OTHER)
        }
        _ => ExitCode::from(code),
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    eprintln!("causality-judge: {text}");
    ExitCode::from(code)
}

fn bad_usage() -> ExitCode {
    complain("expected one FILE, or `-`; see --help", BAD_INPUT)
}

const OK: u8 = 0;
const OTHER: u8 = 1;
const BAD_INPUT: u8 = 2;
const VIOLATION: u8 = 5;

const HELP: &str = "\
Judges what a world of nodes did: reads a history, one JSON object a line, and says which promises were broken.

Usage: causality-judge FILE

Arguments:
  FILE  the history; `-` is standard input

Options:
  -h, --help  this text

Exit codes:
  0  every promise was kept
  1  the file cannot be read
  2  wrong usage, or this is no history: the message has the line and what was expected
  5  a promise was broken: violations on standard output, each with the last events of the nodes concerned

docs/src/spec/history.md describes the format and every rule.
";
