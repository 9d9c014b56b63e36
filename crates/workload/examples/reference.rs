//! Prints the table of keys of `docs/workloads.md`: `cargo run -p ersatz-workload --example
//! reference`.

fn main() {
    print!("{}", ersatz_workload::key_table());
}
