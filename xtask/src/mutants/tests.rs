//! The tests of the copy: what there is, which mutants each of them reaches, and how one runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::copy::{self, Built, ON, REACHED, Source};
use crate::parallel::{self, Result};

/// A test of a test program.
pub struct Test {
    pub program: String,
    pub name: String,
    /// How long it takes without a mutant.
    pub takes: Duration,
    /// What it reaches: file and name of each mutant.
    pub reaches: BTreeSet<(String, String)>,
}

/// How a run of tests ended.
pub enum End {
    Passed,
    /// With the name of a test that failed.
    Failed(String),
    TimedOut,
}

/// Programs that take more than one name of a test.
pub fn takes_many(program: &str) -> bool {
    !["process", "scenarios"].contains(&program)
}

/// Lists the tests of all programs, with what each of them reaches. Runs those that were not recorded before, or reached
/// code that has changed since.
pub fn all(built: &Built, sources: &[Source]) -> Result<Vec<Test>> {
    let digests: HashMap<&str, &str> =
        sources.iter().map(|source| (source.file.as_str(), source.digest.as_str())).collect();
    let mut names = Vec::new();
    for (program, path) in &built.programs {
        let output = Command::new(path).current_dir(copy::tree()).arg("--list").output()?;
        let listed = String::from_utf8(output.stdout)?;
        names
            .extend(listed.lines().filter_map(|line| Some((program.clone(), line.strip_suffix(": test")?.to_owned()))));
    }
    let missing: Vec<&(String, String)> =
        names.iter().filter(|(program, name)| !is_recorded(program, name, &digests)).collect();
    if !missing.is_empty() {
        println!("recording what {} tests reach", missing.len());
    }
    parallel::map(&missing, |(program, name)| record(built, program, name))?;
    let tests: Result<Vec<Option<Test>>> = names.into_iter().map(|(program, name)| read(program, name)).collect();
    Ok(tests?.into_iter().flatten().collect())
}

fn kept(program: &str, name: &str) -> PathBuf {
    copy::dir().join("reached").join(program).join(name.replace(['/', ':', ' '], "_"))
}

fn is_recorded(program: &str, name: &str, digests: &HashMap<&str, &str>) -> bool {
    let text = fs::read_to_string(kept(program, name)).unwrap_or_default();
    let mut lines = text.lines();
    // A test that failed may pass now.
    lines.next().is_some_and(|takes| takes != "fails")
        && lines.all(|line| {
            let mut fields = line.split('\t');
            matches!((fields.next(), fields.next()), (Some(file), Some(digest)) if digests.get(file) == Some(&digest))
        })
}

fn record(built: &Built, program: &str, name: &str) -> Result<()> {
    let dir = tempdir("reached")?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777))?;
    let begin = Instant::now();
    let end = run(built, program, &[name], (REACHED, &dir.to_string_lossy()), Duration::from_secs(120))?;
    let takes = begin.elapsed();
    let mut numbers = BTreeSet::new();
    for file in fs::read_dir(&dir)? {
        numbers.extend(file?.file_name().to_str().and_then(|number| number.parse::<usize>().ok()));
    }
    fs::remove_dir_all(&dir)?;
    let mut text = match end {
        End::Passed => format!("{}\n", takes.as_millis()),
        _ => {
            eprintln!("{program} {name} fails without a mutant, and is not used");
            "fails\n".into()
        }
    };
    for mutant in numbers.iter().filter_map(|number| built.mutants.get(*number)) {
        text += &format!("{}\t{}\t{}\n", mutant.file, mutant.digest, mutant.name);
    }
    let path = kept(program, name);
    fs::create_dir_all(path.parent().ok_or("no directory")?)?;
    Ok(fs::write(path, text)?)
}

fn read(program: String, name: String) -> Result<Option<Test>> {
    let text = fs::read_to_string(kept(&program, &name))?;
    let mut lines = text.lines();
    let Some(takes) = lines.next().and_then(|takes| takes.parse().ok()) else { return Ok(None) };
    let mutant = |line: &str| match line.splitn(3, '\t').collect::<Vec<_>>()[..] {
        [file, _, name] => Some((file.to_owned(), name.to_owned())),
        _ => None,
    };
    let reaches = lines.filter_map(mutant).collect();
    Ok(Some(Test { program, name, takes: Duration::from_millis(takes), reaches }))
}

fn tempdir(what: &str) -> Result<PathBuf> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("mutants-{}-{what}-{number}", std::process::id()));
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Runs tests of one program with a mutant on, for at most `limit`, and ends what they leave behind.
pub fn run(built: &Built, program: &str, names: &[&str], on: (&str, &str), limit: Duration) -> Result<End> {
    let path = built.programs.get(program).ok_or("a test program is missing")?;
    let home = tempdir("run")?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o1777))?;
    let mark = format!("MUTANTS_RUN={}", home.display());
    let mut command = Command::new(path);
    command.current_dir(copy::tree()).args(names).args(["--exact", "--test-threads=1"]);
    command.env_remove(ON).env_remove(REACHED).env(on.0, on.1);
    command.env("MUTANTS_RUN", &home).env("TMPDIR", &home).env("CARGO_MANIFEST_DIR", copy::tree());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn()?;
    let mut output = child.stdout.take().ok_or("no output")?;
    // What a test leaves behind may have its output, so nothing waits for the end of it.
    let (sender, lines) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..len].to_vec()).is_err() {
                break;
            }
        }
    });
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if begin.elapsed() > limit {
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    end_left_behind(&mark);
    if status.is_none() {
        child.kill()?;
        child.wait()?;
        end_left_behind(&mark);
    }
    fs::remove_dir_all(&home).ok();
    Ok(match status {
        None => End::TimedOut,
        Some(status) if status.success() => End::Passed,
        Some(_) => {
            let text: Vec<u8> = lines.try_iter().flatten().collect();
            let text = String::from_utf8_lossy(&text);
            let failed = text.lines().find(|line| line.starts_with("test ") && line.ends_with("FAILED"));
            let name = failed.and_then(|line| line.split_whitespace().nth(1)).unwrap_or(names[0]);
            End::Failed(name.into())
        }
    })
}

/// Ends the processes that have this variable in their environment: those of one run.
fn end_left_behind(mark: &str) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

/// How many tests reach each mutant.
pub fn counts(tests: &[Test]) -> HashMap<&(String, String), u32> {
    let mut counts = HashMap::new();
    for mutant in tests.iter().flat_map(|test| &test.reaches) {
        *counts.entry(mutant).or_default() += 1;
    }
    counts
}

/// How much a test knows of the code around a mutant: what few tests reach counts more, most in the same function.
pub fn weight(test: &Test, file: &str, name: &str, counts: &HashMap<&(String, String), u32>) -> f64 {
    let function = name.split(": ").next().unwrap_or_default();
    let weigh = |mutant: &(String, String)| {
        let near = if mutant.1.split(": ").next() == Some(function) { 5.0 } else { 1.0 };
        near / f64::from(counts.get(mutant).copied().unwrap_or(1))
    };
    test.reaches.iter().filter(|mutant| mutant.0 == file).map(weigh).sum()
}

/// The tests that reach a mutant, by program.
pub fn reaching<'a>(tests: &'a [Test], file: &str, name: &str) -> BTreeMap<&'a str, Vec<&'a Test>> {
    let key = (file.to_owned(), name.to_owned());
    let mut reaching: BTreeMap<&str, Vec<&Test>> = BTreeMap::new();
    for test in tests.iter().filter(|test| test.reaches.contains(&key)) {
        reaching.entry(&test.program).or_default().push(test);
    }
    reaching
}
