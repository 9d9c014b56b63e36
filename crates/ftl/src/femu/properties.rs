//! FEMU's own command line: `nchs=8,luns_per_ch=8,pg_rd_lat=40000,…`.

use super::{Config, Eviction, Mapping, PageTypes, ReadCacheConfig, VictimPolicy};
use ersatz_engine::Ns;
use ersatz_nand::CellType;
use std::collections::BTreeMap;

/// What a property means to Ersatz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Geometry, times and translation layer: part of the [`Config`].
    Flash,
    /// Size, format and number of the namespaces.
    Namespace,
    /// What the controller says of itself, its queues, its link and its firmware's time.
    Controller,
    /// Compute units and device memory of a computational drive.
    Compute,
    /// Changes nothing that a host could see or measure in FEMU's black-box, no-SSD and CSD modes.
    NoEffect,
    /// A feature that can't be expressed: only its default is accepted.
    OnlyDefault,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A decimal or hexadecimal number up to this.
    Number(u64),
    /// `on`, `off`, `true`, `false`, `yes`, `no`.
    Switch,
    Text,
}

struct Property {
    name: &'static str,
    kind: Kind,
    default: u64,
    used: Use,
}

const U8: Kind = Kind::Number(u8::MAX as u64);
const U16: Kind = Kind::Number(u16::MAX as u64);
const U32: Kind = Kind::Number(u32::MAX as u64);
const U64: Kind = Kind::Number(u64::MAX);
/// FEMU keeps these as signed numbers; no negative one means anything.
const I32: Kind = Kind::Number(i32::MAX as u64);

const fn property(name: &'static str, kind: Kind, default: u64, used: Use) -> Property {
    Property {
        name,
        kind,
        default,
        used,
    }
}

