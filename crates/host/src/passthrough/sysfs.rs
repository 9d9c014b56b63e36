//! What Linux's sysfs says about NVMe controllers and their device nodes.

use crate::Error;
use rustix::fs::{FileType, major, minor};
use std::fs;
use std::path::{Path, PathBuf};

/// A controller of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Controller {
    /// As the kernel calls it, such as `nvme0`.
    pub(super) name: String,
    /// Its directory, and that of its subsystem: namespaces are found in either, depending on
    /// whether the kernel does multipathing.
    pub(super) homes: Vec<PathBuf>,
}

/// All controllers, in order of their names.
pub(super) fn controllers() -> Vec<String> {
    let mut names: Vec<_> = names_in(Path::new("/sys/class/nvme"));
    names.retain(|name| number(name, "nvme").is_some());
    names.sort_by_key(|name| number(name, "nvme"));
    names
}

/// The controller behind a device node: its own, or one of a namespace.
pub(super) fn controller_of(node: &Path) -> Result<Controller, Error> {
    let stat = rustix::fs::stat(node)
        .map_err(|errno| Error::os(format!("open {}", node.display()), errno))?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => "char",
        FileType::BlockDevice => "block",
        _ => {
            return Err(Error::refused(format!(
                "{} is no device node of a drive",
                node.display()
            )));
        }
    };
    let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
    let link = format!("/sys/dev/{kind}/{major}:{minor}");
    let dir =
        fs::canonicalize(&link).map_err(|error| Error::os(format!("look up {link}"), error))?;
    controller_above(&dir)
        .ok_or_else(|| Error::refused(format!("{} is no NVMe device", node.display())))
}

/// The controller of this name.
pub(super) fn controller_named(name: &str) -> Option<Controller> {
    let dir = fs::canonicalize(Path::new("/sys/class/nvme").join(name)).ok()?;
    controller_above(&dir)
}

/// The controller that a directory is, or lies in.
fn controller_above(dir: &Path) -> Option<Controller> {
    let named = |dir: &Path| Some((dir.file_name()?.to_str()?.to_owned(), dir.to_owned()));
    let found = dir.ancestors().filter_map(named).find(|(name, _)| {
        number(name, "nvme").is_some() || number(name, "nvme-subsys").is_some()
    })?;
    let subsystems = Path::new("/sys/class/nvme-subsystem");
    if number(&found.0, "nvme").is_some() {
        let mut homes = vec![found.1];
        let mine = names_in(subsystems)
            .into_iter()
            .map(|name| subsystems.join(name))
            .find(|subsystem| subsystem.join(&found.0).exists());
        homes.extend(mine.and_then(|subsystem| fs::canonicalize(subsystem).ok()));
        return Some(Controller {
            name: found.0,
            homes,
        });
    }
    // Any path of the subsystem does.
    let mut names = names_in(&found.1);
    names.retain(|name| number(name, "nvme").is_some());
    names.sort_by_key(|name| number(name, "nvme"));
    let name = names.into_iter().next()?;
    let own = fs::canonicalize(found.1.join(&name)).ok()?;
    Some(Controller {
        name,
        homes: vec![own, found.1],
    })
}

/// The generic nodes of a controller's namespaces, such as `/dev/ng0n1`. Which namespace is behind
/// one only the node itself tells: the number in its name is not the NSID.
pub(super) fn generic_nodes(controller: &Controller) -> Vec<PathBuf> {
    let class = Path::new("/sys/class/nvme-generic");
    let mut names = names_in(class);
    names.sort();
    names
        .into_iter()
        .filter(|name| {
            let dir = fs::canonicalize(class.join(name)).ok();
            dir.is_some_and(|dir| is_in(&dir, controller))
        })
        .map(|name| Path::new("/dev").join(name))
        .collect()
}

/// Whether the disk or node with this directory belongs to a controller.
pub(super) fn is_in(dir: &Path, controller: &Controller) -> bool {
    dir.ancestors()
        .any(|dir| controller.homes.iter().any(|home| home == dir))
}

/// The number behind `prefix`, if the name is just these two.
fn number(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_subsystems_and_namespaces_are_told_apart_by_name() {
        assert_eq!(number("nvme12", "nvme"), Some(12));
        assert_eq!(number("nvme0n1", "nvme"), None);
        assert_eq!(number("nvme-subsys3", "nvme"), None);
        assert_eq!(number("nvme-subsys3", "nvme-subsys"), Some(3));
        assert_eq!(number("nvme", "nvme"), None);
        assert_eq!(number("nvme+1", "nvme"), None);
    }

    #[test]
    fn a_namespace_lies_in_its_controller_or_in_the_subsystem() {
        let controller = Controller {
            name: "nvme1".into(),
            homes: vec![
                "/sys/devices/x/nvme/nvme1".into(),
                "/sys/devices/y/nvme-subsys1".into(),
            ],
        };
        assert!(is_in(
            Path::new("/sys/devices/x/nvme/nvme1/nvme1n1/nvme1n1p2"),
            &controller
        ));
        assert!(is_in(
            Path::new("/sys/devices/y/nvme-subsys1/ng1n1"),
            &controller
        ));
        assert!(!is_in(
            Path::new("/sys/devices/x/nvme/nvme10/nvme10n1"),
            &controller
        ));
    }

    #[test]
    fn what_is_no_drive_is_refused_with_its_name() {
        let error = controller_of(Path::new("/dev/null")).expect_err("no drive");
        assert!(error.to_string().contains("/dev/null"), "{error}");
        let error = controller_of(Path::new("/proc/self/exe")).expect_err("no node");
        assert!(error.to_string().contains("no device node"), "{error}");
        assert!(controller_of(Path::new("/nonexistent")).is_err());
    }
}
