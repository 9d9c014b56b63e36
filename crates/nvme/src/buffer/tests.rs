use super::*;
use ersatz_pcie::LocalHost;
use std::sync::Arc;
use zerocopy::IntoBytes;

const PAGE: u64 = 4096;

fn host() -> LocalHost {
    LocalHost::new(
        0,
        Arc::new(Mapping::anonymous("host", 1 << 20).expect("map")),
    )
}

fn prps(prp1: u64, prp2: u64) -> Sqe {
    Sqe::new(0u8, 1).with_prp(prp1, prp2)
}

fn sgl(kind: SglType, address: u64, length: u32) -> SglDescriptor {
    SglDescriptor::new(kind, address, length)
}

fn of(sqe: &Sqe, len: u64, host: &mut LocalHost) -> Result<Vec<(u64, u64)>, Status> {
    let buffer = Buffer::of(sqe, len, PAGE, host).map_err(|error| error.status.code())?;
    Ok(buffer
        .segments()
        .iter()
        .map(|s| (s.iova.unwrap_or(u64::MAX), s.len))
        .collect())
}

fn put_list(host: &mut LocalHost, at: u64, entries: &[u64]) {
    for (i, entry) in entries.iter().enumerate() {
        host.write(at + i as u64 * 8, &entry.to_le_bytes())
            .expect("mapped");
    }
}

#[test]
fn one_prp_reaches_to_the_end_of_its_page() {
    let mut host = host();
    assert_eq!(
        of(&prps(0x1004, 0), 4092, &mut host),
        Ok(vec![(0x1004, 4092)])
    );
    assert_eq!(
        of(&prps(0x1002, 0), 8, &mut host),
        Err(Status::PRP_OFFSET_INVALID)
    );
    assert_eq!(
        of(&prps(0x1002, 0), 0, &mut host),
        Ok(vec![]),
        "no data, no pointer"
    );
}

#[test]
fn the_second_prp_must_start_its_page() {
    let mut host = host();
    assert_eq!(
        of(&prps(0x1800, 0x8000), 4096, &mut host),
        Ok(vec![(0x1800, 2048), (0x8000, 2048)])
    );
    assert_eq!(
        of(&prps(0x1800, 0x8004), 4096, &mut host),
        Err(Status::PRP_OFFSET_INVALID)
    );
    assert_eq!(
        of(&prps(0x1000, 0x2000), 8192, &mut host),
        Ok(vec![(0x1000, 8192)]),
        "merged"
    );
}

#[test]
fn a_list_may_begin_anywhere_and_goes_on_through_its_last_entry() {
    let mut host = host();
    // Two entries fit before the end of the page: one for data, one that points to the next page.
    put_list(&mut host, 0x2FF0, &[0x1_0000, 0x4000]);
    put_list(&mut host, 0x4000, &[0x3_0000, 0x5_0000]);
    let segments = of(&prps(0x1000, 0x2FF0), 4096 * 3 + 100, &mut host);
    let expected = vec![
        (0x1000, 4096),
        (0x1_0000, 4096),
        (0x3_0000, 4096),
        (0x5_0000, 100),
    ];
    assert_eq!(segments, Ok(expected));
    // Exactly as many entries as fit: the last one is data.
    put_list(&mut host, 0x2FF0, &[0x1_0000, 0x3_0000]);
    let segments = of(&prps(0x1000, 0x2FF0), 4096 * 3, &mut host);
    assert_eq!(
        segments,
        Ok(vec![(0x1000, 4096), (0x1_0000, 4096), (0x3_0000, 4096)])
    );
}

#[test]
fn a_malformed_list_is_refused() {
    let mut host = host();
    put_list(&mut host, 0x2000, &[0x1_0000, 0x3_0008]);
    let list = |at| prps(0x1000, at);
    assert_eq!(
        of(&list(0x2000), 4096 * 3, &mut host),
        Err(Status::PRP_OFFSET_INVALID)
    );
    assert_eq!(
        of(&list(0x2004), 4096 * 3, &mut host),
        Err(Status::PRP_OFFSET_INVALID)
    );
    assert_eq!(
        of(&list(0x200_0000), 4096 * 3, &mut host),
        Err(Status::DATA_TRANSFER_ERROR)
    );
}

