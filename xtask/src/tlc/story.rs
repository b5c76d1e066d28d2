//! A counterexample as a story: who does what, and what it changes.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Result;

/// The story of the trace in TLC's output.
pub fn tell(name: &str, about: &str, output: &str) -> Result<String> {
    let mut story = format!("# {name}\n\n{about}\n| step | action | changes |\n| ---: | --- | --- |\n");
    let mut before: Option<State> = None;
    let mut steps = 0;
    for block in output.split("\nState ").skip(1) {
        let Some((head, rest)) = block.split_once('\n') else { continue };
        // `12: <Read line 150, col 5 to line 164, col 40 of module rendezvous>`, `12: Stuttering`
        let action = head.split_once(": ").map_or(head, |(_, action)| action);
        let action = action.trim_start_matches('<').split(' ').next().unwrap_or(action);
        let rest = rest.split("\n\n").next().unwrap_or(rest);
        let after = State::read(rest)?;
        if let Some(before) = &before {
            steps += 1;
            writeln!(story, "| {steps} | {action} | {} |", before.changes(&after).join(" · "))?;
        }
        before = Some(after);
        if let Some(back) = block.lines().find(|line| line.starts_with("Back to state")) {
            let to: usize = back
                .trim_start_matches("Back to state")
                .trim_start_matches([' ', ':'])
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .unwrap_or("")
                .parse()
                .unwrap_or(1);
            writeln!(story, "\n… and so on for ever, from after step {}.", to.saturating_sub(1))?;
        }
    }
    if output.contains(": Stuttering") {
        writeln!(story, "\n… and nothing more ever happens.")?;
    }
    match steps {
        0 => Err(format!("{name}: no trace in TLC's output").into()),
        _ => Ok(story),
    }
}

/// What is where, down to single values: `c1 pc` is `Read`.
struct State(BTreeMap<String, String>);

impl State {
    fn read(text: &str) -> Result<Self> {
        let mut values = BTreeMap::new();
        let variables = text.split("/\\ ").filter_map(|line| line.split_once(" = "));
        for (variable, value) in variables {
            let mut tokens = tokens(value).into_iter().peekable();
            Value { tokens: &mut tokens }
                .read(path("", variable), &mut values)
                .ok_or("a value that TLC wrote is cut off")?;
        }
        Ok(State(values))
    }

    fn changes(&self, after: &State) -> Vec<String> {
        let shown = |value: Option<&String>| match value.map(String::as_str) {
            None | Some("") => "–".into(),
            Some(value) => value.to_owned(),
        };
        let changed = after.0.iter().filter(|(path, value)| self.0.get(*path) != Some(value));
        changed.map(|(path, value)| format!("{path}: {} → {}", shown(self.0.get(path)), shown(Some(value)))).collect()
    }
}

/// The variables of clients and servers go without saying.
fn path(parent: &str, key: &str) -> String {
    match parent {
        "" | "cl" | "sv" => key.into(),
        _ => format!("{parent} {key}"),
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = if first == '"' {
            rest[1..].find('"').map_or(rest.len(), |end| end + 2)
        } else if let Some(sign) = ["|->", ":>", "@@"].iter().find(|sign| rest.starts_with(**sign)) {
            sign.len()
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..len].trim_matches('"').to_owned());
        rest = rest[len..].trim_start();
    }
    tokens
}

/// Reads what TLC writes: records, functions, sets and simple values.
struct Value<'a> {
    tokens: &'a mut std::iter::Peekable<std::vec::IntoIter<String>>,
}

impl Value<'_> {
    fn read(&mut self, at: String, values: &mut BTreeMap<String, String>) -> Option<()> {
        match self.tokens.next()?.as_str() {
            open @ ("[" | "(") => {
                let close = if open == "[" { "]" } else { ")" };
                while self.tokens.peek()? != close {
                    let key = self.tokens.next()?;
                    self.tokens.next()?;
                    self.read(path(&at, &key), values)?;
                    self.tokens.next_if(|token| token == "," || token == "@@");
                }
                self.tokens.next();
            }
            "{" => {
                let items: Vec<String> = self.tokens.by_ref().take_while(|token| token != "}").collect();
                values.insert(at, format!("{{{}}}", items.join("").replace(',', ", ")));
            }
            simple => drop(values.insert(at, simple.to_owned())),
        }
        Some(())
    }
}
