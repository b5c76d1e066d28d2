//! Writes a source file with a switch at each of its mutants.

use std::ops::Range;

/// A change of one place of a file.
pub struct Site {
    /// The function and the change, in words that stay the same when lines move.
    pub name: String,
    /// The bytes that it takes the place of.
    pub range: Range<usize>,
    /// The function that it is in, attributes and all.
    pub function: Range<usize>,
    pub parts: Vec<Part>,
}

/// A piece of the text of a mutated place.
pub enum Part {
    Text(&'static str),
    Owned(String),
    /// Text of the file, with the mutants in it.
    Source(Range<usize>),
    /// The call that is true while this mutant is on.
    On,
}

/// A file with switches, and where the text of each mutant stands in it.
#[derive(Default)]
pub struct Rendered {
    pub text: String,
    pub places: Vec<(Range<usize>, usize)>,
}

/// Writes a file with a switch for each of `sites` that has a number.
pub fn render(source: &str, sites: &[Site], number: &dyn Fn(usize) -> Option<usize>) -> Rendered {
    let sites: Vec<(usize, &Site)> = sites.iter().enumerate().filter(|(index, _)| number(*index).is_some()).collect();
    let mut rendered = Rendered::default();
    write(&mut rendered, source, &sites, number, 0, 0..source.len());
    rendered
}

/// Writes a part of the source with the mutants from `next` on that are in it.
fn write(
    to: &mut Rendered,
    source: &str,
    sites: &[(usize, &Site)],
    number: &dyn Fn(usize) -> Option<usize>,
    mut next: usize,
    range: Range<usize>,
) {
    let mut at = range.start;
    next += sites[next..].partition_point(|(_, site)| site.range.start < range.start);
    while let Some((index, site)) = sites.get(next).filter(|(_, site)| site.range.start < range.end) {
        next += 1;
        // Within one that was written.
        if site.range.start < at || site.range.end > range.end {
            continue;
        }
        to.text.push_str(&source[at..site.range.start]);
        let begin = to.text.len();
        for part in &site.parts {
            match part {
                Part::Text(text) => to.text.push_str(text),
                Part::Owned(text) => to.text.push_str(text),
                Part::Source(range) => write(to, source, sites, number, next, range.clone()),
                Part::On => to.text.push_str(&format!("::switch::on({})", number(*index).unwrap_or_default())),
            }
        }
        to.places.push((begin..to.text.len(), *index));
        at = site.range.end;
    }
    to.text.push_str(&source[at..range.end]);
}
