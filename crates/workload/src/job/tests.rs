use super::*;
use proptest::prelude::*;

fn toml(text: &str) -> Result<JobFile, Refused> {
    JobFile::parse_toml("w.toml", text)
}

fn fio(text: &str) -> Result<JobFile, Refused> {
    JobFile::parse_fio("w.fio", text)
}

#[test]
fn a_job_of_ours_has_its_settings_and_defaults() {
    let text = "[[job]]\nrw = \"randrw\"\nread_percent = 70\nblock_size = \"4 KiB/60:16 KiB/\"\n\
                rate_iops = 5000\narrivals = \"poisson\"\nsize = \"25 %\"\nruntime = \"2 s\"\n\
                distribution = \"zoned:50/5:30/15:20/\"\nseed = 9\n";
    let job = toml(text).unwrap().jobs.remove(0);
    assert_eq!(job.name, "job1");
    assert_eq!(job.rw.mix, Mix::Mixed { read_percent: 70 });
    assert_eq!(job.sizes, [(4_096, 6_000), (16_384, 4_000)]);
    assert_eq!((job.rate, job.iodepth), (Some(Rate::Requests(5_000)), None));
    assert_eq!(job.size, Some(Extent::Percent(2_500)));
    assert_eq!(job.amount, Amount::Endless);
    let zones = [(5_000, 500), (3_000, 1_500), (2_000, 8_000)];
    let zones = zones.map(|(access, size)| Zone { access, size }).to_vec();
    assert_eq!(job.distribution, Distribution::Zoned(zones));
    let job = toml("[[job]]\nrw = \"read\"\n").unwrap().jobs.remove(0);
    assert_eq!((job.iodepth, job.amount), (Some(1), Amount::Region(1)));
}

#[test]
fn names_of_fio_and_ours_mean_the_same() {
    let ours = "seed = 7\n[[job]]\nrw = \"randrw\"\nread_percent = 70\nblock_size = \"8 KiB\"\n\
                rate_iops = 9\narrivals = \"fixed\"\nrequests = 8\ndistribution = \"zipf:0.9\"\njobs = 2\n\
                start_delay = \"1 s\"\nthink_time = \"2 us\"\nthink_after = 3\n";
    let theirs = "seed = 7\n[[job]]\nrw = \"randrw\"\nrwmixread = 70\nbs = \"8 KiB\"\n\
                rate_iops = 9\nrate_process = \"linear\"\nnumber_ios = 8\nrandom_distribution = \"zipf:0.9\"\nnumjobs = 2\n\
                startdelay = \"1 s\"\nthinktime = \"2 us\"\nthinktime_blocks = 3\n";
    assert_eq!(toml(ours), toml(theirs));
    assert_eq!(toml(ours).unwrap().seed, Some(7));
}

#[test]
fn what_is_wrong_in_a_file_of_ours_is_told_with_its_place() {
    for (text, message) in [
        ("", "w.toml:1:1: job: there is none; allowed: [[job]]"),
        ("[[job]\n", "w.toml:1:7: unclosed array table"),
        (
            "x = 1\n[[job]]\nrw = \"read\"",
            "w.toml:1:1: \"x\" is no key of a job file",
        ),
        (
            "[[job]]\niodepth = 4",
            "w.toml:1:1: rw: is missing; allowed: read, write, trim,",
        ),
        (
            "[[job]]\nrw = \"raed\"",
            "w.toml:2:6: rw: \"raed\" is none of them; allowed: read, ",
        ),
        (
            "[[job]]\nrw = \"read\"\niodepth = 0",
            "w.toml:3:11: iodepth: \"0\" is too small; allowed: a whole number from 1 to 65536",
        ),
        (
            "[[job]]\nrw = \"read\"\nruntime = 5",
            "w.toml:3:11: runtime: a number must have a unit (ns, us, ms, s), in quotes; allowed: ",
        ),
        (
            "[[job]]\nrw = \"read\"\nverify = 1",
            "w.toml:3:1: \"verify\" is no key of a job; allowed: name",
        ),
        (
            "[[job]]\nrw = \"read\"\nbs = \"4k\"",
            "w.toml:3:6: bs: \"4k\"",
        ),
        (
            "[[job]]\nrw = \"read\"\nbs = \"4 KiB\"\nblock_size = \"4 KiB\"",
            "w.toml:3:1: bs: is block_size, which is there already",
        ),
        (
            "seed = \"x\"\n[[job]]\nrw = \"read\"",
            "w.toml:1:8: seed: this kind of value (string) is not allowed; allowed: a whole",
        ),
        (
            "[[job]]\nrw = \"randread\"\ndistribution = \"zipf:99\"",
            "w.toml:3:16: distribution: \"zipf:99\" has no such number; allowed: uniform, zipf",
        ),
        (
            "[[job]]\nrw = \"randread\"\ndistribution = \"zoned:60/5:50/\"",
            "w.toml:3:16: distribution: the accesses sum up to 110 %, more than 100 %",
        ),
        (
            "[[job]]\nrw = \"read\"\nread_percent = 5",
            "w.toml:1:1: read_percent: is only for jobs that read and write (rw = rw)",
        ),
        (
            "[[job]]\nrw = \"read\"\narrivals = \"fixed\"",
            "w.toml:1:1: arrivals: needs a rate_iops or rate",
        ),
    ] {
        let told = toml(text).unwrap_err().to_string();
        assert!(told.starts_with(message), "{told}\n{message}");
    }
}

