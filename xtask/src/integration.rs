//! Only the tests over real processes: the program `causality`, started as a user starts it.

use anyhow::Result;

use crate::args::Args;
use crate::workspace;

pub(crate) fn run(args: Args) -> Result<()> {
    args.finish()?;
    workspace::run(workspace::cargo(&[
        "test",
        "--locked",
        "--workspace",
        "--all-features",
        "--test",
        "processes",
    ]))
}
