//! A drive that is written as a file and read again is the same drive; no text makes it panic.

use ersatz_compute::{CostModel, Picoseconds, Policy, Speed};
use ersatz_drive_file::{
    Compute, Doorbells, Drive, DriveFile, Firmware, Fixed, Limits, Link, Media, MediaModel, Memory,
    Namespace, NamespaceKind, NativeProgram, Nvm, PageDrive, Placement, Remote, Store, UnitClass,
};
use ersatz_engine::Ns;
use ersatz_ftl::VictimPolicy;
use ersatz_ftl::femu::{self, Eviction, Mapping, PageTypes, ReadCacheConfig};
use ersatz_ftl::page::{self, BufferConfig, GcConfig, Pattern, Precondition};
use ersatz_nand::{Bus, CellType, Geometry, ReadPriority, Reliability};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn drive() -> impl Strategy<Value = Drive> {
    let link = (1_000_000..=1_000_000_000_000_u64, 0..=1_000_000_000_u64).prop_map(
        |(bandwidth, latency)| Link {
            bandwidth,
            latency: Ns(latency),
        },
    );
    let doorbells = prop_oneof![
        Just(Doorbells::Auto),
        Just(Doorbells::Mapped),
        Just(Doorbells::Messages)
    ];
    let names = (
        "[!-~]{1,20}",
        "[!-~]([ -~]{0,38}[!-~])?",
        "nqn[.]2014-08[.][a-z:]{1,40}",
    );
    let queues = (1..=64_u16, 2..=65_536_u32);
    let admin = 0..=1_000_000_000_u64;
    let firmware =
        (1..=1024_u16, 0..=1_000_000_000_u64).prop_map(|(cores, per_command)| Firmware {
            cores,
            per_command: Ns(per_command),
        });
    let modelled = (option::of(link), option::of(firmware));
    (names, modelled, queues, 0..14_u32, admin, doorbells).prop_map(
        |(
            (serial, model, nqn),
            (link, firmware),
            (queues, queue_entries),
            mdts,
            admin,
            doorbells,
        )| Drive {
            serial,
            model,
            nqn,
            link,
            firmware,
            queues,
            queue_entries,
            max_transfer: 4096 << mdts,
            admin_latency: Ns(admin),
            doorbells,
        },
    )
}

fn cost_model() -> impl Strategy<Value = CostModel> {
    let rate = (1_000_000..=1_000_000_000_000_u64, 0..=1_000_000_000_u64);
    prop_oneof![
        (0..=1_000_000_000_u64).prop_map(|price| CostModel::Instructions(Picoseconds(price))),
        (0..=100_000_u32).prop_map(|factor| CostModel::Measured(factor * 10)),
        rate.prop_map(|(bandwidth, setup)| CostModel::Rate {
            bandwidth,
            setup: Ns(setup),
        }),
        Just(CostModel::Given),
    ]
}

fn units() -> impl Strategy<Value = Vec<UnitClass>> {
    let class = (1..=1024_u16, 1..=100_000_u32, option::of(cost_model()));
    let classes = vec(class, 1..5).prop_map(|classes| {
        let classes = classes.into_iter().zip(0..);
        let class = |((count, speed, cost), number): ((u16, u32, _), u32)| UnitClass {
            class: format!("class {number}"),
            count,
            speed: Speed(speed * 10),
            cost,
        };
        classes.map(class).collect::<Vec<_>>()
    });
    let plain = (1..=1024_u16).prop_map(|count| vec![UnitClass::plain(count)]);
    prop_oneof![plain, classes]
}

fn types() -> impl Strategy<Value = Vec<Placement>> {
    let types = btree_map(any::<u8>(), option::of(cost_model()), 0..4);
    types.prop_map(|types| {
        let one = |(ptype, cost)| Placement {
            ptype,
            class: 0,
            cost,
        };
        // Native programs, phantoms and bitstreams can't have just any cost.
        let types = types
            .into_iter()
            .filter(|(ptype, _)| !(0xC3..=0xC5).contains(ptype));
        types.map(one).collect()
    })
}

