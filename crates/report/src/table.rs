//! A summary for people.

use crate::text::{count, percent, significant};
use crate::{OperationSummary, Summary, Wear};
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use ersatz_engine::Ns;

/// A line below the headings and none else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The longest bar of the wear histogram, in characters.
const BAR: u64 = 30;

/// An empty table. Columns whose name starts with `>` are aligned to the right.
fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(columns.iter().map(|name| name.trim_start_matches('>')));
    for (i, name) in columns.iter().enumerate() {
        if let (true, Some(column)) = (name.starts_with('>'), table.column_mut(i)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// All tables, an empty line between each two.
pub fn render(summary: &Summary) -> String {
    let mut tables = vec![throughput(summary), latency(summary)];
    tables.extend(errors(summary));
    tables.push(flash(summary));
    tables.extend(utilisation(summary));
    tables.extend(summary.wear.as_ref().map(wear));
    let blocks: Vec<String> = tables
        .iter()
        .map(|table| {
            let lines = table.lines().map(|line| line.trim_end().to_owned());
            lines.collect::<Vec<_>>().join("\n")
        })
        .collect();
    blocks.join("\n\n")
}

/// Each kind that occurred, and the total where there are several.
fn rows(summary: &Summary) -> impl Iterator<Item = (&'static str, &OperationSummary)> {
    let kinds = summary.operations.iter().map(|(op, of)| (op.name(), of));
    let total = (summary.operations.len() != 1).then_some(("total", &summary.total));
    kinds.chain(total)
}

fn throughput(summary: &Summary) -> Table {
    let mut table = table(&["requests", ">count", ">errors", ">IOPS", ">MB/s", ">MB"]);
    for (name, of) in rows(summary) {
        table.add_row([
            name,
            &count(of.requests),
            &count(of.errors),
            &significant(of.iops),
            &significant(of.bytes_per_second / 1e6),
            &significant(of.bytes as f64 / 1e6),
        ]);
    }
    table
}

fn latency(summary: &Summary) -> Table {
    let mut table = table(&[
        "latency", ">mean", ">p50", ">p90", ">p99", ">p99.9", ">p99.99", ">max",
    ]);
    for (name, of) in rows(summary) {
        let latency = &of.latency_ns;
        let mut row = vec![name.to_owned()];
        row.extend(
            [
                latency.mean.round() as u64,
                latency.p50,
                latency.p90,
                latency.p99,
                latency.p99_9,
                latency.p99_99,
                latency.max,
            ]
            .map(|ns| Ns(ns).to_string()),
        );
        table.add_row(row);
    }
    table
}

fn errors(summary: &Summary) -> Option<Table> {
    let mut table = table(&["status", "", ">requests"]);
    for error in &summary.errors {
        table.add_row([
            format!("{:X}h {:02X}h", error.status >> 8, error.status & 0xFF),
            error.name.to_owned(),
            count(error.requests),
        ]);
    }
    (!summary.errors.is_empty()).then_some(table)
}

fn flash(summary: &Summary) -> Table {
    let flash = &summary.flash;
    let mut table = table(&["flash", ">value"]);
    for (name, value) in [
        ("simulated time", Ns(summary.duration_ns).to_string()),
        ("write amplification", format!("{:.3}", flash.waf)),
        (
            "pages written by the host",
            count(flash.counters.host_write_pages),
        ),
        ("pages moved", count(flash.counters.gc_write_pages)),
        (
            "pages read by the host",
            count(flash.counters.host_read_pages),
        ),
        ("erasures", count(flash.counters.erases)),
        (
            "garbage collection, writes waiting",
            count(flash.counters.gc_rounds_foreground),
        ),
        (
            "garbage collection, in background",
            count(flash.counters.gc_rounds_background),
        ),
        (
            "lines free / to collect / full",
            format!(
                "{} / {} / {}",
                count(flash.counters.free_lines),
                count(flash.counters.victim_lines),
                count(flash.counters.full_lines)
            ),
        ),
        ("media errors", count(flash.counters.media_errors)),
        (
            "endurance used",
            format!("{} %", flash.counters.percentage_used),
        ),
        (
            "spare blocks left",
            format!("{} %", flash.counters.available_spare),
        ),
    ] {
        table.add_row([name, &value]);
    }
    if flash.counters.read_only {
        table.add_row(["the media became", "read-only"]);
    }
    table
}

fn utilisation(summary: &Summary) -> Option<Table> {
    let mut table = table(&["utilisation", ">count", ">min", ">mean", ">max"]);
    let channels: Vec<f64> = summary.channels.iter().map(|c| c.utilisation).collect();
    let dies: Vec<f64> = summary.dies.iter().map(|die| die.utilisation).collect();
    for (name, of) in [("channels", &channels), ("dies", &dies)] {
        if of.is_empty() {
            continue;
        }
        table.add_row([
            name,
            &count(of.len() as u64),
            &percent(of.iter().copied().fold(1.0, f64::min)),
            &percent(of.iter().sum::<f64>() / of.len() as f64),
            &percent(of.iter().copied().fold(0.0, f64::max)),
        ]);
    }
    (!channels.is_empty() || !dies.is_empty()).then_some(table)
}

fn wear(wear: &Wear) -> Table {
    let mut table = table(&["wear (erasures)", ">blocks", ""]);
    let most = wear
        .histogram
        .iter()
        .map(|bin| bin.blocks)
        .max()
        .unwrap_or(0);
    for bin in &wear.histogram {
        let range = if bin.from == bin.to {
            count(bin.from.into())
        } else {
            format!("{} to {}", count(bin.from.into()), count(bin.to.into()))
        };
        // Rounded up: a single block among millions must show.
        let bar = (u128::from(bin.blocks) * u128::from(BAR)).div_ceil(u128::from(most.max(1)));
        table.add_row([range, count(bin.blocks), "█".repeat(bar as usize)]);
    }
    table.add_row([
        format!("mean {}", significant(wear.mean)),
        count(wear.blocks),
        String::new(),
    ]);
    table
}
