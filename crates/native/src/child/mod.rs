//! One child, from inside.

#[allow(unsafe_code)] // Loads a library and calls it.
mod library;
#[allow(unsafe_code)] // Maps the job's ranges.
mod range;
#[allow(unsafe_code)] // Closes descriptors, resets signals.
mod sandbox;

use crate::wire::{Hello, Job, READY, Range, Reply, WORDS};
use ersatz_runtime::abi;
use library::Entry;
use range::Mapped;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::time::{ClockId, clock_gettime};
use std::io::{IoSliceMut, stdin};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use zerocopy::{FromBytes, IntoBytes};

/// What a child's `main` does, with the two last arguments of its command line: loads the library
/// at that path, and runs its function `entry` as often as the drive, behind standard input, asks
/// for it. Call it first, while the process has one thread.
#[must_use]
pub fn run_child(library: &Path, entry: &str) -> ExitCode {
    let status = match start(library, entry) {
        Ok((entry, used)) => serve(&entry, used),
        Err(words) => {
            let words = words.as_bytes();
            say(&words[..words.len().min(WORDS)])
        }
    };
    match status {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The library's function, and the bytes of address space that are in use now.
fn start(library: &Path, entry: &str) -> Result<(Entry, u64), String> {
    sandbox::before_loading()?;
    let entry = Entry::load(library, entry)?;
    let used = sandbox::after_loading()?;
    Ok((entry, used))
}

/// Runs jobs until the drive has no more.
fn serve(entry: &Entry, used: u64) -> Result<(), Errno> {
    let total = processor_time();
    say(Hello {
        ready: READY,
        used,
        total,
    }
    .as_bytes())?;
    while let Some((job, _)) = hear::<Job>()? {
        let mut ranges = Vec::new();
        for _ in 0..job.ranges {
            let (range, file) = hear::<Range>()?.ok_or(Errno::PIPE)?;
            ranges.push(Mapped::new(file, &range));
        }
        let mut data = vec![0; job.data as usize];
        let mut at = 0;
        while at < data.len() {
            match receive(&mut data[at..])? {
                (0, _) => return Err(Errno::PIPE),
                (len, _) => at += len,
            }
        }
        let (errno, value, cpu) = match call(entry, ranges, &job, &data) {
            Ok((value, cpu)) => (0, value, cpu),
            Err(errno) => (errno.raw_os_error() as u64, 0, 0),
        };
        let reply = Reply {
            number: job.number,
            errno,
            value,
            cpu,
            total: processor_time(),
        };
        say(reply.as_bytes())?;
    }
    Ok(())
}

/// Calls the program; what it returns, and the nanoseconds of processor time that it took.
fn call(
    entry: &Entry,
    ranges: Vec<Result<Mapped, Errno>>,
    job: &Job,
    data: &[u8],
) -> Result<(u64, u64), Errno> {
    let ranges = ranges.into_iter().collect::<Result<Vec<_>, _>>()?;
    let places: Vec<_> = ranges.iter().map(Mapped::place).collect();
    let bytes = abi::RANGES + places.len() * abi::RANGE_BYTES + data.len();
    // Words, because the structure has the alignment of its widest field.
    let mut args = vec![0u64; bytes.div_ceil(8)];
    let address = args.as_ptr() as u64;
    let encoded = abi::encode(address, &places, job.parameters, data);
    args.as_mut_bytes()[..bytes].copy_from_slice(&encoded);
    let begin = processor_time();
    let value = entry.call(&args);
    Ok((value, processor_time() - begin))
}

/// The next message, and the descriptor that came with it; `None` when the drive has closed.
fn hear<T: FromBytes + IntoBytes>() -> Result<Option<(T, Option<OwnedFd>)>, Errno> {
    let mut message = T::new_zeroed();
    let (len, file) = receive(message.as_mut_bytes())?;
    match len {
        0 => Ok(None),
        _ if len == size_of::<T>() => Ok(Some((message, file))),
        _ => Err(Errno::BADMSG),
    }
}

fn receive(buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = loop {
        match recvmsg(stdin(), &mut parts, &mut control, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    Ok((received.bytes, file))
}

fn say(message: &[u8]) -> Result<(), Errno> {
    send(stdin().as_fd(), message, SendFlags::NOSIGNAL).map(drop)
}

/// Nanoseconds of processor time that this process has taken. The clock is its one thread's: with a
/// limit on processor time, the kernel moves that of the process only at its ticks.
fn processor_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