fn native() -> impl Strategy<Value = Vec<NativeProgram>> {
    vec(("[a-z \"\\\\]{0,20}", "[_a-z]{1,20}"), 0..3).prop_map(|programs| {
        let numbered = programs.into_iter().zip(1..);
        let program = |((name, entry), number): ((String, String), u32)| NativeProgram {
            name: format!("{number}{name}{number}"),
            path: format!("{name}.so").into(),
            entry,
        };
        numbered.map(program).collect()
    })
}

fn remote() -> impl Strategy<Value = Option<Box<Remote>>> {
    let remote = (1..=u16::MAX, "[!-~]{16,40}", 1..=3_600_000_u64, 0..=100_u32);
    option::of(remote.prop_map(|(port, key, timeout, retries)| {
        Box::new(Remote {
            address: format!("board:{port}"),
            key,
            timeout: Ns::from_ms(timeout),
            retries,
        })
    }))
}

fn schedule() -> impl Strategy<Value = (Policy, [Ns; 3])> {
    let policy = select(Policy::ALL.to_vec());
    let times = (
        1_000..=1_000_000_000_u64,
        0..=1_000_000_000_u64,
        1_000..=1_000_000_000_000_u64,
    );
    (
        policy,
        times.prop_map(|(slice, switch, ageing)| [slice, switch, ageing].map(Ns)),
    )
}

fn namespace_kind() -> impl Strategy<Value = NamespaceKind> {
    let nvm =
        (1..=1_u64 << 38, prop_oneof![Just(512_u32), Just(4096)]).prop_map(|(blocks, block)| Nvm {
            size: blocks * u64::from(block),
            block,
        });
    let memory = (
        1..=1_u64 << 32,
        1_000_000..=1_000_000_000_000_u64,
        0..=1_000_000_000_u64,
    )
        .prop_map(|(pages, bandwidth, latency)| Memory {
            size: pages * 4096,
            bandwidth,
            latency: Ns(latency),
        });
    let programs = (1..=65_535_u16).prop_flat_map(|slots| (Just(slots), 1..=slots));
    let bytes = (1..=1024_u64).prop_flat_map(|mib| (4096..=mib << 20, Just(mib << 20)));
    let limits = (
        1..=65_535_u16,
        1..=255_u8,
        1..=1_000_000_000_000_000_u64,
        0..=1024_u16,
        native(),
        remote(),
        subsequence(vec!["crc32c", "find", "sum"], 0..=3),
    );
    let what = (units(), cost_model(), types(), schedule());
    let compute = (what, programs, bytes, limits).prop_map(
        |(what, (slots, max_activated), (max_program, max_programs_total), limits)| {
            let (memory_range_sets, ranges_per_set, budget, threads, native, remote, builtins) =
                limits;
            let builtins = builtins.into_iter().take(slots.into());
            let (units, cost, mut types, (scheduler, [time_slice, context_switch, ageing])) = what;
            for (placement, class) in types.iter_mut().zip((0..units.len()).cycle()) {
                placement.class = class;
            }
            Compute {
                units,
                cost,
                types,
                scheduler,
                time_slice,
                context_switch,
                ageing,
                slots,
                max_activated,
                memory_range_sets,
                ranges_per_set,
                max_program,
                max_programs_total,
                budget,
                builtins: builtins.map(str::to_owned).collect(),
                native,
                remote,
                threads,
            }
        },
    );
    prop_oneof![
        nvm.prop_map(NamespaceKind::Nvm),
        memory.prop_map(NamespaceKind::Memory),
        compute.prop_map(NamespaceKind::Compute),
    ]
}

fn namespaces() -> impl Strategy<Value = Vec<Namespace>> {
    (vec(namespace_kind(), 1..6), 1..=1000_u32).prop_map(|(kinds, first)| {
        let numbered = kinds.into_iter().zip(first..);
        numbered.map(|(kind, id)| Namespace { id, kind }).collect()
    })
}

fn media_model() -> impl Strategy<Value = MediaModel> {
    let time = || (1..=10_000_000_000_u64).prop_map(Ns);
    let fixed =
        (1..=65_536_u32, 9..=20_u32, time(), time()).prop_map(|(dies, page, read, program)| {
            MediaModel::Fixed(Fixed {
                dies,
                page: 1 << page,
                read,
                program,
            })
        });
    prop_oneof![Just(MediaModel::Null), fixed]
}

