//! Mutants of all of `src/`, in one build of a copy of the project, each turned on by a variable.
//!
//! Every test is run once to see which mutants it reaches. Each mutant then meets only the tests that reach it, the
//! fastest first, until one fails.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::copy::{self, Built, Mutant, ON, Source};
use super::results::{self, OPEN, Verdict};
use super::tests::{self, End, Test};
use crate::USAGE;
use crate::parallel::{self, Result};

/// The files whose every mutant is run, in this order: those with the locks, the files, the processes, and the loops.
const CRITICAL: [&str; 18] = [
    "src/os/unix/lock.rs",
    "src/os/unix/flock.rs",
    "src/driver/watchdog.rs",
    "src/driver/files/life.rs",
    "src/driver/files/point.rs",
    "src/driver/child.rs",
    "src/driver/admission.rs",
    "src/driver/ending.rs",
    "src/driver/end.rs",
    "src/driver/waiting.rs",
    "src/driver/connecting.rs",
    "src/driver/files/own_log.rs",
    "src/driver/files/log.rs",
    "src/driver/serve.rs",
    "src/driver/serving.rs",
    "src/driver/acceptor.rs",
    "src/os/unix/process.rs",
    "src/os/unix/file.rs",
];

/// The test programs that the mutants meet. Those of `proto` alone are slow, and `proto` has a chore of its own.
const TESTS: &[&str] = &["--lib", "--test=process", "--test=rpc", "--test=wire", "--test=loom", "--test=scenarios"];

/// How long a run takes at most, beside what the tests take without a mutant.
const LIMIT: Duration = Duration::from_secs(10);

/// How long the slow tests may take that a mutant meets, those first that know most of its surroundings.
const BUDGET: Duration = Duration::from_secs(15);

/// What a sample is called among the results.
const SAMPLE: &str = "sample";

/// What to run.
struct Options<'a> {
    files: Vec<&'a str>,
    /// So many mutants of the files that are not critical, chosen by the seed.
    sample: Option<(usize, u64)>,
    /// How long the tests may take that a mutant meets, without the fast ones.
    budget: Duration,
    /// Stop after this time. The next run continues.
    minutes: Option<u64>,
    /// Run those again that survived, and have no reason.
    again: bool,
}

pub fn run(args: &[&str]) -> std::result::Result<(), Box<dyn Error>> {
    let mut options = Options { files: Vec::new(), sample: None, budget: BUDGET, minutes: None, again: false };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|number| number.parse::<u64>().ok()).ok_or(USAGE);
        match *arg {
            "--minutes" => options.minutes = Some(number()?),
            "--sample" => options.sample = Some((usize::try_from(number()?)?, number()?)),
            "--budget" => options.budget = Duration::from_secs(number()?),
            "--again" => options.again = true,
            "--critical" => options.files.extend(CRITICAL),
            file if file.starts_with("src/") => options.files.push(file),
            _ => return Err(USAGE.into()),
        }
    }
    mutate(&options).map_err(|error| error as Box<dyn Error>)
}

fn mutate(options: &Options) -> Result<()> {
    let mut sources = copy::sources()?;
    let built = copy::build(&mut sources, TESTS)?;
    let tests = tests::all(&built, &sources)?;
    let verdicts = results::verdicts(&sources);
    let mut chosen = of_files(&options.files, &built);
    let sampled = options.sample.map_or_else(Vec::new, |(count, seed)| sample(count, seed, &built));
    chosen.extend(&sampled);
    let settled = |number: &usize| {
        let mutant = &built.mutants[*number];
        match verdicts.get(&(mutant.file.clone(), mutant.name.clone())) {
            Some(Verdict::Caught(_) | Verdict::TimedOut(_)) => true,
            Some(Verdict::Survived(_) | Verdict::Unreached) => !options.again || has_reason(mutant),
            None => false,
        }
    };
    let todo: Vec<usize> = chosen.iter().copied().filter(|number| !settled(number)).collect();
    println!("{} mutants, {} of them to run", chosen.len(), todo.len());
    let begin = Instant::now();
    let trial = Trial::new(&built, &tests);
    parallel::map(&todo, |number| {
        if options.minutes.is_some_and(|minutes| begin.elapsed().as_secs() > minutes * 60) {
            return Ok(());
        }
        let mutant = &built.mutants[*number];
        let began = Instant::now();
        let verdict = judge(&trial, *number, options.budget)?;
        println!("{:5.1} s {verdict:?}: {}: {}", began.elapsed().as_secs_f64(), mutant.file, mutant.name);
        let source = sources.iter().find(|source| source.file == mutant.file).ok_or("a file is missing")?;
        results::note(source, &mutant.name, &verdict)
    })?;
    let verdicts = results::verdicts(&sources);
    let verdict = |mutant: &Mutant| verdicts.get(&(mutant.file.clone(), mutant.name.clone()));
    for source in sources.iter().filter(|source| options.files.contains(&source.file.as_str())) {
        let generated = format!("generated {}, unviable {}", source.sites.len(), source.unviable.len());
        let mutants = built.mutants.iter().filter(|mutant| mutant.file == source.file);
        let mutants = mutants.filter_map(|mutant| Some((mutant.name.clone(), verdict(mutant)?)));
        println!("{}: {}", source.file, results::keep(&source.file, &source.digest, &generated, mutants)?);
    }
    if let Some((count, seed)) = options.sample {
        let others = sources.iter().filter(|source| is_other(&source.file));
        let all: usize = others.clone().map(|source| source.sites.len() - source.unviable.len()).sum();
        let generated = format!("seed {seed}, chosen {count} of {all}");
        let mutants = sampled.iter().map(|number| &built.mutants[*number]);
        let mutants =
            mutants.filter_map(|mutant| Some((format!("{}: {}", mutant.file, mutant.name), verdict(mutant)?)));
        println!("{SAMPLE}: {}", results::keep(SAMPLE, &copy::joint_digest(others), &generated, mutants)?);
    }
    Ok(())
}

