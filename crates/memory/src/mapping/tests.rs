use super::*;
use std::io::Write as _;

#[test]
fn bytes_written_are_read_back_by_who_maps_the_same_descriptor() {
    let ours = Mapping::anonymous("test", 8192).expect("map");
    let (fd, _) = ours.descriptor().expect("memfd");
    let fd = fd.try_clone_to_owned().expect("dup");
    let theirs = Mapping::file(fd, 4096, 4096, Access::Read).expect("map");
    ours.write(4100, b"hello").expect("inside");
    let mut copy = [0; 5];
    theirs.read(4, &mut copy).expect("inside");
    assert_eq!(&copy, b"hello");
    assert!(theirs.write(0, b"x").is_err(), "it may only be read");
}

#[test]
fn an_access_across_the_end_is_refused_as_a_whole() {
    let map = Mapping::anonymous("test", 4096).expect("map");
    assert!(map.write(4090, &[1; 7]).is_err());
    assert_eq!(map.load::<u8>(4090), Ok(0), "nothing was written");
    assert!(map.load::<u64>(u64::MAX).is_err());
    assert!(map.load::<u64>(4089).is_err());
    assert!(map.fill(0, u64::MAX, 0).is_err());
    assert!(
        map.read(4096, &mut []).is_ok(),
        "an empty range at the end is inside"
    );
}

#[test]
fn a_file_that_is_too_short_is_not_mapped() {
    let fd = rustix::fs::memfd_create("short", MemfdFlags::CLOEXEC).expect("memfd");
    rustix::fs::ftruncate(&fd, 4096).expect("truncate");
    let error = Mapping::file(fd, 0, 8192, Access::ReadWrite).expect_err("too short");
    assert!(matches!(
        error,
        MapError::Short {
            file: 4096,
            end: 8192
        }
    ));
}

#[test]
fn clear_makes_zeros_of_every_size_and_alignment() {
    let map = Mapping::anonymous("test", 1 << 20).expect("map");
    for (offset, len) in [(0, 1 << 20), (100, 70_000), (5, 9)] {
        map.fill(0, 1 << 20, 0xAA).expect("inside");
        map.clear(offset, len).expect("inside");
        let mut all = vec![0; 1 << 20];
        map.read(0, &mut all).expect("inside");
        let zero = |i: usize| (offset..offset + len).contains(&(i as u64));
        assert!(
            all.iter()
                .enumerate()
                .all(|(i, &b)| b == if zero(i) { 0 } else { 0xAA })
        );
    }
}

#[test]
fn clearing_what_was_never_written_takes_no_memory() {
    let map = Mapping::anonymous("test", 1 << 20).expect("map");
    let blocks = || {
        let (file, _) = map.file.as_ref().expect("a file");
        rustix::fs::fstat(file).expect("stat").st_blocks
    };
    map.clear(5_000, 3_000).expect("inside");
    map.clear((1 << 20) - 512, 512).expect("inside");
    assert_eq!(blocks(), 0);
    map.fill(4096, 1, 7).expect("inside");
    let one = blocks();
    map.clear(0, 4096).expect("inside");
    assert_eq!(blocks(), one);
    // Across it.
    map.clear(4000, 97).expect("inside");
    assert!(map.equals(4096, &[0]).expect("inside"));
}

#[test]
fn overlapping_copies_within_a_mapping_keep_the_bytes() {
    let map = Mapping::anonymous("test", 4096).expect("map");
    map.write(0, b"abcdef").expect("inside");
    map.copy_to(0, &map, 2, 6).expect("inside");
    assert!(map.equals(0, b"ababcdef").expect("inside"));
    assert!(!map.equals(0, b"abcdef").expect("inside"));
}

#[test]
fn updates_of_many_threads_are_none_lost_and_only_aligned_ones_are_done() {
    let map = Mapping::anonymous("test", 4096).expect("map");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    map.update_u32(4, |old| old + 1).expect("aligned");
                    map.update_u64(8, |old| old + 1).expect("aligned");
                }
            });
        }
    });
    assert_eq!(map.update_u32(4, |old| old), Ok(4000));
    assert_eq!(map.update_u64(8, |old| old), Ok(4000));
    assert!(map.update_u32(6, |old| old + 1).is_err());
    assert!(map.update_u64(12, |old| old + 1).is_err());
    assert!(map.update_u64(4096, |old| old + 1).is_err());
}

/// A file that someone else can shrink.
fn shrinkable(len: u64, flags: MemfdFlags) -> rustix::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("shrinks", MemfdFlags::CLOEXEC | flags)?;
    rustix::fs::ftruncate(&fd, len)?;
    Ok(fd)
}

#[test]
fn a_file_that_shrinks_under_its_mapping_reads_as_zeros_instead_of_killing_us() {
    let fd = shrinkable(8192, MemfdFlags::empty()).expect("memfd");
    let map = Mapping::foreign(fd.as_fd(), 0, 8192, Access::ReadWrite).expect("map");
    map.store(4096, 7u32).expect("inside");
    rustix::fs::ftruncate(&fd, 0).expect("truncate");
    assert_eq!(map.load::<u32>(4096), Ok(0));
    map.store(0, 1u32)
        .expect("a write goes nowhere, but does no harm");
}

#[test]
fn lost_pages_do_not_use_up_the_mappings_that_a_process_may_have() {
    const PAGES: u64 = 80_000;
    let fd = shrinkable(PAGES * 4096, MemfdFlags::empty()).expect("memfd");
    let map = Mapping::foreign(fd.as_fd(), 0, PAGES * 4096, Access::Read).expect("map");
    rustix::fs::ftruncate(&fd, 0).expect("truncate");
    for page in (0..PAGES).step_by(2) {
        assert_eq!(map.load::<u32>(page * 4096), Ok(0));
    }
}

#[test]
fn huge_pages_may_be_lost_too_and_are_given_back() {
    const HUGE: u64 = 2 << 20;
    let fd = shrinkable(HUGE, MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB);
    // Most machines have set none aside.
    let map = fd.and_then(|fd| {
        let map = Mapping::foreign(fd.as_fd(), 0, 4096, Access::ReadWrite);
        map.map(|map| (fd, map))
            .map_err(|_| rustix::io::Errno::NOMEM)
    });
    let Ok((fd, map)) = map else {
        // Past the test harness, which would keep it to itself.
        let words = "NOT TESTED: lost huge pages, since this machine has none set aside";
        let _ = writeln!(std::io::stdout(), "{words}");
        return;
    };
    rustix::fs::ftruncate(&fd, 0).expect("truncate");
    assert_eq!(map.load::<u32>(0), Ok(0));
    let at = format!("{:x}-", map.as_ptr() as usize);
    drop(map);
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    assert!(!maps.lines().any(|line| line.starts_with(&at)));
}

#[test]
fn who_gets_the_descriptor_can_seal_it_against_nobody() {
    let map = Mapping::anonymous("test", 4096).expect("map");
    let (fd, _) = map.descriptor().expect("memfd");
    let sealed = rustix::fs::fcntl_add_seals(fd, SealFlags::FUTURE_WRITE);
    assert_eq!(sealed, Err(rustix::io::Errno::PERM));
}