/// Flash that is large enough for its namespace whatever else is drawn.
fn femu() -> impl Strategy<Value = femu::Config> {
    let time = || (0..=u64::from(i32::MAX as u32)).prop_map(Ns);
    let page_types = prop_oneof![
        Just(PageTypes::Flat),
        (1..=5_u32).prop_map(|cell_pages| PageTypes::Scaled { cell_pages }),
        Just(PageTypes::Cell(CellType::Slc)),
        Just(PageTypes::Cell(CellType::Qlc)),
    ];
    let mapping = prop_oneof![
        Just(Mapping::Page),
        (1..100_u32).prop_map(|cache_mib| Mapping::Dftl { cache_mib }),
        Just(Mapping::Hybrid),
        Just(Mapping::Fast),
    ];
    let cache = (
        1..100_u32,
        prop_oneof![Just(Eviction::Clock), Just(Eviction::Arc)],
    )
        .prop_map(|(mib, eviction)| ReadCacheConfig { mib, eviction });
    let victim = prop_oneof![Just(VictimPolicy::Greedy), Just(VictimPolicy::DChoice)];
    (
        (
            1..9_u32,
            1..9_u32,
            1..5_u32,
            1..900_u32,
            1..900_u32,
            1..65_u32,
        ),
        (time(), time(), time(), time()),
        (page_types, mapping, option::of(cache), victim),
        (0..=100_u32, 0..=100_u32, any::<u32>(), any::<u32>()),
    )
        .prop_map(
            |(geometry, times, (page_types, mapping, read_cache, victim), gc)| femu::Config {
                channels: geometry.0,
                luns_per_channel: geometry.1,
                planes: geometry.2,
                blocks: geometry.3,
                pages: geometry.4,
                sectors: geometry.5,
                sector_bytes: 4096,
                block_bytes: 512,
                read: times.0,
                program: times.1,
                erase: times.2,
                trim: times.3,
                page_types,
                gc_percent: gc.0,
                gc_percent_high: gc.1,
                victim,
                mapping,
                read_cache,
                read_faults_ppm: gc.2,
                write_faults_ppm: gc.3,
            },
        )
}

fn page() -> impl Strategy<Value = PageDrive> {
    let time = || (0..=10_000_000_000_u64).prop_map(Ns);
    let share = |max: u32| (0..=max).prop_map(|hundredths| f64::from(hundredths) / 100.0);
    let geometry = (
        1..9_u32,
        1..9_u32,
        1..5_u32,
        9..900_u32,
        1..900_u32,
        1..33_u32,
    )
        .prop_map(
            |(channels, dies_per_channel, planes, blocks, pages, sectors)| Geometry {
                channels,
                dies_per_channel,
                planes,
                blocks,
                pages,
                page_bytes: sectors * 512,
            },
        );
    let bus =
        (time(), time(), 0..=1_000_000_000_000_u64).prop_map(|(command, address, bandwidth)| Bus {
            command,
            address,
            bandwidth,
            status: Ns(7),
        });
    let priority = prop_oneof![
        Just(ReadPriority::None),
        Just(ReadPriority::Queued),
        (time(), time(), any::<u32>()).prop_map(|(suspend, resume, limit)| ReadPriority::Suspend {
            suspend,
            resume,
            limit
        }),
    ];
    let worn = (time(), time(), any::<u32>(), any::<u32>()).prop_map(
        |(decode, retry, erases_per_step, steps)| Reliability {
            decode,
            retry,
            erases_per_step,
            age_per_step: Ns::from_secs(9),
            reads_per_step: steps / 2,
            steps,
            rated_erases: steps / 3,
            erase_faults_ppm: steps % 1_000_001,
            program_faults_ppm: steps / 5 % 1_000_001,
        },
    );
    let buffer = (0..1_u32 << 30, time(), any::<bool>(), 0..100_u32).prop_map(
        |(pages, time, volatile, destage_above)| BufferConfig {
            pages,
            time,
            volatile,
            destage_above,
        },
    );
    let gc = (
        share(9_999),
        share(9_999),
        any::<u32>(),
        option::of(1..999_u64),
    )
        .prop_map(|(start_below, urgent_below, batch, idle)| GcConfig {
            policy: VictimPolicy::CostBenefit,
            start_below,
            urgent_below,
            batch,
            idle_after: idle.map(Ns),
            idle_until: 0.0,
        });
    let before =
        (share(100), share(100_000), any::<bool>()).prop_map(|(fill, overwrite, random)| {
            Precondition {
                fill,
                overwrite,
                pattern: if random {
                    Pattern::Random
                } else {
                    Pattern::Sequential
                },
                seed: 3,
            }
        });
    let times = (vec(time(), 1..=8), vec(time(), 1..=8), time());
    let rest = (
        share(1_000_000),
        1..=1_024_u16,
        option::of(1..=u32::MAX),
        option::of(1..1_u64 << 50),
    );
    (
        (geometry, bus, priority, worn),
        (buffer, gc, option::of(before)),
        times,
        rest,
    )
        .prop_map(
            |((geometry, bus, read_priority, reliability), (buffer, gc, before), times, rest)| {
                let mut config = page::Config {
                    geometry,
                    reliability,
                    buffer,
                    gc,
                    over_provisioning: rest.0,
                    streams: rest.1,
                    spare_blocks: rest.1.into(),
                    wear_spread: rest.2,
                    refresh_reads: rest.2,
                    refresh_age: rest.3.map(|age| Ns(age >> 2)).filter(|age| *age > Ns::ZERO),
                    mapping_cache: rest.3,
                    ..page::Config::default()
                };
                config.timing.bus = bus;
                config.timing.read_priority = read_priority;
                config.timing.cache_read = rest.3.is_some();
                let mut drive = PageDrive::new(config, times.0, times.1, times.2);
                drive.precondition = before;
                drive
            },
        )
}

