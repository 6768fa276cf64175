//! Some of the samples as pictures: how each system grows with what the point varies.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::summary::{Spread, spread};
use crate::sample::Sample;

/// One picture: lines of a figure over the size, a line a system.
struct Plot {
    file: &'static str,
    title: &'static str,
    point: &'static str,
    size: &'static str,
    figure: &'static str,
    unit: &'static str,
}

const PLOTS: [Plot; 6] = [
    Plot {
        file: "own-throughput.svg",
        title: "Own keys: cycles per second",
        point: "own",
        size: "workers",
        figure: "cycles_per_s",
        unit: "cycles/s",
    },
    Plot {
        file: "own-p99.svg",
        title: "Own keys: acquire, p99",
        point: "own",
        size: "workers",
        figure: "acquire_p99_us",
        unit: "µs",
    },
    Plot {
        file: "contended.svg",
        title: "One contended key: handovers per second",
        point: "contended",
        size: "workers",
        figure: "cycles_per_s",
        unit: "handovers/s",
    },
    Plot {
        file: "masters.svg",
        title: "Masters: cycles per second, 64 workers",
        point: "masters",
        size: "masters",
        figure: "cycles_per_s",
        unit: "cycles/s",
    },
    Plot {
        file: "held.svg",
        title: "CPU of the replica per cycle beside held locks",
        point: "held",
        size: "held locks",
        figure: "cpu_server_us",
        unit: "µs/cycle",
    },
    Plot {
        file: "watchers.svg",
        title: "A new leader is seen by the last watcher",
        point: "watchers",
        size: "watchers",
        figure: "seen_max_ms",
        unit: "ms",
    },
];

const PIXELS: (u32, u32) = (860, 460);

/// Where one system is at each size.
type Line = (String, Vec<(f64, Spread)>);

/// Draws what there are samples for; the Markdown that shows it.
pub(super) fn draw(samples: &[Sample], folder: &Path) -> Result<String> {
    let mut text = String::new();
    for plot in &PLOTS {
        let lines = lines(samples, plot);
        if lines.iter().any(|(_, places)| places.len() > 1) {
            let drawn = picture(plot, &lines, &folder.join(plot.file));
            drawn.map_err(|error| anyhow!("drawing {}: {error}", plot.file))?;
            let _ = writeln!(text, "![{}]({})\n", plot.title, plot.file);
        }
    }
    Ok(if text.is_empty() { text } else { format!("## Pictures\n\n{text}") })
}

fn lines(samples: &[Sample], plot: &Plot) -> Vec<Line> {
    let of_point = samples.iter().filter(|sample| sample.point == plot.point);
    let (mut systems, mut sizes) = (Vec::new(), Vec::new());
    for sample in of_point {
        if !systems.contains(&sample.system) {
            systems.push(sample.system.clone());
        }
        sizes.push(sample.size);
    }
    sizes.sort_unstable();
    sizes.dedup();
    let line = |system: String| {
        let place = |size: &u64| {
            let spread = spread(samples, (plot.point, &system, *size, plot.figure))?;
            Some((*size as f64, spread))
        };
        let places = sizes.iter().filter_map(place).collect();
        (system, places)
    };
    systems.into_iter().map(line).collect()
}

fn picture(plot: &Plot, lines: &[Line], file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let places = || lines.iter().flat_map(|(_, places)| places);
    let most = |of: fn(&(f64, Spread)) -> f64| places().map(of).fold(0.0, f64::max);
    let least = |of: fn(&(f64, Spread)) -> f64| places().map(of).fold(f64::INFINITY, f64::min);
    let (left, right) = (least(|place| place.0), most(|place| place.0));
    // No figure is 0 here but one of nothing, which a logarithm has no place for.
    let (low, high) =
        (least(|place| place.1.least).max(1e-3), most(|place| place.1.most).max(1e-2));

    let root = SVGBackend::new(file, PIXELS).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(plot.title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(80)
        .build_cartesian_2d(
            (left * 0.9..right * 1.1).log_scale(),
            (low * 0.8..high * 1.25).log_scale(),
        )?;
    chart.configure_mesh().x_desc(plot.size).y_desc(plot.unit).draw()?;
    for (index, (system, places)) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        let medians = places.iter().map(|(size, spread)| (*size, spread.median));
        let drawn = chart.draw_series(LineSeries::new(medians.clone(), color.stroke_width(2)))?;
        drawn.label(system).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
        chart.draw_series(medians.map(|place| Circle::new(place, 3, color.filled())))?;
        let spreads = places.iter().map(|(size, spread)| {
            let ends = [(*size, spread.least.max(1e-3)), (*size, spread.most.max(1e-3))];
            PathElement::new(ends, color)
        });
        chart.draw_series(spreads)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_picture_has_a_line_a_system() {
        let sample = |system: &str, size, rate| Sample {
            point: "own".to_owned(),
            system: system.to_owned(),
            size,
            repetition: 1,
            figures: [("cycles_per_s".to_owned(), rate)].into(),
        };
        let samples =
            [sample("rslock", 1, 4.0), sample("rslock", 64, 30.0), sample("etcd", 64, 12.0)];
        let folder = tempfile::tempdir().unwrap();
        let shown = draw(&samples, folder.path()).unwrap();
        assert!(shown.contains("(own-throughput.svg)") && !shown.contains("masters"), "{shown}");
        let svg = fs::read_to_string(folder.path().join("own-throughput.svg")).unwrap();
        assert!(svg.contains("rslock") && svg.contains("etcd"), "{svg}");
        assert_eq!(draw(&[], folder.path()).unwrap(), "");
    }
}
