//! `[drive]`: the controller and its link.

use crate::reader::Table;
use crate::schema::{Absent, Form, Key, Section, Step};
use crate::unit::Unit;
use crate::writer::Writer;
use ersatz_engine::Ns;

/// Model number when the file has none.
pub const DEFAULT_MODEL: &str = "Ersatz Computational Storage Drive";
/// I/O queue pairs when the file doesn't say.
pub const DEFAULT_QUEUES: u16 = 64;
/// Entries of a queue when the file doesn't say.
pub const DEFAULT_QUEUE_ENTRIES: u32 = 1024;
/// Bytes of the largest transfer when the file doesn't say.
pub const DEFAULT_MAX_TRANSFER: u64 = 1 << 20;
/// Time of an admin command when the file doesn't say.
pub const DEFAULT_ADMIN_LATENCY: Ns = Ns::from_us(100);
/// How doorbells are offered when the file doesn't say.
pub const DEFAULT_DOORBELLS: Doorbells = Doorbells::Auto;

const SERIAL: Key =
    Key::text("serial", 20, Form::Ascii).means("Serial number (SN of Identify Controller).");
const MODEL: Key = Key::text("model", 40, Form::Ascii)
    .or(Absent::Text(DEFAULT_MODEL))
    .means("Model number (MN).");
const NQN: Key = Key::text("nqn", 223, Form::Nqn)
    .or(Absent::Otherwise(
        "`nqn.2014-08.org.nvmexpress:uuid:` and a UUID made of the serial number",
    ))
    .means("Name of the NVM subsystem (SUBNQN).");
const FIRMWARE: Key = Key::table("firmware")
    .or(Absent::Otherwise("firmware that takes no time"))
    .means("The drive's processors, which every I/O command passes through.");
const LINK: Key = Key::table("link")
    .or(Absent::Otherwise("a link that takes no time"))
    .means("The PCIe link between host and drive, as modelled.");
const QUEUES: Key = Key::number("queues", Unit::Count, 1, 64)
    .or(Absent::Number(DEFAULT_QUEUES as u64))
    .means("I/O queue pairs that a host can create (feature 07h grants no more).");
const QUEUE_ENTRIES: Key = Key::number("queue_entries", Unit::Count, 2, 65_536)
    .or(Absent::Number(DEFAULT_QUEUE_ENTRIES as u64))
    .means("Most entries of an I/O queue (CAP.MQES + 1).");
const MAX_TRANSFER: Key = Key::number("max_transfer", Unit::Bytes, 4 << 10, 32 << 20)
    .step(Step::PowerOfTwo)
    .or(Absent::Number(DEFAULT_MAX_TRANSFER))
    .means("Most data that one command moves between host and drive (MDTS).");
const ADMIN_LATENCY: Key = Key::number("admin_latency", Unit::Nanoseconds, 0, 1_000_000_000)
    .or(Absent::Number(DEFAULT_ADMIN_LATENCY.0))
    .means(
        "What the firmware takes for an admin command; it does one after the other. The default is \
         a round figure, measured on no drive.",
    );
const DOORBELLS: Key = Key::choice("doorbells", &["auto", "mapped", "messages"])
    .or(Absent::Text(DEFAULT_DOORBELLS.name()))
    .means(
        "How a vfio-user client reaches the doorbells: `\"mapped\"` lets it map their page, which \
         the drive then has to poll; `\"messages\"` makes each ring a message, which lets an idle \
         drive sleep; `\"auto\"` maps it for clients that negotiate without capabilities, as SPDK \
         does, and has messages from all others.",
    );

/// `[drive]`.
pub(crate) const SECTION: Section = Section {
    heading: "drive",
    keys: &[
        SERIAL,
        MODEL,
        NQN,
        LINK,
        FIRMWARE,
        QUEUES,
        QUEUE_ENTRIES,
        MAX_TRANSFER,
        ADMIN_LATENCY,
        DOORBELLS,
    ],
};

const BANDWIDTH: Key = Key::number(
    "bandwidth",
    Unit::BytesPerSecond,
    1_000_000,
    1_000_000_000_000,
)
.means("Data per second in each direction, after the link's own overhead.");
const LATENCY: Key = Key::number("latency", Unit::Nanoseconds, 0, 1_000_000_000)
    .means("Time that the link adds to each command, whatever its data.");

/// `drive.link`.
pub(crate) const LINK_SECTION: Section = Section {
    heading: "drive.link",
    keys: &[BANDWIDTH, LATENCY],
};

const CORES: Key = Key::number("cores", Unit::Count, 1, 1_024)
    .means("Processors; a command goes to the one that is free first.");
const PER_COMMAND: Key = Key::number("per_command", Unit::Nanoseconds, 0, 1_000_000_000)
    .means("What an I/O command takes of its processor, before anything else happens to it.");

/// `drive.firmware`.
pub(crate) const FIRMWARE_SECTION: Section = Section {
    heading: "drive.firmware",
    keys: &[CORES, PER_COMMAND],
};

/// The controller and its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// SN of Identify Controller: 1 to 20 printable ASCII characters, not padded.
    pub serial: String,
    /// MN: 1 to 40 printable ASCII characters, not padded.
    pub model: String,
    /// SUBNQN: an NVMe Qualified Name of at most 223 printable ASCII characters.
    pub nqn: String,
    /// Modelled PCIe link; without one, transfers take no modelled time.
    pub link: Option<Link>,
    /// The drive's processors; without them, firmware takes no modelled time.
    pub firmware: Option<Firmware>,
    /// I/O queue pairs, 1 to 64.
    pub queues: u16,
    /// Most entries of an I/O queue, 2 to 65,536: one more than CAP.MQES.
    pub queue_entries: u32,
    /// Most bytes that a command transfers: 4 KiB × 2^MDTS, at most 32 MiB.
    pub max_transfer: u64,
    /// What the firmware takes for an admin command.
    pub admin_latency: Ns,
    /// How doorbells are offered to a vfio-user client.
    pub doorbells: Doorbells,
}

