//! The project's own chores: `cargo xtask VERB`. One file a verb; this one only dispatches.

mod args;
mod bench;
mod clock;
mod demo;
mod dress;
mod integration;
mod layers;
mod planted;
mod program;
mod proofs;
mod sim;
mod source;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use args::{Args, Usage};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_else(|| "--help".to_owned());
    let mut args = Args::new(arguments);
    if args.flag("--help") || args.flag("-h") || matches!(verb.as_str(), "help" | "--help" | "-h") {
        workspace::out(HELP);
        return ExitCode::SUCCESS;
    }
    match dispatch(&verb, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

fn dispatch(verb: &str, args: Args) -> anyhow::Result<()> {
    match verb {
        "attacks" => proofs::attacks(args),
        "bench" => bench::run(args),
        "demo" => demo::run(args),
        "integration" => integration::run(args),
        "layers" => layers::run(args),
        "seed-map" => proofs::seed_map(args),
        "sim" => sim::run(args),
        "test" => test::run(args),
        "tidy" => tidy::run(args),
        other => Err(Usage::new(format!(
            "no verb {other:?}; `cargo xtask --help` lists them"
        ))
        .into()),
    }
}

const HELP: &str = "\
The project's own chores. Usage: cargo xtask VERB [OPTIONS], from any directory of the workspace.

  test          everything that must be green before a commit lands: formatting, lints, all tests, documentation,
                and the checks below. Each step is timed; the last line counts the steps.
  demo          the main job on real data: 14 domains, each a process of its own with its own keys and store, exchange
                a week of earthquake reports over QUIC on this machine, and the result is judged from outside.
                  --keep      leave the homes behind, and print commands to explore them
                  --days N    only the first N days of the week (1 to 7)
                  --tamper    flip one byte in one home before the judgement, which must then fail
                  --verbose   print each command that is run
                  --program PATH   play with this program instead of building one (`bench` takes it too)
  attacks       run the tests of each attack of docs/src/security/attacks.md, and print what it met.
  bench sync    import and synchronise facts between two processes (release build, fsynced), against the bounds.
                  --facts N         how many (default 100000)
                  --facts-large N   for the flatness and memory bounds (default 1000000; 0: leave them out)
                  -o json           the figures as JSON
  bench policies
                what travels, and what it costs, when a policy permits 1000 more of so many facts, and when the same is
                asked again. Takes --facts N (default 100000), -o json.
  bench reconcile
                bytes, round trips and CPU until one side knows which of a million positions the other lacks, against the
                bounds. Takes -o json.
  integration   only the tests over real processes.
  sim           simulated worlds: real nodes on networks, disks and clocks that fail on purpose, in virtual time. Without
                options the worlds of seeds 0..100.
                  --seeds A..B      the worlds of these seeds
                  --seed S          one of them; with --trace line by line, with --history FILE for the judge
                  --minutes M       as many as fit, with --from S from that seed on; says where to go on
                  --scenario NAME   a story with a name, or `all`
                  --planted [NAME]  plant bugs into a copy of the tree, all or one: each has to be found

Checks, each a part of `test`:

  layers        dependencies between the crates point downwards; an outside crate stays where it belongs.
  tidy          what a compiler does not see: phrases, file shape, specification against source, errors without a test.
                  --bless     record the specification pages and their sources as they are now
  seed-map      each row of docs/src/seed-map.md names tests that exist.
";
