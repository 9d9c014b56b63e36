//! What a child may not do.
//!
//! Loading a library takes files; after that, a child needs its socket, memory and the time. Files
//! are refused then, because a C library or a panic looks for some by itself and can do without.
//! All else, such as starting a thread or making a socket, ends the child with SIGSYS.

use rustix::param::page_size;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getpid, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::set_no_new_privs;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::env::consts::ARCH;

/// Standard input, output and error, and a memory range's while it is being mapped.
const DESCRIPTORS: u64 = 4;

/// What holds from the start on.
///
/// # Errors
/// With the kernel's words.
pub fn before_loading() -> Result<(), String> {
    close_descriptors()?;
    end_by_faults();
    let limits = || {
        // Whatever ends the drive ends this process.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        set_no_new_privs(true)?;
        for resource in [
            Resource::Core,
            Resource::Fsize,
            Resource::Memlock,
            Resource::Msgqueue,
            Resource::Nproc,
        ] {
            limit(resource, 0)?;
        }
        Ok::<_, rustix::io::Errno>(())
    };
    limits().map_err(|errno| format!("can't give up rights: {errno}"))
}

/// What holds once the library is loaded. Returns the bytes of address space that are in use.
///
/// # Errors
/// With the kernel's words.
pub fn after_loading() -> Result<u64, String> {
    let used = address_space().ok_or("can't read /proc/self/statm")?;
    limit(Resource::Nofile, DESCRIPTORS)
        // A crash is a failed job, not a file for the administrator.
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|errno| format!("can't give up rights: {errno}"))?;
    let filters = || {
        // On all threads: the library's constructors may have started some.
        seccompiler::apply_filter_all_threads(&refuse()?)?;
        seccompiler::apply_filter_all_threads(&allow()?)
    };
    filters().map_err(|error| format!("can't filter system calls: {error}"))?;
    Ok(used)
}

/// Closes all descriptors but standard input, output and error.
fn close_descriptors() -> Result<(), String> {
    // SAFETY: nothing has opened any yet that is used later.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    match result {
        0 => Ok(()),
        _ => Err(format!(
            "can't close descriptors: {}",
            std::io::Error::last_os_error()
        )),
    }
}

/// Takes away the handlers of the standard library, which say more about a stack that is used up:
/// nobody hears them, and they need a system call that there won't be.
fn end_by_faults() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: resetting a signal to its default is always allowed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn limit(resource: Resource, value: u64) -> Result<(), rustix::io::Errno> {
    let value = Some(value);
    setrlimit(
        resource,
        Rlimit {
            current: value,
            maximum: value,
        },
    )
}

fn address_space() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').next()?.parse().ok()?;
    pages.checked_mul(page_size() as u64)
}

/// System calls on files, which [`refuse`] answers.
const FILES: [i64; 7] = [
    libc::SYS_fstat,
    libc::SYS_getcwd,
    libc::SYS_ioctl,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_statx,
];
/// Those that newer architectures don't have.
#[cfg(target_arch = "x86_64")]
const OLD_FILES: [i64; 2] = [libc::SYS_open, libc::SYS_readlink];
#[cfg(not(target_arch = "x86_64"))]
const OLD_FILES: [i64; 0] = [];

/// Refuses system calls on files, and lets the rest through to the other filter: of several, the
/// strictest answer holds.
fn refuse() -> Result<BpfProgram, seccompiler::Error> {
    let files = FILES.into_iter().chain(OLD_FILES);
    let filter = SeccompFilter::new(
        files.map(|call| (call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EACCES as u32),
        TargetArch::try_from(ARCH)?,
    )?;
    Ok(filter.try_into()?)
}

/// Ends the process at any system call that is not listed here.
fn allow() -> Result<BpfProgram, seccompiler::Error> {
    use SeccompCmpOp::{Eq, Ge, MaskedEq};
    let when = |argument, op, value| {
        let condition = SeccompCondition::new(argument, Dword, op, value)?;
        SeccompRule::new(vec![condition])
    };
    let own = getpid().as_raw_nonzero().get() as u64;
    // Standard output and error, which lead nowhere: the last words of an abort.
    let words = || Ok::<_, seccompiler::BackendError>(vec![when(0, Eq, 1)?, when(0, Eq, 2)?]);
    let no_code = || when(2, MaskedEq(libc::PROT_EXEC as u64), 0);
    let anywhere = [
        // Memory.
        libc::SYS_brk,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        // Locks, time, chance, and what allocators and sorting ask for.
        libc::SYS_clock_getres,
        libc::SYS_clock_gettime,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_gettimeofday,
        libc::SYS_sched_yield,
        libc::SYS_sysinfo,
        // Ends.
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
    ];
    let conditional = [
        (libc::SYS_mmap, vec![no_code()?]),
        (libc::SYS_mprotect, vec![no_code()?]),
        // The drive.
        (libc::SYS_recvmsg, vec![when(0, Eq, 0)?]),
        (libc::SYS_sendto, vec![when(0, Eq, 0)?]),
        (libc::SYS_close, vec![when(0, Ge, 3)?]),
        (libc::SYS_write, words()?),
        (libc::SYS_writev, words()?),
        // Abort raises its signal itself.
        (libc::SYS_tgkill, vec![when(0, Eq, own)?]),
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let anywhere = anywhere.into_iter().chain(FILES).chain(OLD_FILES);
    rules.extend(anywhere.map(|call| (call, Vec::new())));
    rules.extend(conditional);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        TargetArch::try_from(ARCH)?,
    )?;
    Ok(filter.try_into()?)
}
