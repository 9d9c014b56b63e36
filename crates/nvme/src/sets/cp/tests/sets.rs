//! Memory ranges, and Memory Range Set Management.

use super::*;

const RANGE: MemoryRange = MemoryRange::new(MEMORY, 4096, 4096);

#[test]
fn sets_are_numbered_from_one_listed_and_deleted() {
    let mut drive = Drive::inline();
    let others = [
        RANGE,
        MemoryRange::new(MORE, 4096, 4096),
        MemoryRange::new(MEMORY, 0, 4096),
    ];
    assert_eq!(drive.create_set(&[RANGE]), Ok(Step::done(1)));
    assert_eq!(
        drive.create_set(&others),
        Ok(Step::done(2)),
        "sets may overlap each other"
    );
    assert_eq!(drive.create_set(&[RANGE]), Ok(Step::done(3)));
    assert_eq!(
        refusal(drive.create_set(&[RANGE])),
        Status::MAXIMUM_MEMORY_RANGE_SETS_EXCEEDED
    );
    assert_eq!(drive.delete_set(1), Ok(Step::done(0)));
    assert_eq!(
        refusal(drive.delete_set(1)),
        Status::INVALID_MEMORY_RANGE_SET_ID
    );
    let sets = entries::<MemoryRangeSetEntry>(&drive.log(Lid::MemoryRangeSets));
    let sets: Vec<_> = sets.iter().map(|set| (set.rsid, set.numr)).collect();
    assert_eq!(sets, [(2, 3), (3, 1)]);
    assert_eq!(drive.create_set(&[RANGE]), Ok(Step::done(1)));
}

#[test]
fn identifiers_that_no_set_has_are_refused() {
    let mut drive = Drive::inline();
    for rsid in [0, 1, u16::MAX] {
        assert_eq!(
            refusal(drive.delete_set(rsid)),
            Status::INVALID_MEMORY_RANGE_SET_ID
        );
    }
}

#[test]
fn bad_selections_and_counts_are_refused() {
    let mut drive = Drive::inline();
    assert_eq!(refusal(drive.create_set(&[])), Status::INVALID_FIELD);
    let many: Vec<_> = (0..5).map(|i| MemoryRange::new(MEMORY, i * 8, 4)).collect();
    assert_eq!(
        refusal(drive.create_set(&many)),
        Status::MAXIMUM_MEMORY_RANGES_EXCEEDED
    );
    assert!(drive.create_set(&many[..4]).is_ok());
    let sqe = Sqe {
        cdw11: 1,
        ..Sqe::new(AdminOpcode::MemoryRangeSetManagement, NSID)
    };
    let sqe = drive.bench.bringing(sqe, RANGE.as_bytes());
    let with_id = MemoryRangeSetCdw10::new().with_rsid(1);
    let reserved = MemoryRangeSetCdw10::new().with_sel(MemoryRangeSetSelect(2));
    for cdw10 in [with_id, reserved] {
        let sqe = Sqe {
            cdw10: cdw10.into_bits(),
            ..sqe
        };
        assert_eq!(refusal(drive.bench.admin(&sqe)), Status::INVALID_FIELD);
    }
    let unmapped = drive.bench.with_unmapped_data(sqe);
    assert_eq!(
        refusal(drive.bench.admin(&unmapped)),
        Status::DATA_TRANSFER_ERROR
    );
}

/// Ranges that neither a set nor an execution may have.
fn bad_ranges() -> Vec<(MemoryRange, Status)> {
    let (sb, end) = (4096, MEMORY_BYTES);
    vec![
        (MemoryRange::new(0, sb, 4), Status::INVALID_MEMORY_NAMESPACE),
        (
            MemoryRange::new(u32::MAX, sb, 4),
            Status::INVALID_MEMORY_NAMESPACE,
        ),
        (
            MemoryRange::new(77, sb, 4),
            Status::INVALID_MEMORY_NAMESPACE,
        ),
        (
            MemoryRange::new(NSID, sb, 4),
            Status::INVALID_MEMORY_NAMESPACE,
        ),
        (
            MemoryRange::new(FAR, sb, 4),
            Status::INVALID_MEMORY_NAMESPACE,
        ),
        (
            MemoryRange::new(MEMORY, sb + 1, 4),
            Status::INVALID_MEMORY_RANGE_SET,
        ),
        (
            MemoryRange::new(MEMORY, sb, 6),
            Status::INVALID_MEMORY_RANGE_SET,
        ),
        (
            MemoryRange::new(MEMORY, sb, 0),
            Status::INVALID_MEMORY_RANGE_SET,
        ),
        (
            MemoryRange::new(MEMORY, end, 4),
            Status::INVALID_MEMORY_RANGE_SET,
        ),
        (
            MemoryRange::new(MEMORY, end - 4, 8),
            Status::INVALID_MEMORY_RANGE_SET,
        ),
        (
            MemoryRange::new(MEMORY, u64::MAX - 3, 4),
            Status::INVALID_MEMORY_RANGE_SET,
        ),
        (
            MemoryRange::new(MEMORY, u64::MAX - 3, 8),
            Status::INVALID_MEMORY_RANGE_SET,
        ),
        (
            MemoryRange::new(MEMORY, 4, u32::MAX),
            Status::INVALID_MEMORY_RANGE_SET,
        ),
        (
            MemoryRange::new(MORE, 0, 8),
            Status::OVERLAPPING_MEMORY_RANGES,
        ),
        (
            MemoryRange::new(MORE, 12, 4),
            Status::OVERLAPPING_MEMORY_RANGES,
        ),
    ]
}

#[test]
fn each_bad_range_has_its_status_in_a_set_and_in_an_execution() {
    let mut drive = Drive::inline();
    drive.ready(0, RANGES);
    let good = MemoryRange::new(MORE, 4, 12);
    for (bad, status) in bad_ranges() {
        assert_eq!(refusal(drive.create_set(&[good, bad])), status, "{bad:?}");
        let executed = drive.execute_on(Execute::default(), &[bad, good], &[]);
        assert_eq!(refusal(executed), status, "{bad:?}");
    }
    assert_eq!(bytes(&drive.memory(MORE), 0, 64), [0; 64], "nothing ran");
    assert!(entries::<MemoryRangeSetEntry>(&drive.log(Lid::MemoryRangeSets)).is_empty());
    for beside in [MemoryRange::new(MORE, 0, 4), MemoryRange::new(MORE, 16, 4)] {
        assert!(
            drive
                .execute_on(Execute::default(), &[beside, good], &[])
                .is_ok()
        );
    }
}