/// The modelled link: a command takes `latency`, and its data bytes ÷ `bandwidth` in their
/// direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Bytes per second in each direction, at least 1 MB/s.
    pub bandwidth: u64,
    /// Time per command.
    pub latency: Ns,
}

/// The drive's processors: an I/O command takes `per_command` of the one that is free first, before
/// anything else happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// Processors, 1 to 1,024.
    pub cores: u16,
    /// Time per I/O command.
    pub per_command: Ns,
}

/// How doorbells are offered to a vfio-user client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doorbells {
    /// The server decides.
    #[default]
    Auto,
    /// As a page that the client may map and the drive polls.
    Mapped,
    /// As region writes only.
    Messages,
}

impl Doorbells {
    /// As it is written in a drive file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Mapped => "mapped",
            Self::Messages => "messages",
        }
    }

    fn named(name: &str) -> Self {
        match name {
            "mapped" => Self::Mapped,
            "messages" => Self::Messages,
            _ => Self::Auto,
        }
    }
}

impl Drive {
    pub(crate) fn read(mut table: Table<'_, '_>) -> Option<Self> {
        let serial = table.text(&SERIAL);
        let model = table.text(&MODEL);
        let nqn = match &serial {
            Some(serial) if !table.has(&NQN) => Some(nqn_of(serial)),
            _ => table.text(&NQN),
        };
        let link = table.table(&LINK).map(Link::read);
        let firmware = table.table(&FIRMWARE).map(Firmware::read);
        let queues = table.number(&QUEUES);
        let queue_entries = table.number(&QUEUE_ENTRIES);
        let max_transfer = table.number(&MAX_TRANSFER);
        let admin_latency = table.number(&ADMIN_LATENCY).map(Ns);
        let doorbells = table.text(&DOORBELLS).map(|name| Doorbells::named(&name));
        table.finish("[drive]", &[&SECTION]);
        Some(Self {
            serial: serial?,
            model: model?,
            nqn: nqn?,
            // What is no table is refused, so that it does not matter that it is lost here.
            link: link.flatten(),
            firmware: firmware.flatten(),
            queues: queues?,
            queue_entries: queue_entries?,
            max_transfer: max_transfer?,
            admin_latency: admin_latency?,
            doorbells: doorbells?,
        })
    }

    pub(crate) fn write(&self) -> Writer {
        let mut entries = Writer::default();
        entries.text(&SERIAL, &self.serial);
        entries.text(&MODEL, &self.model);
        if self.nqn != nqn_of(&self.serial) {
            entries.text(&NQN, &self.nqn);
        }
        if let Some(link) = &self.link {
            entries.table(&LINK, link.write());
        }
        if let Some(firmware) = &self.firmware {
            entries.table(&FIRMWARE, firmware.write());
        }
        entries.number(&QUEUES, self.queues.into());
        entries.number(&QUEUE_ENTRIES, self.queue_entries.into());
        entries.number(&MAX_TRANSFER, self.max_transfer);
        entries.number(&ADMIN_LATENCY, self.admin_latency.0);
        entries.text(&DOORBELLS, self.doorbells.name());
        entries
    }
}

impl Link {
    fn read(mut table: Table<'_, '_>) -> Option<Self> {
        let bandwidth = table.number(&BANDWIDTH);
        let latency = table.number(&LATENCY).map(Ns);
        table.finish("link", &[&LINK_SECTION]);
        Some(Self {
            bandwidth: bandwidth?,
            latency: latency?,
        })
    }

    fn write(self) -> Writer {
        let mut entries = Writer::default();
        entries.number(&BANDWIDTH, self.bandwidth);
        entries.number(&LATENCY, self.latency.0);
        entries
    }
}

impl Firmware {
    fn read(mut table: Table<'_, '_>) -> Option<Self> {
        let cores = table.number(&CORES);
        let per_command = table.number(&PER_COMMAND).map(Ns);
        table.finish("firmware", &[&FIRMWARE_SECTION]);
        Some(Self {
            cores: cores?,
            per_command: per_command?,
        })
    }

    fn write(self) -> Writer {
        let mut entries = Writer::default();
        entries.number(&CORES, self.cores.into());
        entries.number(&PER_COMMAND, self.per_command.0);
        entries
    }
}

/// The name of the subsystem with this serial number: one of the UUID form, which anybody may use
/// without owning a domain. The UUID is of version 8 (RFC 9562), 128 bits of FNV-1a, so that the
/// same drive has the same name on every run.
pub(crate) fn nqn_of(serial: &str) -> String {
    let basis = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    let prime = (1_u128 << 88) + 0x13b;
    let hash = serial.bytes().fold(basis, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(prime)
    });
    let version = (hash & !(0xf << 76)) | (8 << 76);
    let uuid = format!("{:032x}", (version & !(3 << 62)) | (2 << 62));
    let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &uuid[part]);
    format!("nqn.2014-08.org.nvmexpress:uuid:{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_made_of_the_serial_number_is_a_version_8_uuid() {
        let name = nqn_of("ERSATZ01");
        let uuid = name
            .strip_prefix("nqn.2014-08.org.nvmexpress:uuid:")
            .unwrap();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "8");
        assert!(["8", "9", "a", "b"].contains(&&uuid[19..20]));
        assert_eq!(name, nqn_of("ERSATZ01"));
        assert_ne!(name, nqn_of("ERSATZ02"));
    }
}