fn has_reason(mutant: &Mutant) -> bool {
    let kept = results::kept(&mutant.file).unwrap_or_default();
    kept.survivors.get(&mutant.name).is_some_and(|reason| reason != OPEN)
}

fn of_files(files: &[&str], built: &Built) -> Vec<usize> {
    let mutants = built.mutants.iter().enumerate();
    let mut chosen: Vec<(usize, usize)> = mutants
        .filter_map(|(number, mutant)| Some((files.iter().position(|file| *file == mutant.file)?, number)))
        .collect();
    chosen.sort();
    chosen.into_iter().map(|(_, number)| number).collect()
}

/// Chooses mutants of the files that are neither critical nor in `proto`.
fn sample(count: usize, seed: u64, built: &Built) -> Vec<usize> {
    let mutants = built.mutants.iter().enumerate();
    let mut others: Vec<usize> =
        mutants.filter(|(_, mutant)| is_other(&mutant.file)).map(|(number, _)| number).collect();
    others.sort_by_cached_key(|number| copy::lot(seed, &built.mutants[*number]));
    others.truncate(count);
    others
}

/// Whether only a sample is taken of a file. `proto` has a chore of its own.
fn is_other(file: &str) -> bool {
    !CRITICAL.contains(&file) && !file.starts_with("src/proto/")
}

/// What mutants are judged by.
struct Trial<'a> {
    built: &'a Built,
    tests: &'a [Test],
    counts: HashMap<&'a (String, String), u32>,
    /// How many mutants of a file each test caught.
    kills: Mutex<HashMap<(String, String), u32>>,
}

impl<'a> Trial<'a> {
    fn new(built: &'a Built, tests: &'a [Test]) -> Self {
        Trial { built, tests, counts: tests::counts(tests), kills: Mutex::default() }
    }
}

/// Runs the tests that reach a mutant until one fails.
fn judge(trial: &Trial, number: usize, budget: Duration) -> Result<Verdict> {
    let Trial { built, tests, counts, kills } = trial;
    let mutant = &built.mutants[number];
    let reaching = tests::reaching(tests, &mutant.file, &mutant.name);
    let count: usize = reaching.values().map(Vec::len).sum();
    if count == 0 {
        return Ok(Verdict::Unreached);
    }
    let on = number.to_string();
    let run = |program: &str, names: &[&str], takes: Duration| -> Result<Option<Verdict>> {
        Ok(match tests::run(built, program, names, (ON, &on), LIMIT + 4 * takes)? {
            End::Passed => None,
            End::Failed(name) => Some(Verdict::Caught(format!("{program} {name}"))),
            End::TimedOut => Some(Verdict::TimedOut(format!("{program} {}", names[0]))),
        })
    };
    let mut slow = Vec::new();
    for (program, tests) in reaching {
        let (fast, others): (Vec<&Test>, Vec<&Test>) =
            tests.into_iter().partition(|test| tests::takes_many(program) && test.takes < Duration::from_millis(500));
        slow.extend(others);
        if !fast.is_empty() {
            let names: Vec<&str> = fast.iter().map(|test| test.name.as_str()).collect();
            if let Some(verdict) = run(program, &names, fast.iter().map(|test| test.takes).sum())? {
                return Ok(verdict);
            }
        }
    }
    let caught = |test: &Test| -> Result<u32> {
        let kills = kills.lock().map_err(|_| "a worker panicked")?;
        Ok(kills.get(&(mutant.file.clone(), test.name.clone())).copied().unwrap_or(0))
    };
    let mut ordered = Vec::new();
    for test in slow {
        let weight = tests::weight(test, &mutant.file, &mutant.name, counts) * f64::from(1 + caught(test)?);
        ordered.push((weight / (0.2 + test.takes.as_secs_f64()), test));
    }
    ordered.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let mut passed = count - ordered.len();
    let mut taken = Duration::ZERO;
    for (_, test) in ordered {
        // Shorter ones may still fit.
        if passed > 0 && taken + test.takes > budget {
            continue;
        }
        taken += test.takes;
        passed += 1;
        if let Some(verdict) = run(&test.program, &[&test.name], test.takes)? {
            let mut kills = kills.lock().map_err(|_| "a worker panicked")?;
            *kills.entry((mutant.file.clone(), test.name.clone())).or_default() += 1;
            return Ok(verdict);
        }
    }
    Ok(Verdict::Survived(passed))
}

