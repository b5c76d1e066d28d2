//! The scenarios of `testdata/`: what happens in each, and what comes of it, stands there to be read.
//!
//! `SCENARIOS=write cargo test --test scenarios` writes what came of it into the files, to be reviewed as a diff.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Trial};
use rendezvous_model::script;

fn main() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let trials = paths.into_iter().map(|path| {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Trial::test(name, move || Ok(play(&path)?))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn play(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let told = script::run(&text)?;
    if env::var_os("SCENARIOS").is_some_and(|what| what == "write") {
        return fs::write(path, told).map_err(|error| error.to_string());
    }
    match text.lines().zip(told.lines()).position(|(kept, now)| kept != now) {
        None if text == told => Ok(()),
        None => Err(format!("{} does not end as it should; see SCENARIOS=write", path.display())),
        Some(at) => {
            let line = |text: &str| text.lines().nth(at).unwrap_or("").to_owned();
            Err(format!("{}:{}:\nkept {}\nnow  {}", path.display(), at + 1, line(&text), line(&told)))
        }
    }
}
