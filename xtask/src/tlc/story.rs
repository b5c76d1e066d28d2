//! A counterexample as a story: who does what, and what it changes.

use std::fmt::Write;

use rendezvous_model::view::View;

use super::{Result, state};

/// The story of the trace in TLC's output.
pub fn tell(name: &str, about: &str, output: &str) -> Result<String> {
    let mut story = format!("# {name}\n\n{about}\n| step | action | changes |\n| ---: | --- | --- |\n");
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