#[test]
fn a_job_file_of_fio_means_here_what_it_means_there() {
    let text = "; a comment\n[global]\nioengine=libaio\ndirect=1\nbs=4k\nsize=1g\n\
                random_distribution=zipf:1.2\n\n[fill]\nrw=write\niodepth=8\n\
                [mix]\nstonewall\nrw=randrw\nrwmixwrite=30\nruntime=1m\ntime_based\nthinktime=20\n\
                thinktime_blocks=4\nnumjobs=2\noffset_increment=10%\n\
                [uniform]\nrw=randread\nrandom_distribution=random\nbsrange=4k-12k\nnumber_ios=100\n";
    let file = fio(text).unwrap();
    let ignored: Vec<_> = file.ignored.iter().map(ToString::to_string).collect();
    assert_eq!(ignored, ["w.fio:3: ioengine", "w.fio:4: direct"]);
    let [fill, mix, uniform] = file.jobs.as_slice() else {
        panic!("{:?}", file.jobs)
    };
    assert_eq!((fill.rw.random, fill.iodepth), (false, Some(8)));
    assert_eq!(
        (fill.amount, fill.size),
        (Amount::Region(1), Some(Extent::Bytes(1 << 30)))
    );
    assert_eq!(mix.rw.mix, Mix::Mixed { read_percent: 70 });
    assert_eq!(mix.distribution, Distribution::Zipf { theta: 1.2 });
    assert_eq!(
        (mix.amount, mix.runtime),
        (Amount::Endless, Some(Ns::from_secs(60)))
    );
    assert_eq!((mix.think_time, mix.think_after), (Ns::from_us(20), 4));
    assert_eq!((mix.clones, mix.stonewall), (2, true));
    assert_eq!(mix.offset_increment, Extent::Percent(1_000));
    assert!(uniform.random_map && !mix.random_map);
    assert_eq!(uniform.sizes, [(4_096, 1), (8_192, 1), (12_288, 1)]);
    assert_eq!(uniform.requests, Some(100));
}

#[test]
fn what_is_wrong_in_a_file_of_fio_is_told_with_its_place() {
    for (text, message) in [
        (
            "[a]\nrw=randread\n verify=crc32c",
            "w.fio:3:2: \"verify\" is not known, or can't be ",
        ),
        ("bs=4k\n[a]", "w.fio:1:1: \"bs\" is in no [section]"),
        (
            "[global]\nbs=4k",
            "w.fio:1:1: there is no job; allowed: a [section]",
        ),
        (
            "[a]\nbs=4KiB",
            "w.fio:2:1: bs: \"4KiB\" is in powers of 1,000 for fio; write k, m",
        ),
        (
            "[a]\nbs=4k,8k",
            "w.fio:2:1: bs: \"4k,8k\" differs for reads and writes; here a job",
        ),
        (
            "[a]\nrw=rw\nrate_iops=9",
            "w.fio:1:1: rate: fio applies it to reads and writes sep",
        ),
        (
            "[a]\nrw=randread:8",
            "w.fio:2:1: rw: \"randread:8\" is none of them; allowed: read",
        ),
        (
            "[a]\nruntime=1y",
            "w.fio:2:1: runtime: \"1y\" has no known unit; allowed: us, ms",
        ),
        ("[a", "w.fio:1:1: \"[a\" is no [section]"),
    ] {
        let told = fio(text).unwrap_err().to_string();
        assert!(told.starts_with(message), "{told}\n{message}");
    }
}

#[test]
fn many_problems_are_counted() {
    let refused = fio(&"x=1\n".repeat(100)).unwrap_err();
    assert_eq!((refused.problems.len(), refused.untold), (32, 69));
}

proptest! {
    #[test]
    fn hostile_files_are_refused_or_parsed(
        text in "(\\[[a-c]?\\]|\n|rw=|bs=|size=|zoned:|zipf:|[0-9]{1,25}|[kmg%/:,=\"-]|\\PC){0,40}",
    ) {
        let _ = (toml(&text), fio(&text));
        let _ = (text::distribution(&text), fio(&format!("[a]\nbssplit={text}")));
    }
}
