//! Parses a state as TLC prints it.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use rendezvous_model::view::View;

use super::Result;

/// Reads `/\ variable = value` lines into simple values: `c1 pc` is `Read`.
pub fn read(text: &str) -> Result<View> {
    of(text.split("/\\ ").filter_map(|line| line.split_once(" = ")))
}

/// Each variable and its value.
pub fn of<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Result<View> {
    let mut values = BTreeMap::new();
    for (variable, value) in variables {
        let mut tokens = tokens(value).into_iter().peekable();
        value_at(path("", variable), &mut tokens, &mut values).ok_or("a value that TLC printed is cut off")?;
    }
    Ok(View(values))
}

/// The path of a value. It omits the names of the variables of clients and servers.
fn path(parent: &str, key: &str) -> String {
    match parent {
        "" | "cl" | "sv" => key.into(),
        _ => format!("{parent} {key}"),
    }
}

fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = if first == '"' {
            rest[1..].find('"').map_or(rest.len(), |end| end + 2)
        } else if let Some(sign) = ["|->", ":>", "@@", "<<", ">>"].iter().find(|sign| rest.starts_with(**sign)) {
            sign.len()
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..len].trim_matches('"'));
        rest = rest[len..].trim_start();
    }
    tokens
}

/// Reads a value as TLC prints it: a record, a function, a sequence, a set or a simple value.
fn value_at(at: String, tokens: &mut Peekable<IntoIter<&str>>, values: &mut BTreeMap<String, String>) -> Option<()> {
    match tokens.next()? {
        open @ ("[" | "(") => {
            let close = if open == "[" { "]" } else { ")" };
            while *tokens.peek()? != close {
                let key = tokens.next()?;
                tokens.next()?;
                value_at(path(&at, key), tokens, values)?;
                tokens.next_if(|token| [",", "@@"].contains(token));
            }
            tokens.next();
        }
        "{" => {
            let items: Vec<&str> = tokens.by_ref().take_while(|token| *token != "}").collect();
            values.insert(at, format!("{{{}}}", items.concat().replace(',', ", ")));
        }
        // A sequence. An empty one has no values.
        "<<" => {
            for index in 1.. {
                if tokens.next_if_eq(&">>").is_some() {
                    break;
                }
                value_at(path(&at, &index.to_string()), tokens, values)?;
                tokens.next_if_eq(&",");
            }
        }
        // The second checker prints them in lower case.
        "true" => drop(values.insert(at, "TRUE".into())),
        "false" => drop(values.insert(at, "FALSE".into())),
        simple => drop(values.insert(at, simple.to_owned())),
    }
    Some(())
}
