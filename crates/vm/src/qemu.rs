//! A QEMU that can attach a vfio-user device.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::PrepareError;
use crate::packages::Prefix;

const PROGRAM: &str = "qemu-system-x86_64";

/// Packages with a QEMU that is new enough, and the firmware of its PC machines.
pub(crate) const PACKAGES: [&str; 2] = ["qemu-system-x86", "seabios"];

/// The first release with the device `vfio-user-pci`.
const MINIMUM: Version = Version {
    major: 10,
    minor: 1,
};

/// A release of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Where QEMU comes from.
#[derive(Clone, Debug)]
enum Origin {
    Machine(PathBuf),
    Packages(Prefix),
}

/// A QEMU that has been tried.
#[derive(Clone, Debug)]
pub(crate) struct Qemu {
    origin: Origin,
    pub version: Version,
    /// Whether it ends by itself when the process that started it does.
    exits_with_parent: bool,
}

impl Qemu {
    /// The machine's own, if it will do.
    pub(crate) fn of_machine() -> Option<Self> {
        let path = std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join(PROGRAM))
            .find(|path| path.is_file())?;
        Self::tried(Origin::Machine(path)).ok()
    }

    /// The one in a prefix with [`PACKAGES`].
    pub(crate) fn of_packages(prefix: Prefix) -> Result<Self, PrepareError> {
        Self::tried(Origin::Packages(prefix)).map_err(|reason| PrepareError::Missing {
            what: format!("QEMU that can be used here: {reason}"),
        })
    }

    fn tried(origin: Origin) -> Result<Self, String> {
        let mut qemu = Self {
            origin,
            version: MINIMUM,
            exits_with_parent: true,
        };
        let text = qemu.says(&["--version"])?;
        qemu.version = parse_version(&text).ok_or("its version is not a number")?;
        if qemu.version < MINIMUM {
            return Err(format!("version {} is older than {MINIMUM}", qemu.version));
        }
        let device = ["-machine", "none", "-device", "vfio-user-pci,help"];
        qemu.exits_with_parent = qemu
            .says(&[&["-run-with", "exit-with-parent=on"], &device[..]].concat())
            .is_ok();
        if !qemu.exits_with_parent {
            qemu.says(&device)?;
        }
        Ok(qemu)
    }

    /// Standard output of a QEMU that only says something and ends.
    fn says(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self
            .bare()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn bare(&self) -> Command {
        match &self.origin {
            Origin::Machine(path) => Command::new(path),
            Origin::Packages(prefix) => {
                let mut command = prefix.command(&format!("usr/bin/{PROGRAM}"));
                for folder in ["usr/share/qemu", "usr/share/seabios"] {
                    command.arg("-L").arg(prefix.root.join(folder));
                }
                command
            }
        }
    }

    /// A command that is killed when the calling thread ends, where that can be had: newer QEMUs
    /// see to it themselves, for others util-linux's `setpriv` does.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.bare();
        if self.exits_with_parent {
            command.args(["-run-with", "exit-with-parent=on"]);
            return command;
        }
        let setpriv = Path::new("/usr/bin/setpriv");
        if !setpriv.exists() {
            return command;
        }
        let mut wrapped = Command::new(setpriv);
        wrapped
            .args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program());
        wrapped.args(command.get_args());
        wrapped
    }
}

/// Reads `QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)`.
fn parse_version(text: &str) -> Option<Version> {
    let numbers = text.split_once("version ")?.1;
    let mut numbers = numbers.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some(Version {
        major: numbers.next()?.ok()?,
        minor: numbers.next()?.ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        let read = |text| parse_version(text).map(|version| version.to_string());
        assert_eq!(
            read("QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)\nCopyright"),
            Some("11.1".to_owned())
        );
        assert_eq!(read("QEMU emulator version 7.2.22"), Some("7.2".to_owned()));
        assert_eq!(
            read("QEMU emulator version 10.1.50 (v10.1.0-5-gabc)"),
            Some("10.1".to_owned())
        );
        assert_eq!(read("QEMU emulator"), None);
        assert_eq!(read("version x.y"), None);
        assert!(Version { major: 7, minor: 2 } < MINIMUM);
        assert!(
            Version {
                major: 10,
                minor: 0
            } < MINIMUM
        );
        assert!(
            Version {
                major: 10,
                minor: 1
            } >= MINIMUM
        );
        assert!(
            Version {
                major: 11,
                minor: 0
            } >= MINIMUM
        );
    }
}