fn flash() -> impl Strategy<Value = MediaModel> {
    prop_oneof![
        femu().prop_map(|femu| MediaModel::Femu(Box::new(femu))),
        page().prop_map(|page| MediaModel::Page(Box::new(page))),
    ]
}

fn drive_file() -> impl Strategy<Value = DriveFile> {
    let store = option::of("[!-~\u{e9}][ -~\u{e9}]{0,30}")
        .prop_map(|file| file.map_or(Store::Memory, |file| Store::File(file.into())));
    (drive(), media_model(), 0..=1_u64 << 40, store, namespaces()).prop_map(
        |(drive, model, spare, store, namespaces)| {
            let media = Media { capacity: 0, model };
            let mut file = DriveFile {
                drive,
                media,
                store,
                namespaces,
            };
            // A media that may be written has at least a block, or what its namespaces have.
            file.media.capacity = file.nvm_bytes() + if spare < 512 { 0 } else { spare };
            file
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(file in drive_file()) {
        let text = file.to_toml();
        let again = DriveFile::parse("a.toml", &text, &Limits::NONE);
        prop_assert_eq!(again.as_ref(), Ok(&file), "{}", text);
    }

    #[test]
    fn flash_that_is_written_is_read_back(drive in drive(), model in flash()) {
        // A drive without NVM namespaces fits any flash.
        let memory = Memory { size: 4096, bandwidth: 1_000_000, latency: Ns(0) };
        let mut file = DriveFile {
            drive,
            media: Media { capacity: 0, model },
            store: Store::Memory,
            namespaces: vec![Namespace { id: 1, kind: NamespaceKind::Memory(memory) }],
        };
        let text = file.to_toml();
        let again = DriveFile::parse("a.toml", &text, &Limits::NONE);
        // Reading finds out how large the flash is.
        file.media.capacity = again.as_ref().map_or(0, |again| again.media.capacity);
        prop_assert_eq!(again.as_ref(), Ok(&file), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = DriveFile::parse("a.toml", &text, &Limits::NONE);
    }

    #[test]
    fn no_damage_makes_it_panic(file in drive_file(), at: prop::sample::Index, with: String) {
        let mut text = file.to_toml();
        let at = at.index(text.len());
        let end = (at + 3).min(text.len());
        if text.is_char_boundary(at) && text.is_char_boundary(end) {
            text.replace_range(at..end, &with);
        }
        if let Err(refused) = DriveFile::parse("a.toml", &text, &Limits::NONE) {
            prop_assert!(!refused.problems.is_empty());
            prop_assert!(!refused.to_string().is_empty());
        }
    }
}
