//! The turns of a row: in each round each contender has one, so that a disturbance of the machine affects all alike.
//!
//! The program prints the numbers of some rounds, one line for each contender: row, contender, unit, and the numbers.
//! Then it asks for more by a line with a question mark, and reads *more* or *enough*. So the statistics are not
//! computed while something is measured. A line with a full stop ends a row, and one with an exclamation mark a row
//! that failed.

use std::collections::BTreeMap;
use std::fs;
use std::io::stdin;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

use crate::Result;
use crate::contender::{Contender, Speaks};
use crate::server::Server;
use crate::service::Service;

/// The time after which the program prints, and asks.
const BATCH: Duration = Duration::from_millis(500);

/// Which contenders have a turn, and how often.
#[derive(Clone)]
pub struct Plan {
    pub row: &'static str,
    /// The number of rounds. Otherwise the program asks.
    pub rounds: Option<usize>,
    pub contenders: Vec<Contender>,
    begun: usize,
    asked: Instant,
}

/// A contender's service, its home, and its numbers that are not printed yet, by row.
pub struct Measured {
    pub service: Service,
    pub home: TempDir,
    numbers: BTreeMap<(&'static str, &'static str), Vec<f64>>,
}

impl Plan {
    pub fn new(row: &'static str, rounds: Option<usize>, contenders: Vec<Contender>) -> Self {
        Plan { row, rounds, contenders, begun: 0, asked: Instant::now() }
    }

    /// The same without the contenders that cannot take part.
    pub fn without(mut self, is_out: fn(&Contender) -> bool) -> Self {
        self.contenders.retain(|contender| !is_out(contender));
        self
    }

    /// Each contender, in a new home.
    pub fn measured(&self) -> Result<Vec<Measured>> {
        self.speaking(Speaks::Rpc)
    }

    fn speaking(&self, speaks: Speaks) -> Result<Vec<Measured>> {
        let measured = self.contenders.iter().map(|contender| {
            let home = tempdir()?;
            let service = Service::speaking(speaks, *contender, home.path())?;
            Ok(Measured { service, home, numbers: BTreeMap::new() })
        });
        measured.collect()
    }

    /// The same, each with a running server. Dropping the servers ends them.
    pub async fn served(&self, speaks: Speaks) -> Result<(Vec<Measured>, Vec<Server>)> {
        let measured = self.speaking(speaks)?;
        let mut servers = Vec::new();
        for one in &measured {
            servers.push(one.service.start().await?);
        }
        Ok((measured, servers))
    }

    /// Returns whether there is another round. The contenders have their turns in the opposite order each time, so that
    /// none always follows the same other.
    pub fn goes_on(&mut self, all: &mut [Measured]) -> Result<bool> {
        let done = self.rounds == Some(self.begun);
        if done || self.begun > 0 && self.rounds.is_none() && self.asked.elapsed() >= BATCH {
            print(all);
            if done || !self.gets_more()? {
                return Ok(false);
            }
            self.asked = Instant::now();
        }
        all.reverse();
        self.begun += 1;
        Ok(true)
    }

    fn gets_more(&self) -> Result<bool> {
        println!("?\t{}", self.row);
        let mut answer = String::new();
        stdin().read_line(&mut answer)?;
        Ok(answer == "more\n")
    }
}

impl Measured {
    pub fn add(&mut self, row: &'static str, unit: &'static str, number: f64) {
        self.numbers.entry((row, unit)).or_default().push(number);
    }

    /// Removes the files of the last round. A new home would be slower: the file system would first look for a place
    /// for its files.
    pub fn clear_home(&self) -> Result<()> {
        clear(self.home.path())
    }

    fn print(&mut self) {
        for ((row, unit), numbers) in std::mem::take(&mut self.numbers) {
            let numbers: Vec<String> = numbers.iter().map(|number| format!("{number:.3}")).collect();
            println!("{row}\t{}\t{unit}\t{}", self.service.contender, numbers.join(" "));
        }
    }
}

/// Prints the numbers that are not printed yet.
pub fn print(all: &mut [Measured]) {
    all.iter_mut().for_each(Measured::print);
}

/// Removes the files of a home.
pub fn clear(home: &Path) -> Result<()> {
    for file in fs::read_dir(home)? {
        fs::remove_file(file?.path())?;
    }
    Ok(())
}
