//! `ersatz convert`: other emulators' drives as drive files.

use crate::failure::Usage;
use crate::output::line;
use anyhow::Result;
use clap::Subcommand;
use ersatz_drive_file::from_femu;
use ersatz_ftl::femu::Properties;

const EXAMPLES: &str = "\
Examples:
  ersatz convert femu \"nchs=8,luns_per_ch=8,pg_rd_lat=40000,devsz_mb=4096\" > femu.toml
  ersatz convert femu -- \"-device femu,femu_mode=1,secsz=512,serial=vSSD0\"

What can't be expressed is refused with the reason, and exit status 2.";

/// Write a drive file for another emulator's drive.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Subcommand)]
enum From {
    /// A drive of FEMU in its black-box, no-SSD or CSD mode.
    Femu {
        /// FEMU's properties, as on QEMU's command line: `name=value,name=value`.
        #[arg(value_name = "PROPERTIES", allow_hyphen_values = true)]
        properties: String,
    },
}

pub fn run(args: &Args) -> Result<()> {
    let From::Femu { properties } = &args.from;
    let properties = Properties::parse(properties).map_err(|error| Usage(error.to_string()))?;
    let converted = from_femu(&properties).map_err(|error| Usage(error.to_string()))?;
    line(converted.to_toml().trim_end())
}