/// Every property of FEMU's `femu` device that its black-box, no-SSD and CSD modes look at.
static PROPERTIES: &[Property] = &[
    // Geometry and times.
    property("secsz", I32, 512, Use::Flash),
    property("secs_per_pg", I32, 8, Use::Flash),
    property("pgs_per_blk", I32, 256, Use::Flash),
    property("blks_per_pl", I32, 256, Use::Flash),
    property("pls_per_lun", I32, 1, Use::Flash),
    property("luns_per_ch", I32, 8, Use::Flash),
    property("nchs", I32, 8, Use::Flash),
    property("pg_rd_lat", I32, 40_000, Use::Flash),
    property("pg_wr_lat", I32, 200_000, Use::Flash),
    property("blk_er_lat", I32, 2_000_000, Use::Flash),
    property("nand_cell_type", U8, 0, Use::Flash),
    property("cell_pages", I32, 0, Use::Flash),
    property("pgtype_lat", I32, 0, Use::Flash),
    property("trim_lat_ns", I32, 0, Use::Flash),
    property("err_read_unc_ppm", U32, 0, Use::Flash),
    property("err_write_fail_ppm", U32, 0, Use::Flash),
    // The translation layer.
    property("gc_thres_pcent", I32, 75, Use::Flash),
    property("gc_thres_pcent_high", I32, 95, Use::Flash),
    property("gc_policy", Kind::Text, 0, Use::Flash),
    property("mapping", Kind::Text, 0, Use::Flash),
    property("mapping_cache_mb", U32, 0, Use::Flash),
    property("read_cache_mb", U32, 0, Use::Flash),
    property("cache_evict", Kind::Text, 0, Use::Flash),
    // Accepted by the black-box mode, and without effect on its times.
    property("ch_xfer_lat", I32, 0, Use::NoEffect),
    property("cmd_addr_lat", I32, 0, Use::NoEffect),
    property("pg_xfer_lat", I32, 0, Use::NoEffect),
    property("status_lat", I32, 0, Use::NoEffect),
    property("tplpbsy", I32, 0, Use::NoEffect),
    property("tplrbsy", I32, 0, Use::NoEffect),
    property("tplebsy", I32, 0, Use::NoEffect),
    property("trcbsy", I32, 0, Use::NoEffect),
    property("ecc_step_ns", I32, 0, Use::NoEffect),
    property("ecc_retention_sec", I32, 0, Use::NoEffect),
    property("gc_strategy", I32, 0, Use::NoEffect),
    property("fdp_trim_erase_all", I32, 0, Use::NoEffect),
    property("debug_ftl", Kind::Switch, 0, Use::NoEffect),
    property("buffer_thres_pcent", I32, 90, Use::NoEffect),
    property("tsusp_ns", I32, 0, Use::NoEffect),
    property("nand_bad_blocks", U32, 0, Use::OnlyDefault),
    property("pe_cycles_rated", U32, 0, Use::OnlyDefault),
    property("pe_suspend", I32, 0, Use::OnlyDefault),
    property("hot_cold_sep", Kind::Switch, 0, Use::OnlyDefault),
    property("read_reclaim_limit", I32, 0, Use::OnlyDefault),
    property("retention_limit_sec", I32, 0, Use::OnlyDefault),
    property("buffer_size", I32, 0, Use::OnlyDefault),
    // Namespaces.
    property("femu_mode", U8, 1, Use::Namespace),
    property("devsz_mb", U32, 0, Use::Namespace),
    property("op_pcent", U32, 0, Use::Namespace),
    property("namespaces", U32, 1, Use::Namespace),
    property("namespace_sizes", Kind::Text, 0, Use::Namespace),
    property("namespace_modes", Kind::Text, 0, Use::Namespace),
    property("lba_index", U8, 0, Use::Namespace),
    property("nlbaf", U8, 5, Use::Namespace),
    property("meta", U8, 0, Use::OnlyDefault),
    property("extended", U8, 0, Use::OnlyDefault),
    property("mc", U8, 0, Use::OnlyDefault),
    property("dpc", U8, 0, Use::OnlyDefault),
    property("dps", U8, 0, Use::OnlyDefault),
    property("ms", U8, 16, Use::NoEffect),
    property("ms_max", U8, 64, Use::NoEffect),
    property("dlfeat", U8, 1, Use::NoEffect),
    // The controller.
    property("serial", Kind::Text, 0, Use::Controller),
    property("queues", U32, 8, Use::Controller),
    property("entries", U32, 0x7ff, Use::Controller),
    property("max_cqes", U8, 4, Use::OnlyDefault),
    property("max_sqes", U8, 6, Use::OnlyDefault),
    property("stride", U8, 0, Use::Controller),
    property("aerl", U8, 3, Use::Controller),
    property("acl", U8, 3, Use::Controller),
    property("elpe", U8, 3, Use::Controller),
    property("mdts", U8, 10, Use::Controller),
    property("cqr", U8, 1, Use::Controller),
    property("vwc", U8, 0, Use::Controller),
    property("intc", U8, 0, Use::Controller),
    property("intc_thresh", U8, 0, Use::Controller),
    property("intc_time", U8, 0, Use::Controller),
    property("temperature", U16, 0x143, Use::Controller),
    property("mpsmin", U8, 0, Use::Controller),
    property("mpsmax", U8, 0, Use::Controller),
    property("cmbsz", U32, 0, Use::Controller),
    property("cmbloc", U32, 0, Use::Controller),
    property("oacs", U16, 2, Use::Controller),
    property("oncs", U16, 4, Use::Controller),
    property("sgl", Kind::Switch, 0, Use::Controller),
    property("vid", U16, 0x1d1d, Use::Controller),
    property("did", U16, 0x1f1f, Use::Controller),
    property("pcie_bandwidth_mbps", U32, 0, Use::Controller),
    property("pcie_prop_delay_ns", U32, 0, Use::Controller),
    property("fw_cpu_ns", U64, 0, Use::Controller),
    property("subsys", Kind::Text, 0, Use::OnlyDefault),
    // How FEMU spreads its work over the host's cores.
    property("multipoller_enabled", U8, 0, Use::NoEffect),
    property("poller_ratio", U32, 1, Use::NoEffect),
    property("hiops_inline", Kind::Switch, 1, Use::NoEffect),
    property("id", Kind::Text, 0, Use::NoEffect),
    // Computational storage.
    property("fdm_size", U64, 0, Use::Compute),
    property("nr_cu", U8, 4, Use::Compute),
    property("nr_thread", U8, 4, Use::Compute),
    property("time_slice", U64, 200_000, Use::Compute),
    property("context_switch_time", U64, 200, Use::Compute),
    property("csf_runtime_scale", U16, 3, Use::Compute),
    property("csd_program_dir", Kind::Text, 0, Use::Compute),
];

