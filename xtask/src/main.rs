//! Chores of the project: `cargo xtask CHORE`.

mod attack;
mod bench;
mod chaos;
mod codegen;
mod conform;
mod fuzz;
mod interop;
mod mutants;
mod need;
mod nostd;
mod parallel;
mod planted;
mod prove;
mod python;
mod release;
mod sim;
mod tlc;
mod trace;
mod verify;
mod weight;
mod wheel;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask CHORE
  verify [--quick]    run all rungs of evidence and all tests, and print a table; or leave out what takes minutes
  codegen [--check]   generate the Cap'n Proto code of the examples, or check that it is current
                      (needs the `capnp` compiler)
  nostd               link `proto` into a program without std, and run it (needs a C compiler)
  features            build each combination of features, and the programs by themselves
  package             all steps of a publication but the upload
  api [--check]       record the public API, or check that it is the recorded one
  semver [REVISION]   check that the version allows the changes of the public API since a revision, or since the tag of
                      the last version
  fuzz [--seconds N] [TARGET]
                      fuzz all targets, or one, for a minute or N seconds each (needs a C++ compiler)
  deny                check the dependencies' licences, versions and sources
  attack              measure how long a client waits for its first answer while its server is attacked
  bench [--rounds N | --seconds N | --quick] [--keep] [ROW ...]
                      compare this crate with the same by hand and with sequoia-ipc, in all rows or some: until the
                      ratios are known well, or for 30 or N seconds a row, or in N rounds; judge the results, and write
                      them to docs/performance.md if all rows were measured, or those of some with --keep (needs the
                      `capnp` compiler; the build takes minutes)
  chaos [--seed S] [--from N] [--rounds M] [--round R] [--jobs J] [--summary FILE] | --herd
                      kill, stop and mislead real processes at every step, in N rounds (100 of seed 1) or in round R;
                      or connect hundreds of clients at once
  conform [SLICE]     compare the graph of the machines with the graph of the spec (needs Java 11 or newer)
  conform --second    compare the small slices with the graph of the second checker, which needs no Java
  conform --accept    record the machines' graph as the expected one
  conform --everything [FAULT ...]
                      explore the machines under all faults, and under each pair of them (an hour); or the pair that is
                      named, or all pairs of one fault
  interop             run our side of the dialect of `sequoia-ipc` against the published crate (needs the `capnp`
                      compiler; builds some 250 crates the first time)
  mutants [--all]     mutate the part of `proto` that differs from the branch main, or all of it, and check that a
                      fast test fails
  mutants --check     compare the kept results of the mutants of all else in `src/` with the code
  mutants --replay    run the mutants that are listed as survivors, and check that they survive (an hour)
  mutants [--critical] [--sample N SEED] [FILE ...] [--again] [--budget S] [--minutes M]
                      run the mutants of the critical files, N of the other files, or those of these files, in one
                      build, by tests of S seconds each, for M minutes or to the end; or again those that survived
                      without a reason; and keep the results
  planted [TEXT]      plant each mistake of tests/planted.txt, or those whose title contains the text, and check that the
                      tests that it names see it; write docs/planted.md if all were planted
  python              run the client in plain Python beside this crate (needs Python 3.9 or newer)
  prove [NAME ...]    prove the core of the spec for any number of clients and servers with Ivy, and check that each
                      variant of it, or those named, fails (needs pip; 200 MB the first time)
  sim [--runs N] [--seed S] [--log]
                      run the driver over a simulated system, by 10,000 seeds from 1 on, or N from S on, and show what
                      happened in the first that breaks a property, or with --log in all
  tlc [--deep | NAME ...] [--both] [--counterexamples]
                      check the spec with TLC: the quick configurations, all, or those named; also with a second
                      checker; also write the counterexamples (needs Java 11 or newer)
  trace [--corpus | --record N | --keep | LOG...]
                      check with TLC that the spec allows what real processes did: the kept runs, tampered with at
                      some places, and a run of each kind; the kept runs, tampered with everywhere; N runs of each
                      kind; or these logs. Or record the kept runs anew
  weight              print what the crate adds to a program with each set of features (minutes)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["verify"] => verify::verify(false),
        ["verify", "--quick"] => verify::verify(true),
        ["codegen"] => codegen::generate(),
        ["codegen", "--check"] => codegen::check(),
        ["nostd"] => nostd::check(),
        ["attack"] => attack::check(),
        ["bench", ref args @ ..] => bench::check(args),
        ["chaos", ref args @ ..] => chaos::check(args),
        ["conform"] => conform::check(None),
        ["conform", "--accept"] => conform::accept(),
        ["conform", "--second"] => conform::second(),
        ["conform", "--everything", ref only @ ..] => conform::explore(only),
        ["conform", slice] => conform::check(Some(slice)),
        ["interop"] => interop::check(),
        ["mutants"] => mutants::check(false),
        ["mutants", "--all"] => mutants::check(true),
        ["mutants", "--check"] => mutants::shell::check(),
        ["mutants", "--replay"] => mutants::shell::replay(),
        ["mutants", ref args @ ..] => mutants::shell::run(args),
        ["planted"] => planted::check(None),
        ["planted", only] => planted::check(Some(only)),
        ["python"] => python::check(),
        ["prove", ref only @ ..] => prove::check(only),
        ["sim", ref args @ ..] => sim::check(args),
        ["tlc", ref args @ ..] => {
            let (flags, only): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with('-'));
            match flags.iter().all(|flag| ["--deep", "--both", "--counterexamples"].contains(flag)) {
                true => tlc::check(tlc::Options {
                    deep: flags.contains(&"--deep"),
                    both: flags.contains(&"--both"),
                    only: only.into_iter().map(String::from).collect(),
                    counterexamples: flags.contains(&"--counterexamples"),
                }),
                false => Err(USAGE.into()),
            }
        }
        ["trace"] => trace::check(trace::What::Quick),
        ["trace", "--corpus"] => trace::check(trace::What::Corpus),
        ["trace", "--record", runs] => match runs.parse() {
            Ok(runs) => trace::check(trace::What::Record(runs)),
            Err(_) => Err(USAGE.into()),
        },
        ["trace", "--keep"] => trace::check(trace::What::Keep),
        ["trace", ref logs @ ..] => trace::check(trace::What::Logs(logs)),
        ["features"] => release::features(),
        ["package"] => release::package(),
        ["api"] => release::record_api(),
        ["api", "--check"] => release::check_api(),
        ["semver"] => release::semver(None),
        ["semver", revision] => release::semver(Some(revision)),
        ["deny"] => release::deny(),
        ["weight"] => weight::measure(),
        ["fuzz", ref args @ ..] => fuzz::check(args),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The root directory of the project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Runs a command to its end, and fails unless it succeeds.
fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(format!("{} failed", Path::new(command.get_program()).display()).into()),
    }
}

/// A tool of the ecosystem, installed into the target directory where it is not there yet.
fn tool(name: &str, version: &str) -> Result<PathBuf, Box<dyn Error>> {
    let tools = root().join("target/tools");
    let path = tools.join("bin").join(name);
    if !path.exists() {
        run(cargo().args(["install", "--quiet", "--locked", "--version", version, "--root"]).arg(&tools).arg(name))?;
    }
    Ok(path)
}

fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root());
    command
}
