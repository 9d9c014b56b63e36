use super::*;
use crate::request::Request;
use crate::source::{ClosedLoop, Source};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::{Cursor, Write};

fn reader(text: impl Into<Vec<u8>>, options: Options) -> Reader {
    Reader::new("t".into(), Box::new(Cursor::new(text.into())), options).unwrap()
}

type Shown = (u64, Op, u64, u32);

fn shown(request: &Request) -> Shown {
    (request.at.0, request.op, request.slba, request.nlb)
}

/// All requests in blocks of 512 bytes, and the format that was seen.
fn read(text: &str) -> (Option<Format>, Vec<Shown>) {
    let mut reader = reader(text, Options::new(512));
    let requests = reader.by_ref().map(|it| shown(&it.unwrap())).collect();
    (reader.format(), requests)
}

fn error(text: &str, format: Format) -> String {
    let options = Options {
        format: Some(format),
        ..Options::new(512)
    };
    let found = reader(text, options).find_map(Result::err);
    found.map_or_else(String::new, |error| error.to_string())
}

#[test]
fn our_own_lines_become_requests() {
    let text = "time_ns,op,slba,nlb\r\n1,W,0,256\n\n# a comment\n1,R,8,1\n9,T,0,70000\n9,F,0,0";
    let expected = vec![
        (1, Op::Write, 0, 256),
        (1, Op::Read, 8, 1),
        (9, Op::Trim, 0, 70_000),
        (9, Op::Flush, 0, 0),
    ];
    assert_eq!(read(text), (Some(Format::Csv), expected));
}

#[test]
fn msr_times_are_ticks_since_the_first_request() {
    let text = "128166372003061629,hm,1,Read,383496192,32768,41286\n\
                128166372016382155,hm,1,Write,2822144000,4096,16382\n";
    let expected = vec![
        (0, Op::Read, 749_016, 64),
        (1_332_052_600, Op::Write, 5_512_000, 8),
    ];
    assert_eq!(read(text), (Some(Format::Msr), expected));
}

#[test]
fn bytes_become_the_blocks_that_they_touch() {
    let text = "0,hm,0,Read,4095,2,0\n0,hm,0,Write,8192,4096,0\n";
    let requests = reader(text, Options::new(4_096)).map(|it| shown(&it.unwrap()));
    let requests: Vec<_> = requests.collect();
    assert_eq!(requests, [(0, Op::Read, 0, 2), (0, Op::Write, 2, 1)]);
}

#[test]
fn a_fio_log_of_version_2_has_waits() {
    let text = "fio version 2 iolog\n/dev/nvme0n1 add\n/dev/nvme0n1 open\n\
                /dev/nvme0n1 read 4096 512\n/dev/nvme0n1 wait 250 0\n\
                /dev/nvme0n1 write 0 1024\n/dev/nvme0n1 sync 0 0\n/dev/nvme0n1 close\n";
    let expected = vec![
        (0, Op::Read, 8, 1),
        (250_000, Op::Write, 0, 2),
        (250_000, Op::Flush, 0, 0),
    ];
    assert_eq!(read(text), (Some(Format::Fio), expected));
}

#[test]
fn a_fio_log_of_version_3_has_times() {
    let text = "fio version 3 iolog\n2 nvme0n1 add\n872 nvme0n1 open\n\
                878 nvme0n1 write 0 16384\n888 nvme0n1 trim 16384 512\n\
                891 nvme0n1 datasync 0 0\n10001677 nvme0n1 close\n";
    let expected = vec![
        (878_000, Op::Write, 0, 32),
        (888_000, Op::Trim, 32, 1),
        (891_000, Op::Flush, 0, 0),
    ];
    assert_eq!(read(text), (Some(Format::Fio), expected));
}

const BLKPARSE: &str = "\
Input file nvme0n1.blktrace.0 added
259,0    3        1     0.000000000   697  Q   W 223490 + 8 [kjournald]
259,0    3        2     0.000001829   697  G   W 223490 + 8 [kjournald]
259,0    3        0     0.000002000     0  m   N cfq697S / alloced
259,0    3        3     0.000010004   697  D   W 223490 + 8 [kjournald]
259,0    1        4     0.000009000   801  Q  RA 16 + 256 [cat]
259,0    1        5     0.000100000   801  Q FWS [fsync]
259,0    1        6     0.000200000   801  Q  DS 1024 + 4096 [fstrim]
259,0    1        7     0.000300000     0  C   W 223490 + 8 [0]
CPU3 (nvme0n1):
 Reads Queued:           1,      128KiB\t Writes Queued:           1,        4KiB
Total (nvme0n1):
Throughput (R/W): 0KiB/s / 0KiB/s
";

