//! Prints the tables of `docs/drive-file.md`, as the keys have them: for whoever has changed a key.

use ersatz_drive_file::schema::SECTIONS;

fn main() {
    for section in SECTIONS {
        println!("## {}\n", section.heading);
        print!("{}", section.table());
        println!();
    }
}
