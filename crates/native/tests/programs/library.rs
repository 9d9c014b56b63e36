//! What the tests of native programs run. Not part of the test's own crate: it is compiled to a
//! shared library.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

#[repr(C)]
pub struct Range {
    data: *mut u8,
    len: u64,
}

#[repr(C)]
pub struct Args {
    abi: u32,
    range_count: u32,
    params: [u64; 2],
    data: *const u8,
    data_len: u64,
    ranges: [Range; 0],
}

impl Args {
    fn data(&self) -> &[u8] {
        unsafe { std::slice::from_raw_parts(self.data, self.data_len as usize) }
    }

    fn ranges(&self) -> impl Iterator<Item = &mut [u8]> {
        let ranges = self.ranges.as_ptr();
        (0..self.range_count as usize).map(move |index| unsafe {
            let range = &*ranges.add(index);
            match range.len {
                0 => &mut [][..],
                len => std::slice::from_raw_parts_mut(range.data, len as usize),
            }
        })
    }
}

macro_rules! programs {
    ($(fn $name:ident($args:ident) $body:block)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($args: &Args) -> u64 $body
    )*};
}

programs! {
    fn sum(args) {
        let data: u64 = args.data().iter().map(|&byte| u64::from(byte)).sum();
        let ranges = args.ranges().flat_map(|range| range.iter());
        let ranges: u64 = ranges.map(|&byte| u64::from(byte)).sum();
        u64::from(args.abi) * 1_000_000_000 + args.params[0] * args.params[1] + data + ranges
    }

    fn fill(args) {
        for (index, range) in args.ranges().enumerate() {
            range.fill(index as u8 + 1);
        }
        0
    }

    fn number(_args) {
        static JOBS: AtomicU64 = AtomicU64::new(0);
        JOBS.fetch_add(1, Ordering::Relaxed)
    }

    fn busy(args) {
        (0..args.params[0]).fold(1, |state: u64, i| black_box(state.wrapping_mul(31) ^ i))
    }

    // What its first parameter says.
    fn misbehave(args) {
        match args.params[0] {
            0 => u64::from(std::process::id()),
            1 => unsafe { *black_box(std::ptr::null::<u64>().wrapping_add(512)) },
            2 => std::process::abort(),
            3 => std::process::exit(3),
            4 => loop {
                black_box(0);
            },
            5 => std::fs::read("/etc/hostname").map_or(0, |bytes| bytes.len() as u64),
            6 => std::thread::spawn(|| 7).join().unwrap_or(0),
            7 => std::net::UdpSocket::bind("127.0.0.1:0").map_or(0, |_| 1),
            8 => std::process::Command::new("/bin/true").status().map_or(0, |_| 1),
            9 => black_box(vec![1u8; 1 << 30]).iter().map(|&byte| u64::from(byte)).sum(),
            10 => panic!("no"),
            11 => recurse(0),
            12 => say(&[0; 7]),
            13 => say(&[0; 40]),
            14 => say(&[0; 300]),
            15 => unsafe { close(3) as u64 },
            16 => {
                println!("for nobody");
                unsafe { kill(getppid(), 0) as u64 }
            }
            17 => args.ranges().map(|range| range.as_ptr() as u64 % 4096).sum(),
            other => other,
        }
    }

    fn constant(_args) { 42 }
}

fn recurse(depth: u64) -> u64 {
    let page = black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + page[3] }
}

unsafe extern "C" {
    fn send(socket: i32, bytes: *const u8, len: usize, flags: i32) -> isize;
    fn close(file: i32) -> i32;
    fn kill(process: i32, signal: i32) -> i32;
    fn getppid() -> i32;
}

/// A message where only replies belong.
fn say(message: &[u8]) -> u64 {
    unsafe { send(0, message.as_ptr(), message.len(), 0) as u64 }
}