/// Compares what is kept with the code: each survivor still exists and has a reason. Says which results are of code that
/// has changed since.
pub fn check() -> std::result::Result<(), Box<dyn Error>> {
    let listed = listed(&copy::sources().map_err(|error| error as Box<dyn Error>)?);
    listed.map(drop).map_err(|error| error as Box<dyn Error>)
}

/// Checks that the listed mutants still survive all tests that reach them.
pub fn replay() -> std::result::Result<(), Box<dyn Error>> {
    replay_listed().map_err(|error| error as Box<dyn Error>)
}

fn replay_listed() -> Result<()> {
    let mut sources = copy::sources()?;
    let listed = listed(&sources)?;
    let built = copy::build(&mut sources, TESTS)?;
    let tests = tests::all(&built, &sources)?;
    let mutants = built.mutants.iter().enumerate();
    let survivors: Vec<usize> = mutants
        .filter(|(_, mutant)| listed.contains(&(mutant.file.clone(), mutant.name.clone())))
        .map(|(number, _)| number)
        .collect();
    let trial = Trial::new(&built, &tests);
    let verdicts = parallel::map(&survivors, |number| judge_surely(&trial, *number))?;
    let mut wrong = Vec::new();
    for (number, verdict) in survivors.iter().zip(verdicts) {
        if let Verdict::Caught(by) | Verdict::TimedOut(by) = verdict {
            let Mutant { file, name, .. } = &built.mutants[*number];
            wrong.push(format!("{file}: is listed, but is caught by {by}: {name}"));
        }
    }
    println!("{} listed mutants, {} of them caught", survivors.len(), wrong.len());
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Judges a mutant that is thought to survive. Once may be chance.
fn judge_surely(trial: &Trial, number: usize) -> Result<Verdict> {
    match judge(trial, number, BUDGET)? {
        Verdict::Caught(_) | Verdict::TimedOut(_) => judge(trial, number, BUDGET),
        verdict => Ok(verdict),
    }
}

/// The survivors that are listed, by file and name.
fn listed(sources: &[Source]) -> Result<BTreeSet<(String, String)>> {
    let mut wrong = Vec::new();
    let mut listed = BTreeSet::new();
    let names = results::names()?;
    for name in &names {
        let kept = results::kept(name).unwrap_or_default();
        let digest = match sources.iter().find(|source| source.file == *name) {
            Some(source) => source.digest.clone(),
            None => copy::joint_digest(sources.iter().filter(|source| is_other(&source.file))),
        };
        let stale = if kept.digest == digest { "" } else { " (stale: the code has changed since)" };
        println!("{name}: {}{stale}", kept.numbers);
        for (mutant, reason) in kept.survivors {
            let (file, mutant) = match name.as_str() {
                SAMPLE => mutant.split_once(": ").map_or(("", mutant.as_str()), |(file, mutant)| (file, mutant)),
                file => (file, mutant.as_str()),
            };
            let source = sources.iter().find(|source| source.file == file);
            if !source.is_some_and(|source| source.sites.iter().any(|site| site.name == mutant)) {
                wrong.push(format!("{file}: is listed, but no longer exists: {mutant}"));
            }
            if reason == OPEN {
                wrong.push(format!("{file}: survives without a reason: {mutant}"));
            }
            listed.insert((file.to_owned(), mutant.to_owned()));
        }
    }
    for file in CRITICAL.iter().filter(|file| !names.iter().any(|name| name == *file)) {
        println!("{file}: not run");
    }
    if wrong.is_empty() { Ok(listed) } else { Err(wrong.join("\n").into()) }
}