#[test]
fn blkparse_lines_of_one_action_become_requests() {
    let issued = vec![(10_004, Op::Write, 223_490, 8)];
    assert_eq!(read(BLKPARSE), (Some(Format::Blkparse), issued));
    let options = Options {
        action: Action::Queued,
        ..Options::new(512)
    };
    let queued: Vec<_> = reader(BLKPARSE, options)
        .map(|it| shown(&it.unwrap()))
        .collect();
    let expected = [
        (0, Op::Write, 223_490, 8),
        (9_000, Op::Read, 16, 256),
        (100_000, Op::Flush, 0, 0),
        (200_000, Op::Trim, 1_024, 4_096),
    ];
    assert_eq!(queued, expected);
}

#[test]
fn a_deallocation_leaves_blocks_alone_that_it_covers_in_part() {
    let text = "fio version 3 iolog\n0 f trim 4095 8194\n0 f trim 1 4096\n0 f write 1 4096\n";
    let requests = reader(text, Options::new(4_096)).map(|it| shown(&it.unwrap()));
    let requests: Vec<_> = requests.collect();
    assert_eq!(
        requests,
        [
            (0, Op::Trim, 1, 2),
            (0, Op::Trim, 1, 0),
            (0, Op::Write, 0, 2)
        ]
    );
}

#[test]
fn spc_times_are_seconds_and_more_fields_mean_nothing() {
    let text = "0,20941264,8192,W,0.551706\n0, 20939840, 8192, w, 0.554041, more\n\
                1,3072,512,R,1.1234567899";
    let expected = vec![
        (551_706_000, Op::Write, 20_941_264, 16),
        (554_041_000, Op::Write, 20_939_840, 16),
        (1_123_456_789, Op::Read, 3_072, 1),
    ];
    assert_eq!(read(text), (Some(Format::Spc), expected));
}

#[test]
fn a_device_can_be_chosen_and_several_are_told() {
    let text = "0,0,512,W,0.1\n1,8,512,R,0.2\n0,16,512,R,0.3\n";
    let mut all = reader(text, Options::new(512));
    assert_eq!(all.by_ref().count(), 3);
    assert!(all.several_devices());
    let options = Options {
        device: Some("1".into()),
        ..Options::new(512)
    };
    let mut one = reader(text, options);
    assert_eq!(one.by_ref().count(), 1);
    assert!(!one.several_devices());
}

#[test]
fn times_that_go_back_are_delayed_and_counted() {
    let mut reader = reader("0,0,512,W,2\n0,8,512,R,1.5\n", Options::new(512));
    let times: Vec<_> = reader.by_ref().map(|it| it.unwrap().at.0).collect();
    assert_eq!((times, reader.delayed()), (vec![2_000_000_000; 2], 1));
}

#[test]
fn a_bad_line_is_told_with_its_place() {
    use Format::{Blkparse, Csv, Fio, Msr, Spc};
    for (format, text, message) in [
        (
            Csv,
            "1,W,0,256\n2,X,0,1",
            "t:2:3: op: \"X\" is none of them; allowed: R, W, T, F",
        ),
        (Csv, "1,W,0", "t:1:6: nlb is missing"),
        (
            Csv,
            "1,W,0,1,2",
            "t:1:9: there is more than time_ns,op,slba,nlb",
        ),
        (Csv, "1,W,-1,1", "t:1:5: slba: \"-1\" is not a whole number"),
        (
            Csv,
            "1,W,0,65537",
            "t:1:7: nlb: 65537 blocks are more than a write can have; allowed: 1 to 65536",
        ),
        (
            Csv,
            "1,R,0,0",
            "t:1:7: nlb: a request has at least one block",
        ),
        (
            Csv,
            "5,R,0,1\n4,R,0,1",
            "t:2:1: time goes back, from 5 to 4 ns",
        ),
        (
            Csv,
            "1,R,0,18446744073709551616",
            "t:1:7: nlb: \"18446744073709551616\" is too large",
        ),
        (
            Msr,
            "128,hm,1,Verify,0,512,1",
            "t:1:10: Type: \"Verify\" is none of them; allowed: Read, Write",
        ),
        (
            Msr,
            "128,hm,1,Read,18446744073709551615,512,1",
            "t:1:15: Offset: the request ends beyond 2^64 bytes",
        ),
        (
            Msr,
            "128,hm,1,Read,0,0,1",
            "t:1:17: Size: a request has at least one byte",
        ),
        (
            Fio,
            "/dev/sda read 0 512",
            "t:1:1: this is not the first line; allowed: \"fio version 2 iolog\", \
             \"fio version 3 iolog\"",
        ),
        (
            Fio,
            "fio version 3 iolog\n5 f wait 100 0",
            "t:2:5: action: \"wait\" is none of them; allowed: read, write, trim, sync, \
             datasync, add, open, close",
        ),
        (
            Fio,
            "fio version 3 iolog\n5 f read 0",
            "t:2:11: length is missing",
        ),
        (
            Blkparse,
            "sda 1 1 0.0 1 D R 0 + 8",
            "t:1:1: device: this is not major,minor, such as 259,0",
        ),
        (
            Blkparse,
            "8,0 1 1 0.x 1 D R 0 + 8",
            "t:1:9: time: \"0.x\" is not a decimal number of seconds",
        ),
        (Blkparse, "8,0 1 1 0.0 1 D R", "t:1:18: sector is missing"),
        (
            Spc,
            "0,1,512,X,0.1",
            "t:1:9: Opcode: \"X\" is none of them; allowed: R, W",
        ),
        (
            Spc,
            "0,1,512,R,-0.1",
            "t:1:11: Timestamp: \"-0.1\" is not a decimal number of seconds",
        ),
    ] {
        assert_eq!(error(text, format), message);
    }
}

