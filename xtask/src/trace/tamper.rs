//! Tampers with logs in one place each. No such log may be accepted.

/// A log, and how it was tampered with.
pub struct Tampered {
    pub how: How,
    pub what: String,
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    Removed,
    Swapped,
    Altered,
}

impl How {
    pub const ALL: [How; 3] = [How::Removed, How::Swapped, How::Altered];
}

/// Tampers with the log in each way, at up to `most` places each, or everywhere.
///
/// Only lines that claim something are changed. The last line of a killed process may really be missing. A line that
/// only bounds other events in time (`End`, `Leave`, a server's `Welcome`, the world's) makes nothing possible.
pub fn tampered(text: &str, most: Option<usize>) -> Vec<Tampered> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    // If a connect may end at any step, it may have ended before its last step.
    let anywhere = lines.contains(&"world odd deadline");
    let follows = |at: usize| follower(&lines, at).is_some_and(|next| !anywhere || what(lines[next]) != "End");
    let claiming: Vec<usize> = (0..lines.len()).filter(|at| claims(lines[*at]) && follows(*at)).collect();
    // A hello on a connection that has ended may or may not be sent.
    let unaware = |at: usize| {
        what(lines[at]) == "Prove" && follower(&lines, at).is_some_and(|next| what(lines[next]) != "Welcome")
    };
    let removed = claiming.iter().filter(|at| !unaware(**at)).map(|at| {
        let rest = [&lines[..*at], &lines[at + 1..]].concat();
        Tampered { how: How::Removed, what: format!("without line {}: {}", at + 1, lines[*at]), text: rest.join("\n") }
    });
    let swapped = claiming.iter().filter_map(|at| {
        let other = effect(&lines, *at).or_else(|| follower(&lines, *at))?;
        let mut swapped = lines.clone();
        swapped.swap(*at, other);
        let what = format!("lines {} and {} exchanged: {}; {}", at + 1, other + 1, lines[*at], lines[other]);
        all_claim(&[lines[*at], lines[other]]).then(|| Tampered { how: How::Swapped, what, text: swapped.join("\n") })
    });
    let altered = claiming.iter().filter_map(|at| {
        let line = altered(lines[*at])?;
        let mut altered = lines.clone();
        altered[*at] = &line;
        let what = format!("line {}: {line} instead of {}", at + 1, lines[*at]);
        Some(Tampered { how: How::Altered, what, text: altered.join("\n") })
    });
    [removed.collect::<Vec<_>>(), swapped.collect(), altered.collect()]
        .into_iter()
        .flat_map(|all| {
            let every = most.map_or(1, |most| all.len().div_ceil(most).max(1));
            all.into_iter().step_by(every)
        })
        .collect()
}

/// The actor of a line: a process, its role, and its peer.
fn actor(line: &str) -> (&str, &str, Option<&str>) {
    let mut words = line.split(' ');
    let (who, role) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    (who, role, words.find(|word| word.starts_with("peer=")))
}

fn what(line: &str) -> &str {
    line.split(' ').nth(2).unwrap_or("")
}

fn claims(line: &str) -> bool {
    let bound = ["End", "Leave"].contains(&what(line)) || what(line) == "Welcome" && line.contains("peer=");
    !line.starts_with("world ") && !bound
}

fn all_claim(lines: &[&str]) -> bool {
    lines.iter().all(|line| claims(line))
}

/// The next line of the same actor.
fn follower(lines: &[&str], at: usize) -> Option<usize> {
    (at + 1..lines.len()).find(|other| actor(lines[*other]) == actor(lines[at]))
}

/// For a server's answer in a handshake: the line before which its client had received it.
fn effect(lines: &[&str], at: usize) -> Option<usize> {
    let from = lines[at].split(' ').find_map(|word| word.strip_prefix("peer="))?;
    let asked = if what(lines[at]) == "Answer" { "Prove" } else { "Welcome" };
    let line = |line: &str| what(line) == asked && line.split(' ').any(|word| word.strip_prefix("from=") == Some(from));
    follower(lines, lines.iter().position(|other| line(other))?)
}

/// The line with a different answer.
fn altered(line: &str) -> Option<String> {
    const OTHER: [(&str, &str); 22] = [
        ("row=Nothing", "row=Suspected"),
        ("row=Suspected", "row=Nothing"),
        ("row=OtherDialect", "row=Nothing"),
        ("done=Welcomed", "done=Absent"),
        ("done=Absent", "done=Welcomed"),
        ("done=Start", "done=Welcomed"),
        ("done=Failed", "done=Welcomed"),
        ("done=Internal", "done=Welcomed"),
        ("done=OtherDialect", "done=Welcomed"),
        ("how=Free", "how=Holding"),
        ("how=Holding", "how=Free"),
        ("how=Again", "how=Free"),
        ("then=Backoff", "then=Again"),
        ("then=Again", "then=Backoff"),
        ("then=Welcomed", "then=Internal"),
        ("then=Serve", "then=Lost"),
        ("then=Drain", "then=Serve"),
        ("then=Failed", "then=Welcomed"),
        ("why=Idle", "why=Lost"),
        ("why=Requested", "why=Lost"),
        ("why=Lost", "why=Idle"),
        (" Backoff", " Reread"),
    ];
    let known = OTHER.iter().find(|(word, _)| line.contains(word));
    if let Some((word, other)) = known {
        return Some(line.replacen(word, other, 1));
    }
    let has_record = ["Dial", "Hello", "Prove", "Welcome", "Await", "Verify", "Write"].contains(&what(line));
    let (head, record) = line.split_once("record=p").or_else(|| line.split_once("child=p"))?;
    let rest = record.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let field = if line.contains("record=p") { "record" } else { "child" };
    has_record.then(|| format!("{head}{field}=p99{rest}"))
}
