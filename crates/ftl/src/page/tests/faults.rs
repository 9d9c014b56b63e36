//! Wear, and what fails.

use super::*;

#[test]
fn nothing_is_lost_while_lines_are_levelled_refreshed_and_retired() {
    let mut config = Config {
        wear_spread: Some(2),
        refresh_reads: Some(40),
        refresh_age: Some(Ns::from_ms(400)),
        ..small()
    };
    config.over_provisioning = 100.0;
    config.spare_blocks = 1;
    config.reliability.erase_faults_ppm = 2_000;
    let bench = nothing_is_lost(config, Ns::from_us(50));
    assert!(bench.drive.counters().available_spare < 100);
}

#[test]
fn blocks_that_fail_use_up_spares_then_lines_then_the_drive() {
    let mut config = small();
    config.reliability.erase_faults_ppm = 100_000;
    let mut bench = bench(config);
    let mut rng = Rng::new(9);
    let pages = bench.pages();
    let mut write = |bench: &mut Bench<()>| {
        bench.wait(bench.now + Ns::from_us(100));
        bench.page(rng.below(pages))
    };
    let failed = (0..1_000_000).find_map(|_| write(&mut bench).err());
    assert_eq!(failed, Some(Fault::OutOfBlocks));
    assert_eq!(write(&mut bench), Err(Fault::ReadOnly));
    let counters = bench.drive.counters();
    assert!(counters.read_only && counters.available_spare < 50);
    for lpn in 0..pages {
        assert!(bench.read(lpn * 4096, 4096).is_ok());
    }
}

/// A small drive of whose programs so many of a million fail, whatever its wear.
fn failing(ppm: u32) -> Config {
    let mut config = Config {
        spare_blocks: 6,
        ..small()
    };
    config.over_provisioning = 100.0;
    config.reliability.program_faults_ppm = ppm;
    config
}

#[test]
fn nothing_is_lost_while_programs_fail() {
    for pages in [0, 16] {
        let mut config = failing(1_000);
        config.buffer.pages = pages;
        let bench = nothing_is_lost(config, Ns::from_us(50));
        let counters = bench.drive.counters();
        assert!(counters.media_errors > 5, "{counters:?}");
        assert!(counters.available_spare < 100, "their blocks are retired");
    }
}

#[test]
fn a_program_that_fails_is_repeated_elsewhere() {
    let mut config = failing(500_000);
    config.buffer.pages = 0;
    let mut bench = bench(config);
    let (mut whole, mut again) = (0, 0);
    for lpn in 0..64 {
        bench.wait(bench.now + Ns::from_ms(10));
        let programs = bench.page(lpn).expect("room").0 / 200_000;
        whole += u64::from(programs == 1);
        again += u64::from(programs > 1);
    }
    let errors = bench.drive.counters().media_errors;
    assert!(
        whole > 20 && again > 20 && errors >= again,
        "{whole}, {again}, {errors}"
    );
}

#[test]
fn a_drive_on_which_every_program_fails_is_read_only() {
    let mut bench = bench(failing(1_000_000));
    let failed = (0..1_000).find_map(|lpn| bench.page(lpn % 64).err());
    assert_eq!(failed, Some(Fault::ReadOnly));
}

/// A drive with five pages of translations.
fn mapped(mapping_cache: Option<u64>) -> Config {
    let mut config = Config {
        mapping_cache,
        ..small()
    };
    config.geometry.blocks = 66;
    config.geometry.pages = 16;
    config.timing.pages = PageTimes::flat(16, Ns::from_us(40), Ns::from_us(200), Ns::from_ms(2));
    config.over_provisioning = 60.0;
    config
}

#[test]
fn nothing_is_lost_while_translations_come_and_go() {
    let bench = nothing_is_lost(mapped(Some(4096)), Ns::from_us(300));
    let homes: Vec<_> = (0..5)
        .map(|page| bench.drive.at(bench.drive.derived.logical_pages + page))
        .collect();
    assert!(
        homes.iter().all(|at| *at != model::At::Nowhere),
        "{homes:?}"
    );
}

#[test]
fn translation_pages_wear_the_flash() {
    let erases = |cache| {
        let mut bench = bench(mapped(cache));
        let mut rng = Rng::new(4);
        let pages = bench.pages();
        for _ in 0..20_000 {
            bench.wait(bench.now + Ns::from_us(500));
            bench.page(rng.below(pages)).expect("room");
        }
        let counters = bench.drive.counters();
        (counters.erases, counters.waf())
    };
    let (all, some) = (erases(None), erases(Some(4096)));
    // Four of five writes replace a changed translation page, which is written back.
    assert!(
        some.0 > all.0 * 3 / 2 && some.1 > all.1 + 0.7,
        "{all:?}, {some:?}"
    );
}