/// What the drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Flash behind FEMU's translation layer (`femu_mode=1`).
    BlackBox,
    /// No media time at all (`femu_mode=2`).
    NoSsd,
    /// Black box with compute units (`femu_mode=4`).
    Csd,
}

/// Why FEMU's properties can't be taken over. Each error names the property.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// Not `name=value`.
    #[error("`{0}` is not of the form name=value")]
    NoValue(String),
    /// FEMU has no such property, or only for drives that are not black-box, no-SSD or CSD.
    #[error("`{0}` is no property of FEMU's black-box, no-SSD or CSD drives")]
    Unknown(String),
    /// Given more than once.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// Not a number, or beyond what FEMU stores.
    #[error("{name}=`{value}`: expected a number from 0 to {max}")]
    Number {
        /// The property.
        name: &'static str,
        /// What was given.
        value: String,
        /// The greatest possible value.
        max: u64,
    },
    /// Neither on nor off.
    #[error("{0}=`{1}`: expected on or off")]
    Switch(&'static str, String),
    /// A value that can't be expressed.
    #[error("{name}={value}: {reason}")]
    Refused {
        /// The property.
        name: &'static str,
        /// What was given.
        value: String,
        /// Why it can't be expressed.
        reason: &'static str,
    },
}

#[derive(Clone, Debug)]
enum Value {
    Number(u64),
    Text(String),
}

/// FEMU's properties as given on a command line, checked for names and ranges.
#[derive(Clone, Debug, Default)]
pub struct Properties {
    given: BTreeMap<&'static str, Value>,
}

fn find(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.name == name)
}

/// Splits at commas; two commas in a row are one comma of the value, as QEMU has it.
fn split(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, items.last_mut()) {
            (',', Some(item)) if letters.next_if_eq(&',').is_some() => item.push(','),
            (',', _) => items.push(String::new()),
            (_, Some(item)) => item.push(letter),
            (_, None) => {}
        }
    }
    items
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

