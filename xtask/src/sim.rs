//! Simulated worlds: builds the program of `crates/sim` and runs it with the words of the caller.

use std::process::Command;

use anyhow::Result;

use crate::args::Args;
use crate::planted;
use crate::workspace;

/// What is run without any words.
const STANDARD: [&str; 2] = ["--seeds", "0..100"];

pub(crate) fn run(mut args: Args) -> Result<()> {
    if args.flag("--planted") {
        let only = args.word();
        args.finish()?;
        return planted::run(only.as_deref());
    }
    let build = ["build", "--locked", "--package", "causality-sim"];
    workspace::run(workspace::cargo(&build))?;
    let name = format!("causality-sim{}", std::env::consts::EXE_SUFFIX);
    let mut command = Command::new(workspace::target().join("debug").join(name));
    let words = args.rest();
    if words.is_empty() {
        command.args(STANDARD);
    } else {
        command.args(words);
    }
    workspace::run(command)
}
