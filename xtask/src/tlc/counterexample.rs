//! Renders a counterexample as a table of actions and what each of them changes.

use std::fmt::Write;

use rendezvous_model::view::View;

use super::{Result, state};

/// Renders the trace in TLC's output.
pub fn render(name: &str, about: &str, output: &str) -> Result<String> {
    let mut table = format!("# {name}\n\n{about}\n| step | action | changes |\n| ---: | --- | --- |\n");
    let mut before: Option<View> = None;
    let mut steps = 0;
    for block in output.split("\nState ").skip(1) {
        let Some((head, rest)) = block.split_once('\n') else { continue };
        // `12: <Read line 150, col 5 to line 164, col 40 of module rendezvous>`, `12: Stuttering`
        let action = head.split_once(": ").map_or(head, |(_, action)| action);
        let action = action.trim_start_matches('<').split(' ').next().unwrap_or(action);
        let rest = rest.split("\n\n").next().unwrap_or(rest);
        let after = state::read(rest)?;
        if let Some(before) = &before {
            steps += 1;
            writeln!(table, "| {steps} | {action} | {} |", before.changes(&after).join(" · "))?;
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
            writeln!(table, "\nFrom here on, the steps after step {} repeat for ever.", to.saturating_sub(1))?;
        }
    }
    if output.contains(": Stuttering") {
        writeln!(table, "\nAfter that, nothing happens any more.")?;
    }
    match steps {
        0 => Err(format!("{name}: no trace in TLC's output").into()),
        _ => Ok(table),
    }
}
