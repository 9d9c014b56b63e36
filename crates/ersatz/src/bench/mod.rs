//! `ersatz bench`: how fast this machine runs programs.

mod native;

use crate::output::{Answer, table};
use anyhow::{Context, Result, ensure};
use ersatz_engine::{Clock, RealClock, Rng};
use ersatz_memory::Mapping;
use ersatz_runtime::{
    Args as Given, Ebpf, Engine, Fuel, Limits, Program, Runtime, Segment, Window,
};
use serde_json::json;
use std::sync::Arc;

/// Measure how fast programs run on this machine.
///
/// The same three programs run compiled, interpreted, and as Rust functions that use no vector
/// instructions. What they cost in modelled time does not depend on it.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ersatz bench --programs --json")]
pub struct Args {
    /// Measure programs. The only thing there is to measure so far.
    #[arg(long, required = true)]
    programs: bool,
    /// Print JSON: nanoseconds per element.
    #[arg(long)]
    json: bool,
}

/// Elements of each program's input: the data fits into the second-level cache of most processors,
/// so that the code is what is measured.
const ELEMENTS: u64 = 128 << 10;
/// Measurements of which the fastest counts: whatever else the machine does only adds time.
const ROUNDS: u32 = 60;
/// The interpreter is slower by far, and is shown for comparison only.
const INTERPRETED_ROUNDS: u32 = 3;
/// What is looked for.
const TOKEN: &[u8] = b"ERROR";

/// A program and its twin.
struct Kernel {
    name: &'static str,
    /// What an element is.
    element: &'static str,
    image: &'static [u8],
    /// Bytes of each memory range.
    ranges: &'static [u64],
    data: &'static [u8],
    native: fn(&native::Data) -> u64,
}

const KERNELS: [Kernel; 3] = [
    Kernel {
        name: "vadd",
        element: "u32",
        image: include_bytes!("../../../../examples/programs/vadd.o"),
        ranges: &[ELEMENTS * 4, ELEMENTS * 4, ELEMENTS * 4],
        data: b"",
        native: native::vadd,
    },
    Kernel {
        name: "histogram",
        element: "byte",
        image: include_bytes!("../../../../examples/programs/histogram.o"),
        ranges: &[ELEMENTS, 2048],
        data: b"",
        native: native::histogram,
    },
    Kernel {
        name: "grep",
        element: "byte",
        image: include_bytes!("../../../../examples/programs/count_lines.o"),
        ranges: &[ELEMENTS],
        data: TOKEN,
        native: native::count_lines,
    },
];

/// Nanoseconds per element.
struct Figures {
    jit: f64,
    native: f64,
    interpreter: f64,
}

pub fn run(args: &Args) -> Result<()> {
    debug_assert!(args.programs, "clap asks for it");
    let mut rows = table(&[
        "program",
        "element",
        ">compiled",
        ">native",
        ">ratio",
        ">interpreted",
    ]);
    let mut programs = serde_json::Map::new();
    for kernel in &KERNELS {
        let figures = measure(kernel)?;
        let ns = |value: f64| format!("{value:.2} ns");
        rows.add_row([
            kernel.name.to_owned(),
            kernel.element.to_owned(),
            ns(figures.jit),
            ns(figures.native),
            format!("{:.2}", figures.jit / figures.native),
            ns(figures.interpreter),
        ]);
        let figures = json!({
            "jit": figures.jit,
            "native": figures.native,
            "interpreter": figures.interpreter,
        });
        programs.insert(kernel.name.to_owned(), figures);
    }
    Answer::new(rows, json!({ "programs": programs })).print(args.json)
}

fn measure(kernel: &Kernel) -> Result<Figures> {
    let input = input();
    let segments = kernel.ranges.iter().map(|&len| {
        let memory = Mapping::anonymous("bench", len).context("no memory")?;
        memory.write(0, &input[..len.min(ELEMENTS) as usize])?;
        Ok(Segment {
            memory: Arc::new(memory),
            offset: 0,
            len,
        })
    });
    let window = Window::new(segments.collect::<Result<_>>()?);
    let args = Given {
        parameters: [ELEMENTS, 0],
        data: kernel.data,
        ..Given::default()
    };
    let data = native::Data::new(&input, TOKEN);
    let load = |engine| {
        let ebpf = Ebpf::new(Limits::default()).with_engine(engine);
        ebpf.load(kernel.image, "")
    };
    let (compiled, interpreted) = (load(Engine::Eager)?, load(Engine::Interpreter)?);
    let run = |program: &dyn Program| {
        let report = program.run(&window, &args, Fuel(u64::MAX));
        report.result.context("the program failed")
    };
    let expected = (kernel.native)(&data);
    ensure!(
        run(&*compiled)? == expected,
        "{}: results differ",
        kernel.name
    );
    let clock = RealClock::new();
    let time = |work: &mut dyn FnMut() -> Result<u64>| {
        let begin = clock.now();
        let result = work()?;
        let took = clock.now().0 - begin.0;
        ensure!(result == expected, "{}: results differ", kernel.name);
        Ok(took as f64 / ELEMENTS as f64)
    };
    let mut figures = Figures {
        jit: f64::INFINITY,
        native: f64::INFINITY,
        interpreter: f64::INFINITY,
    };
    // In turns, so that a slow moment meets both.
    for round in 0..ROUNDS {
        figures.jit = figures.jit.min(time(&mut || run(&*compiled))?);
        figures.native = figures
            .native
            .min(time(&mut || Ok((kernel.native)(&data)))?);
        if round < INTERPRETED_ROUNDS {
            let took = time(&mut || run(&*interpreted))?;
            figures.interpreter = figures.interpreter.min(took);
        }
    }
    Ok(figures)
}

/// Lines of a log, one in about thirty of them with the token.
fn input() -> Vec<u8> {
    let mut rng = Rng::new(1);
    let mut text = Vec::new();
    while text.len() < ELEMENTS as usize {
        let level = match rng.below(30) {
            0 => "ERROR",
            1..4 => "WARN ",
            _ => "INFO ",
        };
        let (minute, second) = (rng.below(60), rng.below(60));
        let (worker, blocks) = (rng.below(16), rng.below(100_000));
        let line = format!(
            "2026-03-14T15:{minute:02}:{second:02} {level} worker {worker} took {blocks} blocks\n"
        );
        text.extend_from_slice(line.as_bytes());
    }
    text.truncate(ELEMENTS as usize);
    text
}
