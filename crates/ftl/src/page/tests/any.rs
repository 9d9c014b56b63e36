//! Drives of all shapes: whatever is accepted works, and goes on working.

use super::*;
use crate::victim::VictimPolicy;

fn any(rng: &mut Rng) -> Config {
    let mut upto = |most: u64| 1 + rng.below(most) as u32;
    let geometry = Geometry {
        channels: upto(3),
        dies_per_channel: upto(3),
        planes: upto(4),
        blocks: 4 + upto(40),
        pages: upto(12),
        page_bytes: PAGE,
    };
    let mut config = Config {
        geometry,
        over_provisioning: f64::from(upto(120)),
        streams: upto(3) as u16,
        spare_blocks: upto(3) - 1,
        wear_spread: Some(upto(5)),
        refresh_reads: Some(10 * upto(20)),
        mapping_cache: Some(4096).filter(|_| upto(2) == 1),
        seed: upto(1000).into(),
        ..small()
    };
    let (read, program, erase) = (Ns::from_us(40), Ns::from_us(200), Ns::from_ms(1));
    config.timing.pages = PageTimes::flat(geometry.pages, read, program, erase);
    config.buffer.pages = upto(40) - 1;
    config.buffer.volatile = upto(2) == 1;
    config.buffer.destage_above = upto(99) - 1;
    config.gc.policy = [
        VictimPolicy::Greedy,
        VictimPolicy::CostBenefit,
        VictimPolicy::Fifo,
        VictimPolicy::DChoice,
        VictimPolicy::Random,
    ][upto(5) as usize - 1];
    config.gc.start_below = f64::from(upto(30));
    config.gc.urgent_below = f64::from(upto(10));
    config.gc.idle_after = Some(Ns::from_us(300)).filter(|_| upto(2) == 1);
    config
}

/// Requests at random until one fails, each read of which is checked.
fn work(bench: &mut Bench<Ledger>, rng: &mut Rng, streams: u64) -> Result<(), Fault> {
    let all = bench.pages() * SECTORS as u64;
    for _ in 0..2_000 {
        let until = bench.now + Ns(rng.below(200_000));
        bench.wait(until);
        let count = 1 + rng.below(all.min(40));
        let (start, len) = (rng.below(all - count + 1) * 512, count * 512);
        match rng.below(10) {
            0..2 => bench.read(start, len)?,
            2 => {
                let done = bench.drive.flush(bench.now, &mut bench.heap);
                done.map_err(|error| error.fault)?
            }
            _ => bench.write(start, len, rng.below(streams) as u16)?,
        };
    }
    let capacity = bench.drive.capacity();
    bench.read(0, capacity).map(drop)
}

#[test]
fn every_drive_that_is_accepted_goes_on_working() {
    let mut rng = Rng::new(21);
    let mut built = 0;
    for _ in 0..200 {
        let config = any(&mut rng);
        if PageFtl::new(config.clone()).is_err() {
            continue;
        }
        built += 1;
        let mut bench = Bench::with(config.clone(), Ledger::default());
        let done = work(&mut bench, &mut rng, config.streams.into());
        assert_eq!(done, Ok(()), "{config:?}");
    }
    assert!(built > 60, "{built} of 200");
}

#[test]
fn a_drive_that_fails_keeps_what_it_has() {
    let mut rng = Rng::new(22);
    let mut failed = 0;
    for _ in 0..200 {
        let mut config = any(&mut rng);
        config.reliability.erase_faults_ppm = rng.below(100_000) as u32;
        config.reliability.program_faults_ppm = rng.below(50_000) as u32;
        let Ok(_) = PageFtl::new(config.clone()) else {
            continue;
        };
        let mut bench = Bench::with(config.clone(), Ledger::default());
        if let Err(fault) = work(&mut bench, &mut rng, config.streams.into()) {
            failed += 1;
            assert!(matches!(fault, Fault::OutOfBlocks | Fault::ReadOnly));
            assert!(bench.drive.counters().read_only);
            let capacity = bench.drive.capacity();
            assert!(bench.read(0, capacity).is_ok());
        }
    }
    assert!(failed > 20, "{failed}");
}
