//! A drive that is written as a file and read again is the same drive; no text makes it panic.

use ersatz_drive_file::{
    Compute, Doorbells, Drive, DriveFile, Fixed, Limits, Link, Media, MediaModel, Memory,
    Namespace, NamespaceKind, Nvm, Picoseconds, Store,
};
use ersatz_engine::Ns;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

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
    (names, option::of(link), queues, 0..14_u32, admin, doorbells).prop_map(
        |((serial, model, nqn), link, (queues, queue_entries), mdts, admin, doorbells)| Drive {
            serial,
            model,
            nqn,
            link,
            queues,
            queue_entries,
            max_transfer: 4096 << mdts,
            admin_latency: Ns(admin),
            doorbells,
        },
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
    );
    let compute = (1..=1024_u16, 0..=1_000_000_000_u64, programs, bytes, limits).prop_map(
        |(units, cost, (slots, max_activated), (max_program, max_programs_total), limits)| {
            let (memory_range_sets, ranges_per_set, budget, threads) = limits;
            Compute {
                units,
                instruction_cost: Picoseconds(cost),
                slots,
                max_activated,
                memory_range_sets,
                ranges_per_set,
                max_program,
                max_programs_total,
                budget,
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