#[test]
fn a_list_that_points_to_itself_ends() {
    let mut host = host();
    put_list(&mut host, 0x2FF8, &[0x2000]);
    put_list(&mut host, 0x2000, &[0x1_0000; 511]);
    assert_eq!(
        of(&prps(0x1000, 0x2FF8), u64::MAX / 2, &mut host),
        Err(Status::PRP_OFFSET_INVALID)
    );
}

#[test]
fn an_sgl_of_one_block_may_be_longer_than_the_transfer_but_not_shorter() {
    let mut host = host();
    let sqe = |length| Sqe::new(0u8, 1).with_sgl(sgl(SglType::DataBlock, 0x1003, length));
    assert_eq!(of(&sqe(100), 100, &mut host), Ok(vec![(0x1003, 100)]));
    assert_eq!(of(&sqe(200), 100, &mut host), Ok(vec![(0x1003, 100)]));
    assert_eq!(
        of(&sqe(99), 100, &mut host),
        Err(Status::DATA_SGL_LENGTH_INVALID)
    );
}

#[test]
fn segments_chain_and_bit_buckets_swallow() {
    let mut host = host();
    let entries = [
        sgl(SglType::DataBlock, 0x1_0000, 10),
        sgl(SglType::BitBucket, 0, 20),
        sgl(SglType::LastSegment, 0x6000, 16),
    ];
    host.write(0x5000, entries.as_bytes()).expect("mapped");
    host.write(0x6000, sgl(SglType::DataBlock, 0x2_0000, 30).as_bytes())
        .expect("mapped");
    let segments = sgl(SglType::Segment, 0x5000, 48);
    let sqe = Sqe::new(nvme_spec::NvmOpcode::Read, 1).with_sgl(segments);
    let expected = vec![(0x1_0000, 10), (u64::MAX, 20), (0x2_0000, 30)];
    assert_eq!(of(&sqe, 60, &mut host), Ok(expected));
    let buffer = Buffer::of(&sqe, 60, PAGE, &mut host).expect("well-formed");
    let bytes: Vec<u8> = (0..60).collect();
    buffer.write(&mut host, &bytes).expect("mapped");
    for (iova, range) in [(0x1_0000, 0..10), (0x2_0000, 30..60)] {
        let mut back = vec![0; range.len()];
        host.read(iova, &mut back).expect("mapped");
        assert_eq!(back, bytes[range]);
    }
    // A write passes over the bit bucket: its bytes come from what follows.
    let sqe = Sqe::new(nvme_spec::NvmOpcode::Write, 1).with_sgl(segments);
    assert_eq!(
        of(&sqe, 40, &mut host),
        Ok(vec![(0x1_0000, 10), (0x2_0000, 30)])
    );
    assert_eq!(
        of(&sqe, 41, &mut host),
        Err(Status::DATA_SGL_LENGTH_INVALID)
    );
}

#[test]
fn malformed_sgls_are_refused() {
    let mut host = host();
    let mut code = |descriptor| of(&Sqe::new(0u8, 1).with_sgl(descriptor), 100, &mut host);
    let segment = |length| sgl(SglType::Segment, 0x5000, length);
    assert_eq!(code(segment(0)), Err(Status::INVALID_SGL_SEGMENT));
    assert_eq!(code(segment(17)), Err(Status::INVALID_SGL_SEGMENT));
    assert_eq!(
        code(sgl(SglType::KeyedDataBlock, 0, 100)),
        Err(Status::SGL_TYPE_INVALID)
    );
    let mut subtype = segment(16);
    subtype.id = nvme_spec::queue::SglId::from_bits(1);
    assert_eq!(code(subtype), Err(Status::SGL_TYPE_INVALID));
}

#[test]
fn an_sgl_of_too_many_descriptors_is_refused_before_it_is_read() {
    let mut host = host();
    let sqe = Sqe::new(0u8, 1).with_sgl(sgl(SglType::LastSegment, 0x5000, !15));
    assert_eq!(of(&sqe, 100, &mut host), Err(Status::INVALID_SGL_COUNT));
}

#[test]
fn an_sgl_that_points_to_itself_ends() {
    let mut host = host();
    let itself = sgl(SglType::Segment, 0x5000, 16);
    host.write(0x5000, itself.as_bytes()).expect("mapped");
    let sqe = Sqe::new(0u8, 1).with_sgl(itself);
    assert_eq!(of(&sqe, 100, &mut host), Err(Status::INVALID_SGL_COUNT));
}