impl Properties {
    /// Reads `name=value,name=value`. A leading `-device` and `femu` are skipped, so that a part of
    /// a QEMU command line can be given as it is.
    ///
    /// # Errors
    /// The first property that is unknown, given twice, or no value of its type.
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        let text = text.trim();
        let text = text.strip_prefix("-device").map_or(text, str::trim_start);
        let mut given = BTreeMap::new();
        for (at, item) in split(text).into_iter().enumerate() {
            let item = item.trim();
            if item.is_empty() || at == 0 && item == "femu" {
                continue;
            }
            let (name, value) = item
                .split_once('=')
                .ok_or_else(|| PropertyError::NoValue(item.to_owned()))?;
            let property = find(name).ok_or_else(|| PropertyError::Unknown(name.to_owned()))?;
            let parsed = match property.kind {
                Kind::Text => Value::Text(value.to_owned()),
                Kind::Number(max) => {
                    Value::Number(number(value).filter(|number| *number <= max).ok_or_else(
                        || {
                            let (name, value) = (property.name, value.to_owned());
                            PropertyError::Number { name, value, max }
                        },
                    )?)
                }
                Kind::Switch => Value::Number(match value {
                    "on" | "true" | "yes" | "1" => 1,
                    "off" | "false" | "no" | "0" => 0,
                    _ => return Err(PropertyError::Switch(property.name, value.to_owned())),
                }),
            };
            if given.insert(property.name, parsed).is_some() {
                return Err(PropertyError::Twice(property.name));
            }
        }
        let properties = Self { given };
        properties.mode()?;
        Ok(properties)
    }

    /// The names that were given, in order of the alphabet, with what each means.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, Use)> {
        self.given
            .keys()
            .filter_map(|name| find(name))
            .map(|property| (property.name, property.used))
    }

    /// Whether the property was given.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// A number (a switch is 0 or 1) as given, or FEMU's default; 0 for a name that is none. The
    /// default of `devsz_mb` is 0 here: all of the geometry.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        match self.given.get(name) {
            Some(Value::Number(number)) => *number,
            _ => find(name).map_or(0, |property| property.default),
        }
    }

    /// A text as given.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.given.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// What the drive is. FEMU's own default is the mode without media; who gives flash
    /// properties and no mode means the black box.
    ///
    /// # Errors
    /// A mode other than these three.
    pub fn mode(&self) -> Result<Mode, PropertyError> {
        match self.number("femu_mode") {
            1 => Ok(Mode::BlackBox),
            2 => Ok(Mode::NoSsd),
            4 => Ok(Mode::Csd),
            _ => Err(self.refuse(
                "femu_mode",
                "only 1 (black box), 2 (no SSD) and 4 (CSD) are known",
            )),
        }
    }

    fn refuse(&self, name: &'static str, reason: &'static str) -> PropertyError {
        let value = match self.given.get(name) {
            Some(Value::Text(text)) => text.clone(),
            _ => self.number(name).to_string(),
        };
        PropertyError::Refused {
            name,
            value,
            reason,
        }
    }

    fn small(&self, name: &str) -> u32 {
        // Every property that is read so has at most 32 bits.
        self.number(name) as u32
    }

    /// Refuses features that can't be expressed.
    ///
    /// # Errors
    /// The first property with [`Use::OnlyDefault`] that has another value.
    pub fn check(&self) -> Result<(), PropertyError> {
        for property in PROPERTIES
            .iter()
            .filter(|property| property.used == Use::OnlyDefault)
        {
            let asked = match property.kind {
                Kind::Text => self
                    .text(property.name)
                    .is_some_and(|text| !text.is_empty()),
                _ => self.number(property.name) != property.default,
            };
            if asked {
                return Err(self.refuse(property.name, "this can't be expressed in a drive file"));
            }
        }
        Ok(())
    }

    /// Bytes of a logical block: 512 × 2^`lba_index`.
    ///
    /// # Errors
    /// `lba_index` names no format.
    pub fn block_bytes(&self) -> Result<u32, PropertyError> {
        let index = self.small("lba_index");
        if u64::from(index) >= self.number("nlbaf").min(16) {
            return Err(self.refuse("lba_index", "it must be below nlbaf, and nlbaf at most 16"));
        }
        Ok(512 << index)
    }

    /// Bytes of all namespaces together, if the properties limit them: by `op_pcent`, else by
    /// `devsz_mb`. `None`: all logical pages of the geometry.
    ///
    /// # Errors
    /// What [`flash`](Self::flash) refuses.
    pub fn namespace_bytes(&self) -> Result<Option<u64>, PropertyError> {
        let spare = self.number("op_pcent");
        if spare > 0 && self.mode()? == Mode::BlackBox {
            let config = self.flash()?;
            let page = u64::from(config.sectors) * u64::from(config.sector_bytes);
            let raw = u128::from(config.logical_pages()) * u128::from(page);
            let bytes = u64::try_from(raw * 100 / (100 + u128::from(spare))).unwrap_or(u64::MAX);
            let block = u64::from(self.block_bytes()?);
            return Ok(Some(bytes / block * block));
        }
        let mib = self.number("devsz_mb");
        Ok((mib > 0).then_some(mib << 20))
    }

    /// The flash and its translation layer.
    ///
    /// # Errors
    /// The first property whose value can't be expressed.
    pub fn flash(&self) -> Result<Config, PropertyError> {
        self.check()?;
        let ns = |name| Ns(self.number(name));
        let mapping = match self.text("mapping") {
            None | Some("" | "page") => Mapping::Page,
            Some("dftl") => Mapping::Dftl {
                cache_mib: self.small("mapping_cache_mb"),
            },
            Some("hybrid") => Mapping::Hybrid,
            Some("fast") => Mapping::Fast,
            Some(_) => return Err(self.refuse("mapping", "expected page, dftl, hybrid or fast")),
        };
        let cell = CellType::from_bits(self.small("nand_cell_type"));
        let page_types = match (cell, self.small("pgtype_lat"), self.small("cell_pages")) {
            (Some(cell), ..) => PageTypes::Cell(cell),
            (None, 0, _) => PageTypes::Flat,
            (None, _, 0) => PageTypes::Scaled { cell_pages: 3 },
            (None, _, cell_pages @ 1..=5) => PageTypes::Scaled { cell_pages },
            (None, ..) => return Err(self.refuse("cell_pages", "expected 0 to 5")),
        };
        // A name that FEMU does not know means its default to it.
        let eviction = self
            .text("cache_evict")
            .and_then(Eviction::from_name)
            .unwrap_or_default();
        let victim = self
            .text("gc_policy")
            .and_then(VictimPolicy::from_name)
            .unwrap_or_default();
        let mib = self.small("read_cache_mb");
        Ok(Config {
            channels: self.small("nchs"),
            luns_per_channel: self.small("luns_per_ch"),
            planes: self.small("pls_per_lun"),
            blocks: self.small("blks_per_pl"),
            pages: self.small("pgs_per_blk"),
            sectors: self.small("secs_per_pg"),
            sector_bytes: self.small("secsz"),
            block_bytes: self.block_bytes()?,
            read: ns("pg_rd_lat"),
            program: ns("pg_wr_lat"),
            erase: ns("blk_er_lat"),
            page_types,
            gc_percent: self.small("gc_thres_pcent"),
            gc_percent_high: self.small("gc_thres_pcent_high"),
            victim,
            mapping,
            read_cache: (mib > 0).then_some(ReadCacheConfig { mib, eviction }),
            trim: ns("trim_lat_ns"),
            read_faults_ppm: self.small("err_read_unc_ppm"),
            write_faults_ppm: self.small("err_write_fail_ppm"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_is_femus_default_drive() {
        let properties = Properties::parse("").expect("nothing");
        assert_eq!(properties.flash(), Ok(Config::default()));
        assert_eq!(properties.mode(), Ok(Mode::BlackBox));
        assert_eq!(properties.namespace_bytes(), Ok(None));
    }

    #[test]
    fn a_qemu_command_line_is_taken_as_it_is() {
        let text = "-device femu,devsz_mb=12288,namespaces=1,femu_mode=1,nchs=0x4,\
                    mapping=dftl,mapping_cache_mb=2,read_cache_mb=1,cache_evict=lru,\
                    gc_policy=d-choice,nand_cell_type=3,namespace_sizes=4G,,2G,hiops_inline=off";
        let properties = Properties::parse(text).expect("all known");
        let config = properties.flash().expect("all can be expressed");
        assert_eq!(config.channels, 4);
        assert_eq!(config.mapping, Mapping::Dftl { cache_mib: 2 });
        assert_eq!(
            config.read_cache,
            Some(ReadCacheConfig {
                mib: 1,
                eviction: Eviction::Lru
            })
        );
        assert_eq!(config.victim, VictimPolicy::DChoice);
        assert_eq!(config.page_types, PageTypes::Cell(CellType::Tlc));
        assert_eq!(properties.namespace_bytes(), Ok(Some(12288 << 20)));
        assert_eq!(properties.text("namespace_sizes"), Some("4G,2G"));
        assert_eq!(properties.number("csf_runtime_scale"), 3);
    }

    #[test]
    fn over_provisioning_takes_precedence_over_the_size() {
        let text = "nchs=2,luns_per_ch=4,blks_per_pl=64,op_pcent=25,devsz_mb=1";
        let properties = Properties::parse(text).expect("all known");
        assert_eq!(
            properties.namespace_bytes(),
            Ok(Some((512 << 20) * 4 / 5 / 512 * 512))
        );
    }

    #[test]
    fn what_cannot_be_taken_over_is_named() {
        let error = |text: &str| {
            let parsed = Properties::parse(text).and_then(|properties| properties.flash());
            parsed.expect_err("refused").to_string()
        };
        assert_eq!(
            error("zns_num_ch=2"),
            "`zns_num_ch` is no property of FEMU's black-box, no-SSD or CSD drives"
        );
        assert_eq!(error("nchs"), "`nchs` is not of the form name=value");
        assert_eq!(
            error("nchs=-1"),
            "nchs=`-1`: expected a number from 0 to 2147483647"
        );
        assert_eq!(error("nchs=1,nchs=1"), "`nchs` is given twice");
        assert_eq!(error("sgl=maybe"), "sgl=`maybe`: expected on or off");
        assert_eq!(
            error("hot_cold_sep=on"),
            "hot_cold_sep=1: this can't be expressed in a drive file"
        );
        assert_eq!(
            error("mapping=tree"),
            "mapping=tree: expected page, dftl, hybrid or fast"
        );
        assert!(error("femu_mode=3").starts_with("femu_mode=3: only 1 (black box)"));
        assert_eq!(
            error("pgtype_lat=1,cell_pages=6"),
            "cell_pages=6: expected 0 to 5"
        );
    }
}
