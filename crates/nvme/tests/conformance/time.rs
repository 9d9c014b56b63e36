//! When completions are posted, to the nanosecond.

use crate::common::raw::{self, Queue};
use crate::common::{
    BLOCKS_4K, BLOCKS_512, FIXED, MEMORY, MEMORY_LATENCY, Rig, Setup, blocks_of, pattern,
};
use ersatz_engine::{Ns, Rng};
use ersatz_host::command::{read, write};
use ersatz_nvme::{FirmwareConfig, LinkConfig};
use ersatz_pcie::Reset;
use nvme_spec::nvm::CopyFormat;
use nvme_spec::register::{Shn, Shst};
use nvme_spec::slm::MemoryCopyCdw12;
use nvme_spec::{SlmOpcode, Sqe};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// A byte per nanosecond, and 900 ns of propagation.
const LINK: LinkConfig = LinkConfig {
    bandwidth: 1_000_000_000,
    latency: Ns(900),
};

fn start(link: Option<LinkConfig>) -> (Arc<Rig>, Queue) {
    let rig = Rig::new(Setup {
        media: Some(FIXED),
        link,
        ..Setup::default()
    });
    let mut admin = raw::start(&rig);
    let io = Queue::create(&mut admin, 1, 256, 256);
    assert_eq!(rig.lock().now, Ns::ZERO, "nothing so far takes time");
    (rig, io)
}

/// Runs all commands in the queue; when each was completed comes back, in that order.
fn trace(rig: &Rig, io: &mut Queue) -> Vec<(u64, u16)> {
    let mut completions = Vec::new();
    loop {
        let due = {
            let mut state = rig.lock();
            while state.poll() {}
            state.next_due()
        };
        while let Some(cqe) = io.take() {
            assert!(cqe.status().is_success());
            completions.push((rig.lock().now.0, cqe.cid));
        }
        match due {
            Some(due) => rig.lock().now = due,
            None => return completions,
        }
    }
}

fn run(link: Option<LinkConfig>, commands: &[fn(u64) -> Sqe]) -> Vec<(u64, u16)> {
    let (rig, mut io) = start(link);
    for command in commands {
        io.push(command(rig.buffer(64 << 10).iova()));
    }
    io.ring();
    trace(&rig, &mut io)
}

#[test]
fn reads_of_one_die_follow_one_another_and_those_of_two_do_not() {
    let at_0 = |prp| read(BLOCKS_4K, 0, 1).with_prp(prp, 0);
    let at_1 = |prp| read(BLOCKS_4K, 1, 1).with_prp(prp, 0);
    assert_eq!(
        run(None, &[at_0, at_0, at_1]),
        [(40_000, 0), (40_000, 2), (80_000, 1)]
    );
    let both = |prp| read(BLOCKS_4K, 0, 2).with_prp(prp, prp + 4096);
    assert_eq!(run(None, &[both, at_0]), [(40_000, 0), (80_000, 1)]);
}

#[test]
fn a_write_takes_a_program_and_a_block_of_512_bytes_a_whole_page() {
    let write = |prp| write(BLOCKS_512, 3, 1).with_prp(prp, 0);
    let read = |prp| read(BLOCKS_512, 0, 1).with_prp(prp, 0);
    assert_eq!(run(None, &[write, read]), [(200_000, 0), (240_000, 1)]);
}

#[test]
fn data_crosses_the_link_after_a_read_and_before_a_write() {
    // The die, then 4096 bytes to the host, one after the other, then the propagation.
    let at_0 = |prp| read(BLOCKS_4K, 0, 1).with_prp(prp, 0);
    let at_1 = |prp| read(BLOCKS_4K, 1, 1).with_prp(prp, 0);
    let expected = [
        (40_000 + 4096 + 900, 0),
        (40_000 + 2 * 4096 + 900, 1),
        (80_000 + 4096 + 900, 2),
    ];
    assert_eq!(run(Some(LINK), &[at_0, at_1, at_0]), expected);
    // Both directions work at the same time.
    let write_1 = |prp| write(BLOCKS_4K, 1, 1).with_prp(prp, 0);
    let expected = [(40_000 + 4096 + 900, 1), (4096 + 900 + 200_000, 0)];
    assert_eq!(run(Some(LINK), &[write_1, at_0]), expected);
}

#[test]
fn commands_without_data_do_not_wait_for_the_link() {
    let big = |prp| read(BLOCKS_4K, 0, 1).with_prp(prp, 0);
    let flush = |_| Sqe::new(nvme_spec::NvmOpcode::Flush, BLOCKS_512);
    assert_eq!(run(Some(LINK), &[big, flush]), [(0, 1), (44_996, 0)]);
}

#[test]
fn memory_takes_its_latency_and_bandwidth() {
    let read = |prp| Sqe::memory(SlmOpcode::MemoryRead, MEMORY, 0, 4096).with_prp(prp, 0);
    let one = MEMORY_LATENCY.0 + 4096;
    assert_eq!(run(None, &[read, read]), [(one, 0), (2 * one, 1)]);
    assert_eq!(run(Some(LINK), &[read]), [(one + 4096 + 900, 0)]);
}

#[test]
fn a_shutdown_occurs_until_the_last_command_is_completed() {
    let (rig, mut io) = start(None);
    io.push(read(BLOCKS_4K, 0, 1).with_prp(rig.buffer(4096).iova(), 0));
    io.ring();
    while rig.lock().poll() {}
    raw::write_cc(&rig, raw::cc().with_shn(Shn::Normal));
    assert_eq!(raw::csts(&rig).shst(), Shst::Occurring);
    assert_eq!(trace(&rig, &mut io), [(40_000, 0)]);
    assert_eq!(raw::csts(&rig).shst(), Shst::Complete);
}

