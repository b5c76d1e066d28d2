//! The list of planted mistakes, and what is made of it: the sources of the copy, and the page.
//!
//! ```text
//! == SECTION
//! TITLE, which is the mistake
//!     in FILE
//!     - the text that is replaced, which occurs in the file once
//!     + the text in its place
//!     RUNG TEST, which sees it
//!     shows ROW of `tests/properties.txt`, where these tests stand
//! ```
//!
//! A mistake may have several edits, each behind its `in`, and texts of several lines. A text that ends with `;` or `}`
//! is statements, and any other an expression: `if CHOSEN { new } else { old }` takes its place. Where that is no Rust, as
//! in an arm of a `select!`, the new text says itself what happens if the mistake is `CHOSEN`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The name of a rung in the list, the test program that has its tests, and the folder of their sources.
pub const PROGRAMS: [(&str, &str, &str); 3] =
    [("units", "rendezvous_ipc", "src"), ("loom", "loom", "tests/loom"), ("processes", "process", "tests/process")];

/// A mistake.
pub struct Plant {
    section: String,
    pub title: String,
    edits: Vec<Edit>,
    pub seen: Vec<Seen>,
    /// The properties and traps for which it shows that their tests can fail.
    pub shows: Vec<String>,
}

struct Edit {
    file: String,
    old: String,
    new: String,
}

/// A test that sees a mistake.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub rung: String,
    pub test: String,
}

/// A mistake in one file: its title, the text that is replaced, and the text in its place.
pub type Replaced<'a> = (&'a str, &'a str, &'a str);

impl Plant {
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.edits.iter().map(|edit| edit.file.as_str())
    }

    pub fn edits_of<'a>(&'a self, file: &str) -> impl Iterator<Item = Replaced<'a>> {
        let edits = self.edits.iter().filter(move |edit| edit.file == file);
        edits.map(|edit| (self.title.as_str(), edit.old.as_str(), edit.new.as_str())).collect::<Vec<_>>().into_iter()
    }
}

impl Seen {
    /// The test program. A rung that is not known has none.
    pub fn program(&self) -> &'static str {
        PROGRAMS.iter().find(|(rung, ..)| *rung == self.rung).map_or("", |(_, program, _)| program)
    }

    /// Returns whether the sources of the rung have a function of this name.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test of the list asks"))]
    pub fn exists(&self, root: &Path) -> bool {
        let folder = PROGRAMS.iter().find(|(rung, ..)| *rung == self.rung).map(|(.., folder)| root.join(folder));
        folder.is_some_and(|folder| contains(&folder, &format!("fn {}(", self.test)))
    }
}

fn contains(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).any(|entry| match entry.path() {
        path if path.is_dir() => contains(&path, text),
        path => fs::read_to_string(path).is_ok_and(|file| file.contains(text)),
    })
}

/// Reads the list.
pub fn read(list: &str) -> Result<Vec<Plant>, String> {
    let (mut plants, mut section) = (Vec::<Plant>::new(), "");
    for line in list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            section = name;
            continue;
        }
        let Some(line) = line.strip_prefix("    ") else {
            let (section, title) = (section.into(), line.into());
            plants.push(Plant { section, title, edits: Vec::new(), seen: Vec::new(), shows: Vec::new() });
            continue;
        };
        let plant = plants.last_mut().ok_or("a title comes first")?;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "in" => plant.edits.push(Edit { file: rest.into(), old: String::new(), new: String::new() }),
            "-" | "+" => {
                let edit = plant.edits.last_mut().ok_or_else(|| format!("a file comes first: {line}"))?;
                let text = if word == "-" { &mut edit.old } else { &mut edit.new };
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(rest);
            }
            "shows" => plant.shows.push(rest.into()),
            rung if PROGRAMS.iter().any(|(known, ..)| *known == rung) => {
                plant.seen.push(Seen { rung: rung.into(), test: rest.into() });
            }
            _ => return Err(format!("neither an edit nor a rung: {line}")),
        }
    }
    Ok(plants)
}

/// Returns a file in which each of its mistakes can be chosen. Mistakes may replace the same text.
pub fn planted(file: &str, edits: &[Replaced<'_>]) -> Result<String, String> {
    let mut planted = file.to_owned();
    let mut olds: Vec<&str> = edits.iter().map(|(_, old, _)| *old).collect();
    olds.sort_unstable();
    olds.dedup();
    for old in olds {
        let once = file.matches(old).count() == 1 && planted.matches(old).count() == 1;
        if old.is_empty() || !once {
            return Err(format!("this text does not occur once: {old}"));
        }
        let (mut choice, mut whole) = (String::new(), None);
        for (title, _, new) in edits.iter().filter(|(_, of, _)| *of == old) {
            let chosen = format!("std::env::var_os(\"PLANTED\").is_some_and(|plant| plant == {title:?})");
            if new.contains("CHOSEN") {
                whole = Some(new.replace("CHOSEN", &chosen));
            }
            let _ = write!(choice, "if {chosen} {{ {new} }} else ");
        }
        let _ = write!(choice, "{{ {old} }}");
        let is_statement = old.ends_with([';', '}']);
        let choice = if is_statement { choice } else { format!("({choice})") };
        planted = planted.replace(old, &whole.unwrap_or(choice));
    }
    Ok(planted)
}

/// Returns the page of the list.
pub fn page(plants: &[Plant]) -> String {
    let mut page = String::from(
        "# What was planted, and what saw it\n\n\
         Each mistake was made in the code on purpose, alone, and each test beside it then failed; without it, the test\n\
         passes. `cargo xtask planted` does that again and writes this page. `tests/planted.txt` has the mistakes as code.\n",
    );
    let mut section = "";
    for plant in plants {
        if section != plant.section {
            let _ = write!(
                page,
                "\n## {}\n\n| mistake | in | shows | seen by |\n| --- | --- | --- | --- |\n",
                plant.section
            );
            section = &plant.section;
        }
        let mut files: Vec<String> =
            plant.files().map(|file| format!("`{}`", file.trim_start_matches("src/"))).collect();
        files.dedup();
        let seen: Vec<String> = plant.seen.iter().map(|seen| format!("{} `{}`", seen.rung, seen.test)).collect();
        let shows = plant.shows.join("; ");
        let _ = writeln!(page, "| {} | {} | {shows} | {} |", plant.title, files.join(", "), seen.join(", "));
    }
    page
}
