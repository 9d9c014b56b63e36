//! Does hardware virtualisation work here? Only a guest that boots can tell: inside some virtual
//! machines `/dev/kvm` opens, and guests die in it or crawl.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::cache::{self, Cache};
use crate::environment::Environment;
use crate::guest::{Accelerator, Guest, Task};
use crate::output::Captured;
use crate::progress::Progress;

/// Emulation boots in three seconds on an idle machine, working hardware in less than one.
/// A slow "yes" is worth no more than a "no".
const PATIENCE: Duration = Duration::from_secs(8);

/// Boots a guest in KVM if that was not tried on this machine with this kernel and QEMU before.
pub(crate) fn works(environment: &Environment, cache: &Cache, progress: &mut dyn Progress) -> bool {
    // Permissions change; only an answer of a guest is remembered.
    let device = Path::new("/dev/kvm");
    if File::options().read(true).write(true).open(device).is_err() {
        return false;
    }
    let machine = rustix::system::uname();
    let name = cache::key(&[
        &machine.nodename().to_string_lossy(),
        &machine.release().to_string_lossy(),
        &environment.qemu_version().to_string(),
    ]);
    let memo = cache.path(&format!("kvm-{name}"));
    match std::fs::read_to_string(&memo).as_deref() {
        Ok("works\n") => return true,
        Ok("fails\n") => return false,
        _ => {}
    }

    progress.step("trying hardware virtualisation");
    let guest = Guest {
        task: Task::Command(vec!["true".to_owned()]),
        timeout: Some(PATIENCE),
        ..Guest::default()
    };
    let works = guest
        .run_on(environment, Accelerator::Kvm, &mut Captured::default())
        .is_ok_and(|status| status.0 == 0);
    remember(&memo, works);
    works
}

/// Writes the answer in one step. Failing to costs the next caller the same try, no more.
fn remember(memo: &Path, works: bool) {
    let Some(folder) = memo.parent() else { return };
    let Ok(mut file) = tempfile::NamedTempFile::new_in(folder) else {
        return;
    };
    if file
        .write_all(if works { b"works\n" } else { b"fails\n" })
        .is_ok()
    {
        // The file goes away by itself if it can't be renamed.
        let _ = file.persist(memo);
    }
}