#[test]
fn a_host_does_not_wait_for_what_the_one_before_it_had_asked() {
    let (rig, mut io) = start(Some(LINK));
    for _ in 0..100 {
        io.push(Sqe::memory(SlmOpcode::MemoryFill, MEMORY, 0, 64 << 10));
    }
    io.ring();
    while rig.lock().poll() {}
    rig.lock().reset(Reset::Disconnect);
    let mut io = Queue::create(&mut raw::start(&rig), 1, 256, 256);
    let begin = rig.lock().now.0;
    io.push(Sqe::memory(SlmOpcode::MemoryFill, MEMORY, 0, 4096));
    io.ring();
    let took = MEMORY_LATENCY.0 + 4096;
    assert_eq!(trace(&rig, &mut io), [(begin + took, 0)]);
}

#[test]
fn a_copy_from_flash_takes_the_dies_and_the_memory_but_not_the_link() {
    for link in [None, Some(LINK)] {
        let (rig, mut io) = start(link);
        let list = rig.buffer(4096);
        let range = blocks_of(BLOCKS_4K, 0, 4);
        list.write(0, range.as_bytes()).expect("inside");
        let format = MemoryCopyCdw12::new().with_cdf(CopyFormat::NamespaceLba16);
        io.send(Sqe::memory_copy(MEMORY, 0, 16_384, format).with_prp(list.iova(), 0));
        // The memory writes what has come while the dies read on; the last page remains.
        assert_eq!(
            trace(&rig, &mut io),
            [(80_000 + MEMORY_LATENCY.0 + 4096, 0)]
        );
    }
}

#[test]
fn nothing_is_posted_before_it_is_due() {
    let (rig, mut io) = start(None);
    io.send(read(BLOCKS_4K, 0, 1).with_prp(rig.buffer(4096).iova(), 0));
    rig.lock().poll();
    assert_eq!(rig.lock().next_due(), Some(Ns(40_000)));
    rig.lock().now = Ns(39_999);
    rig.lock().poll();
    assert!(io.take().is_none());
    rig.lock().now = Ns(40_000);
    rig.lock().poll();
    assert!(io.take().is_some());
    assert_eq!(rig.lock().controller.lateness().histogram.max(), Ns::ZERO);
    // A machine that is too slow to be punctual says how late it was.
    io.send(read(BLOCKS_4K, 0, 1).with_prp(rig.buffer(4096).iova(), 0));
    rig.lock().poll();
    rig.lock().now = Ns(80_000 + 1_000);
    rig.lock().poll();
    let late = rig.lock().controller.lateness().histogram.max().0;
    assert!((1_000..1_100).contains(&late), "{late}");
}

#[test]
fn the_drive_is_busy_while_a_command_is_in_it() {
    let (rig, mut io) = start(None);
    for _ in 0..2 {
        io.push(read(BLOCKS_4K, 0, 1).with_prp(rig.buffer(4096).iova(), 0));
    }
    io.ring();
    trace(&rig, &mut io);
    rig.lock().now = Ns(1_000_000);
    io.send(read(BLOCKS_4K, 1, 1).with_prp(rig.buffer(4096).iova(), 0));
    trace(&rig, &mut io);
    assert_eq!(rig.lock().controller.busy(Ns(2_000_000)), Ns(120_000));
}

#[test]
fn the_same_commands_complete_in_the_same_order_at_the_same_times() {
    let run = || {
        let (rig, mut io) = start(Some(LINK));
        let mut rng = Rng::new(7);
        let mut all = Vec::new();
        for round in 0..10 {
            for _ in 0..100 {
                let (slba, blocks) = (rng.below(4000), rng.below(8) as u32 + 1);
                let data = rig.buffer(32 << 10);
                data.write(0, &pattern(round, 512)).expect("inside");
                let list = rig.buffer(64);
                (0..8u64).for_each(|i| {
                    list.store(i * 8, data.iova() + (i + 1) * 4096)
                        .expect("inside")
                });
                let prp2 = if blocks > 2 {
                    list.iova()
                } else {
                    data.iova() + 4096
                };
                let command = if rng.below(3) == 0 { write } else { read };
                io.push(command(BLOCKS_4K, slba, blocks).with_prp(data.iova(), prp2));
            }
            io.ring();
            all.extend(trace(&rig, &mut io));
        }
        all
    };
    let first = run();
    assert_eq!(first.len(), 1000);
    assert!(
        first.windows(2).any(|pair| pair[0].1 > pair[1].1),
        "they overtake one another"
    );
    assert!(first == run());
}

#[test]
fn io_commands_wait_for_a_processor_before_the_media_sees_them() {
    let rig = Rig::new(Setup {
        media: Some(FIXED),
        firmware: Some(FirmwareConfig {
            cores: 2,
            per_command: Ns(1_000),
        }),
        ..Setup::default()
    });
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 256, 256);
    assert_eq!(rig.lock().now, Ns::ZERO, "admin commands are not delayed");
    let prp = rig.buffer(4096).iova();
    for lba in [0, 1, 0] {
        io.push(read(BLOCKS_4K, lba, 1).with_prp(prp, 0));
    }
    io.ring();
    // Two at a time; the third waits for a processor, and then for its die.
    let expected = [(41_000, 0), (41_000, 1), (81_000, 2)];
    assert_eq!(trace(&rig, &mut io), expected);
}
