//! How cost grows with the number of nodes, drawn for a terminal.
//!
//! Owns the picture. Both axes are logarithmic, so that a power of N is a straight line;
//! which power it is stands beside it.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, LegendPosition, Widget};
use std::time::Duration;

use crate::figures::Row;

const SIZE: Rect = Rect::new(0, 0, 78, 20);
/// One for each keepalive.
const MARKERS: [(Marker, &str); 2] = [(Marker::Dot, "•"), (Marker::Braille, "⠒")];

/// Cost of one node's second against the number of nodes, a line for each keepalive.
pub(crate) fn plot(rows: &[Row]) -> String {
    let mut keepalives: Vec<Duration> = rows.iter().map(|row| row.keepalive).collect();
    keepalives.dedup();
    let lines: Vec<Vec<(f64, f64)>> = keepalives
        .iter()
        .map(|keepalive| {
            let alike = rows.iter().filter(|row| row.keepalive == *keepalive);
            alike
                .map(|row| ((row.nodes as f64).log2(), row.second.cost.log10()))
                .collect()
        })
        .collect();
    let sets = lines.iter().zip(&keepalives).zip(MARKERS);
    let sets = sets.map(|((line, keepalive), (marker, sign))| {
        Dataset::default()
            .name(format!(
                "{sign} {} ms, at the end as N^{:.1}",
                keepalive.as_millis(),
                slope(line)
            ))
            .marker(marker)
            .graph_type(GraphType::Line)
            .data(line)
    });
    let points = || lines.iter().flatten();
    let (left, right) = bounds(points().map(|(x, _)| *x));
    let (bottom, top) = bounds(points().map(|(_, y)| *y));
    let label = |base: f64| move |power| format!("{:.0}", base.powf(power));
    let chart = Chart::new(sets.collect())
        .x_axis(
            Axis::default()
                .bounds([left, right])
                .labels(whole(left, right).map(label(2.0))),
        )
        .y_axis(
            Axis::default()
                .title("engine, µs for one node's second, by nodes")
                .bounds([bottom, top])
                .labels(whole(bottom, top).map(label(10.0))),
        )
        .hidden_legend_constraints((Constraint::Min(0), Constraint::Min(0)))
        .legend_position(Some(LegendPosition::BottomRight));
    let mut buffer = Buffer::empty(SIZE);
    chart.render(SIZE, &mut buffer);
    let drawn = SIZE.rows().map(|row| {
        let cells = row.positions().map(|at| buffer[at].symbol());
        cells.collect::<String>().trim_end().to_owned() + "\n"
    });
    drawn.collect()
}

/// The power of N by which the line grows between its last two points: before, what does
/// not depend on N hides it.
fn slope(line: &[(f64, f64)]) -> f64 {
    match line {
        [.., before, last] => (last.1 - before.1) / ((last.0 - before.0) * 2f64.log10()),
        _ => 0.0,
    }
}

/// The whole powers around all values.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    (low.floor(), high.ceil())
}

/// The whole powers from one to the other.
fn whole(low: f64, high: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(low), |power| Some(power + 1.0))
        .take_while(move |power| *power <= high)
}
