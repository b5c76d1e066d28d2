//! Plots the times by row and contender, on a logarithmic scale.

use std::fmt::Write;

use super::results::Results;
use super::{CONTENDERS, ROWS, short};

const COLOURS: [&str; 5] = ["#1b7f5c", "#6fbf9f", "#4a6fa5", "#9db8dc", "#c0563a"];
const BAR: f64 = 11.0;
const LEFT: f64 = 110.0;
const WIDTH: f64 = 760.0;
const TOP: f64 = 44.0;
/// From 30 µs to 10 s.
const LEAST: f64 = 30.0;
const MOST: f64 = 1e7;

pub fn plot(results: &Results) -> String {
    let rows: Vec<&str> =
        ROWS.iter().map(|(row, _)| *row).filter(|row| micros(results, row, "ours-unix").is_some()).collect();
    let group = BAR * CONTENDERS.len() as f64 + 12.0;
    let height = TOP + group * rows.len() as f64 + 30.0;
    let x = |micros: f64| LEFT + (micros.max(LEAST) / LEAST).ln() / (MOST / LEAST).ln() * (WIDTH - LEFT - 60.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let mut draw = |line: String| _ = writeln!(svg, "{line}");
    for (at, (colour, (_, name))) in COLOURS.iter().zip(CONTENDERS).enumerate() {
        let left = LEFT + 120.0 * at as f64;
        draw(format!("<rect x=\"{left}\" y=\"12\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"));
        draw(format!("<text x=\"{}\" y=\"21\">{name}</text>", left + 14.0));
    }
    for (micros, label) in
        [(100.0, "100 µs"), (1e3, "1 ms"), (1e4, "10 ms"), (1e5, "100 ms"), (1e6, "1 s"), (1e7, "10 s")]
    {
        let x = x(micros);
        draw(format!("<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{}\" stroke=\"#dddddd\"/>", height - 24.0));
        draw(format!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", height - 8.0));
    }
    for (at, row) in rows.iter().enumerate() {
        let top = TOP + group * at as f64 + 4.0;
        draw(format!("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{row}</text>", LEFT - 8.0, top + group / 2.0));
        for (bar, (colour, (contender, _))) in COLOURS.iter().zip(CONTENDERS).enumerate() {
            let Some(micros) = micros(results, row, contender) else { continue };
            let (y, end) = (top + BAR * bar as f64, x(micros));
            draw(format!(
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                end - LEFT,
                BAR - 1.0
            ));
            let label =
                if micros < 1e4 { format!("{} µs", short(micros)) } else { format!("{} ms", short(micros / 1e3)) };
            draw(format!("<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{label}</text>", end + 4.0, y + BAR - 2.5));
        }
    }
    svg + "</svg>\n"
}

/// The median of a measurement whose unit is a time.
fn micros(results: &Results, row: &str, contender: &str) -> Option<f64> {
    let one = results.get(row, contender)?;
    match one.unit.as_str() {
        "µs" => Some(one.interval.median),
        "ms" => Some(one.interval.median * 1e3),
        _ => None,
    }
}
