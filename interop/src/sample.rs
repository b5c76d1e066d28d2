//! Prints the samples of a measurement in a line: row, contender, unit, count, and quantiles.

use std::time::Instant;

use crate::contender::Contender;

pub fn micros(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6
}

pub fn print(row: &str, contender: Contender, unit: &str, mut samples: Vec<f64>) {
    samples.sort_by(f64::total_cmp);
    let quantile = |of: f64| samples[((samples.len() - 1) as f64 * of).round() as usize];
    println!(
        "{row}\t{contender}\t{unit}\t{}\t{:.1}\t{:.1}\t{:.1}\t{:.1}",
        samples.len(),
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        quantile(1.0)
    );
}
