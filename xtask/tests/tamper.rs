//! One flipped byte in one home makes the demo's judgement fail, and name the home.

use std::path::Path;
use std::process::Command;

#[test]
fn the_demo_notices_one_flipped_byte() {
    let xtask = Path::new(env!("CARGO_BIN_EXE_xtask"));
    let mut command = Command::new(xtask);
    command.args(["demo", "--days", "1", "--tamper"]);
    // Tests of the whole workspace have just built the program beside this one; alone, the demo builds it.
    let program = xtask.with_file_name(format!("causality{}", std::env::consts::EXE_SUFFIX));
    if program.exists() {
        command.arg("--program").arg(program);
    }
    let output = command.output().unwrap();
    let (said, wrong) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(1), "{said}{wrong}");
    assert!(said.contains("flipped a bit"), "{said}{wrong}");
    assert!(wrong.contains("WRONG us.anss: "), "{said}{wrong}");
}
