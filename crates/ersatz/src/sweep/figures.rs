//! The figures of a run, as cells of a row.

use ersatz_engine::Ns;
use ersatz_report::{Flash, Op, Report, Summary};
use serde_json::Value;

/// Figures of each kind of request.
const OF_OPERATION: [&str; 13] = [
    "requests",
    "errors",
    "bytes",
    "iops",
    "bytes_per_second",
    "latency_ns.mean",
    "latency_ns.min",
    "latency_ns.p50",
    "latency_ns.p90",
    "latency_ns.p99",
    "latency_ns.p99_9",
    "latency_ns.p99_99",
    "latency_ns.max",
];

/// Which figures a row has. They are named as in the JSON of `simulate`, with dots between the
/// keys, but for the operations, which stand there without `operations`.
pub struct Figures {
    /// Name, and where the JSON has it (RFC 6901).
    columns: Vec<(String, String)>,
}

impl Figures {
    /// All of them.
    pub fn new() -> Self {
        let mut columns = vec![("duration_ns".to_owned(), "/duration_ns".to_owned())];
        let operations = Op::ALL.map(|op| (op.name(), format!("/operations/{op}")));
        for (name, pointer) in [("total", "/total".to_owned())]
            .into_iter()
            .chain(operations)
        {
            columns.extend(OF_OPERATION.map(|figure| {
                let keys = figure.replace('.', "/");
                (format!("{name}.{figure}"), format!("{pointer}/{keys}"))
            }));
        }
        // Whatever the flash counts.
        let nothing = Report::new(Ns::ZERO)
            .finish(Ns::ZERO, &Flash::default())
            .to_json();
        if let Some(flash) = nothing["flash"].as_object() {
            let numbers = flash.iter().filter(|(_, value)| value.is_number());
            columns
                .extend(numbers.map(|(key, _)| (format!("flash.{key}"), format!("/flash/{key}"))));
        }
        columns.extend(
            ["min", "mean", "max"].map(|key| (format!("wear.{key}"), format!("/wear/{key}"))),
        );
        columns.extend(
            ["channels", "dies"].map(|name| (format!("{name}.utilisation"), format!("/{name}"))),
        );
        columns.push(("skipped_lines".to_owned(), "/skipped_lines".to_owned()));
        Self { columns }
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The cells of a run: numbers; empty where there is none, as of operations that did not occur.
    pub fn of(&self, summary: &Summary, skipped: u64) -> Vec<String> {
        let mut json = summary.to_json();
        json["skipped_lines"] = skipped.into();
        let cells = self
            .columns
            .iter()
            .map(|(_, pointer)| match json.pointer(pointer) {
                Some(Value::Number(number)) => number.to_string(),
                Some(Value::Array(of_each)) => mean_utilisation(of_each),
                _ => String::new(),
            });
        cells.collect()
    }
}

/// The mean over all channels, or dies.
fn mean_utilisation(of_each: &[Value]) -> String {
    let values = of_each.iter().filter_map(|of| of["utilisation"].as_f64());
    match of_each.len() {
        0 => String::new(),
        len => Value::from(values.sum::<f64>() / len as f64).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ersatz_report::Sample;

    #[test]
    fn a_cell_is_what_the_json_has() {
        let mut report = Report::new(Ns::ZERO);
        for index in 0..4 {
            report.add(&Sample {
                index,
                op: Op::Read,
                arrival: Ns::ZERO,
                latency: Ns::from_us(40),
                bytes: 4096,
                status: 0,
            });
        }
        let summary = report.finish(Ns::from_ms(1), &Flash::default());
        let figures = Figures::new();
        let (names, cells) = (figures.names(), figures.of(&summary, 3));
        assert_eq!(cells.len(), names.len());
        for (name, expected) in [
            ("duration_ns", "1000000"),
            ("total.iops", "4000.0"),
            ("read.latency_ns.p99_9", "40000"),
            ("read.bytes", "16384"),
            ("write.requests", ""),
            ("flash.erases", "0"),
            ("wear.max", ""),
            ("dies.utilisation", ""),
            ("skipped_lines", "3"),
        ] {
            let at = names.iter().position(|column| *column == name);
            let cell = at.map(|at| cells[at].as_str());
            assert_eq!(cell, Some(expected), "{name}");
        }
        assert!(names.contains(&"flash.waf"));
    }
}
