//! The runs of `spec/handshake.tla`, and the table of what its MACs cover.

use std::fs;

use super::{Result, Run, dir, quoted, spec};

/// The module that all configurations of the handshake are of.
pub(super) const MODULE: &str = "MChandshake";
/// The configuration whose output has the spec's table.
pub(super) const TABLE: &str = "handshake";
/// What a variant without a property must satisfy.
const PROPERTIES: &str = "Authenticity FullIsTrue NoSessionByReplay NoRetirementByReplay InTime NoReflection \
                          NoDowngrade NoRelay";

/// Returns whether a configuration is one of the handshake.
pub(super) fn has(config: &str) -> bool {
    config.trim_start_matches("deep-").starts_with(TABLE)
}

/// Lists the variants of `handshake-variants.txt`, and writes their configurations.
pub(super) fn variants() -> Result<Vec<Run>> {
    let lines = fs::read_to_string(spec().join("handshake-variants.txt"))?;
    lines.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).map(variant).collect()
}

/// A line of the file: what the proofs leave out, and the property that must fall, or `none`.
fn variant(line: &str) -> Result<Run> {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let &[name, without, unproved, property, points, intents, claims, read, clients] = &columns[..] else {
        return Err(format!("handshake-variants.txt: nine columns, not: {line}").into());
    };
    let expected = Some(property).filter(|property| *property != "none");
    let runs: Vec<String> = (1..=clients.split(',').count()).map(|run| format!("c{run}")).collect();
    let versions: Vec<&str> = clients.split(',').map(str::trim).collect();
    let [points, intents, claims, read, unproved, left_out] =
        [points, intents, claims, read, unproved, without].map(quoted);
    let config = dir().join(format!("{name}.cfg"));
    fs::write(
        &config,
        format!(
            "SPECIFICATION Spec\nINVARIANTS {}\nSYMMETRY Symmetry\nCONSTANTS\n    Clients = {{{}}}\n    \
             Conns = {{v1, v2}}\n    Stranger = x\n    None = none\n    Versions = {{{}}}\n    Points = {points}\n    \
             Intents = {intents}\n    Claims = {claims}\n    Read = {read}\n    Unproved = {unproved}\n    \
             Without = {left_out}\n",
            expected.unwrap_or(PROPERTIES),
            runs.join(", "),
            versions.join(", "),
        ),
    )?;
    let what = match (without, columns[2]) {
        ("", "") => None,
        ("", message) => Some(format!("Without a MAC of *{message}*")),
        (fields, _) => Some(format!("Without *{fields}*")),
    };
    let heading = what.zip(expected).map(|(what, property)| format!("{what}, `{property}` is violated:\n"));
    Ok(Run { name: name.into(), module: MODULE.into(), config, expected: expected.map(String::from), heading })
}

/// Where the spec's table of what each MAC covers, which TLC printed, differs from `transcripts.txt`.
pub(super) fn wrong() -> Result<Vec<String>> {
    let printed = fs::read_to_string(dir().join(TABLE).join("output.txt"))?;
    let mut of_spec: Vec<(String, usize, String)> = printed.lines().filter_map(covers).collect();
    let mut of_table = Vec::new();
    for line in fs::read_to_string(spec().join("transcripts.txt"))?.lines().filter(|line| !line.starts_with('#')) {
        let (message, fields) = line.split_once(" | ").ok_or(format!("transcripts.txt: not a row: {line}"))?;
        let fields = fields.split_whitespace().zip(1..);
        of_table.extend(fields.map(|(field, at)| (message.trim().to_owned(), at, field.to_owned())));
    }
    of_spec.sort();
    of_table.sort();
    let missing = of_spec.iter().filter(|row| !of_table.contains(row)).map(|row| (row, "is missing"));
    let extra = of_table.iter().filter(|row| !of_spec.contains(row)).map(|row| (row, "is not in handshake.tla"));
    let describe = |((message, at, field), what): (&(String, usize, String), _)| {
        format!("spec/transcripts.txt: {message}, field {at}: `{field}` {what}")
    };
    let wrong: Vec<String> = missing.chain(extra).map(describe).collect();
    if of_spec.is_empty() { Err("TLC printed no table of the handshake's MACs".into()) } else { Ok(wrong) }
}

/// `<<"covers", "Welcome", 3, "role">>`, as TLC prints it: the message, the place in its MAC and the field.
fn covers(line: &str) -> Option<(String, usize, String)> {
    let words: Vec<&str> = line.strip_prefix("<<\"covers\", ")?.strip_suffix(">>")?.split(", ").collect();
    let [message, at, field] = words[..] else { return None };
    Some((message.trim_matches('"').into(), at.parse().ok()?, field.trim_matches('"').into()))
}