#[test]
fn bad_lines_are_skipped_and_counted_if_asked_for() {
    let long = "1".repeat(3 * MAX_LINE);
    let text = format!("1,W,0,1\nnonsense\n{long}\n3,R,0,0\n3,R,0,1\n2,R,0,1");
    let options = Options {
        skip_bad: true,
        ..Options::new(512)
    };
    let mut reader = reader(text, options);
    assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 2);
    assert_eq!(reader.skipped(), 4);
}

#[test]
fn after_an_error_there_is_nothing() {
    let mut reader = reader("1,W,0,1\nx\n2,W,0,1\n", Options::new(512));
    assert!(reader.next().unwrap().is_ok());
    assert!(reader.next().unwrap().is_err());
    assert!(reader.next().is_none());
}

#[test]
fn what_is_no_text_and_endless_lines_are_refused() {
    let options = Options {
        format: Some(Format::Csv),
        ..Options::new(512)
    };
    let error = |bytes: &[u8]| {
        let error = reader(bytes, options.clone()).find_map(Result::err);
        error.unwrap().to_string()
    };
    assert_eq!(error(b"1,W\xFF,0,1"), "t:1:4: this is not UTF-8 text");
    let long = vec![b'1'; MAX_LINE + 1];
    assert_eq!(
        error(&long),
        "t:1:65537: the line is longer than 65536 bytes"
    );
}

#[test]
fn an_unknown_format_is_refused_and_an_empty_trace_is_not() {
    let unknown = Reader::new(
        "t".into(),
        Box::new(Cursor::new("a b c")),
        Options::new(512),
    );
    assert_eq!(
        unknown.err().unwrap().to_string(),
        "t: the first lines are in no known format; name it: csv, msr, fio, blkparse, spc"
    );
    assert_eq!(read(" \n"), (None, vec![]));
    assert_eq!("msr".parse(), Ok(Format::Msr));
    assert!(
        "MSR"
            .parse::<Format>()
            .unwrap_err()
            .contains("allowed: csv,")
    );
}

#[test]
fn a_compressed_trace_is_read_and_a_broken_one_is_refused() {
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    for time in 0..20_000 {
        writeln!(zip, "{time},W,{},1", time * 7_919 % 65_537).unwrap();
    }
    let zipped = zip.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.gz");
    std::fs::write(&path, &zipped).unwrap();
    let count = |path| {
        Reader::open(path, Options::new(512))
            .unwrap()
            .map(|it| it.map(|_| 1))
    };
    assert_eq!(count(&path).sum::<Result<u32, _>>().unwrap(), 20_000);
    std::fs::write(&path, &zipped[..zipped.len() - 6]).unwrap();
    assert!(count(&path).sum::<Result<u32, _>>().is_err());
}

#[test]
fn a_trace_as_a_closed_loop_keeps_its_depth() {
    let reader = reader("1,W,0,1\n500,W,1,1\n900,W,2,1\n", Options::new(512));
    let mut source = ClosedLoop::new(reader, 2);
    assert_eq!(source.peek().unwrap(), Some(Ns(0)));
    assert!(source.take().is_some() && source.peek().unwrap().is_some());
    assert!(source.take().is_some());
    assert_eq!((source.peek().unwrap(), source.take()), (None, None));
    source.finished(0, Ns(77));
    assert_eq!(source.peek().unwrap(), Some(Ns(77)));
    assert_eq!(source.take().unwrap().at, Ns(77));
}

proptest! {
    /// Any bytes: requests or errors, never a panic; times never go back.
    #[test]
    fn hostile_files_give_requests_in_order_or_errors(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        words in proptest::collection::vec(
            "([0-9]{1,21}|R|W|read|write|Q|[,. +\n]|fio version 3 iolog\n|8,0 | 0\\.[0-9]{1,12})",
            0..60,
        ),
        format in 0usize..5,
        block in prop_oneof![Just(0), Just(512), Just(4096), any::<u32>()],
    ) {
        for text in [bytes, words.concat().into_bytes()] {
            let options = Options {
                format: Some(Format::ALL[format]),
                skip_bad: true,
                ..Options::new(block)
            };
            let mut last = Ns::ZERO;
            for request in reader(text.clone(), options).flatten() {
                prop_assert!(request.at >= last);
                prop_assert!(u64::from(request.nlb) <= request.op.max_blocks());
                last = request.at;
            }
            let seen = Reader::new("t".into(), Box::new(Cursor::new(text)), Options::new(block));
            prop_assert!(seen.is_err() || seen.is_ok_and(|mut it| it.by_ref().count() < 1_000));
        }
    }
}
