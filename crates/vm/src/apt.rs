//! Debian packages without touching the machine's package database.
//!
//! apt runs with a root of its own: own configuration, own lists, an empty dpkg status. From the
//! machine come the mirror, the keys, and how to reach the mirror (proxies, credentials). The
//! machine's hooks are left out: they would run on the machine's own caches.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::error::PrepareError;
use crate::progress::Progress;
use crate::sources::{self, Source};

/// Suites that packages are taken from: the release whose kernel and tools are known to work,
/// and its backports for a QEMU that knows vfio-user.
const SUITES: [&str; 2] = ["trixie", "trixie-backports"];

/// Backports are for asking only; this asks for QEMU with everything that it is made of.
const PREFERENCES: &str = "\
Package: qemu-* seabios ipxe-qemu
Pin: release n=trixie-backports
Pin-Priority: 900
";

/// A private apt root with the archive's package lists.
pub(crate) struct Apt {
    root: TempDir,
    mirror: String,
}

impl Apt {
    /// Fetches the package lists into `root`.
    pub(crate) fn open(root: TempDir, progress: &mut dyn Progress) -> Result<Self, PrepareError> {
        let machine = Machine::read()?;
        progress.step("fetching the package lists");
        let apt = Self {
            mirror: machine.archive.uris.join(" "),
            root,
        };
        for folder in ["empty", "etc", "state/lists/partial", "log"] {
            let path = apt.path(folder);
            fs::create_dir_all(&path).map_err(PrepareError::at(&path))?;
        }
        apt.write("status", "")?;
        apt.write(
            "etc/mirror.sources",
            &sources::render(&machine.archive, &SUITES),
        )?;
        apt.write("etc/preferences", PREFERENCES)?;
        apt.write("apt.conf", &apt.configuration(&machine))?;
        // Without the error mode, a mirror that can't be reached is only a warning.
        apt.get(&["update", "-o", "APT::Update::Error-Mode=any"], progress)?;
        Ok(apt)
    }

    /// Downloads `packages` and everything they depend on into
    /// `archives`; returns the package files in the order of their names.
    pub(crate) fn download(
        &self,
        packages: &[&str],
        archives: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Vec<PathBuf>, PrepareError> {
        let partial = archives.join("partial");
        fs::create_dir_all(&partial).map_err(PrepareError::at(&partial))?;
        let option = format!("Dir::Cache::archives={}/", archives.display());
        let mut arguments = vec!["install", "--assume-yes", "--download-only", "-o", &option];
        arguments.extend_from_slice(packages);
        self.get(&arguments, progress)?;

        let mut files: Vec<PathBuf> = fs::read_dir(archives)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(PrepareError::at(archives))?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "deb"));
        files.sort();
        Ok(files)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), PrepareError> {
        let path = self.path(name);
        fs::write(&path, text).map_err(PrepareError::at(&path))
    }

    fn configuration(&self, machine: &Machine) -> String {
        let root = self.root.path().display();
        format!(
            "Dir \"{root}/\";\n\
             Dir::State \"{root}/state\";\n\
             Dir::State::status \"{root}/status\";\n\
             Dir::Cache \"{root}/cache\";\n\
             Dir::Log \"{root}/log\";\n\
             Dir::Etc \"{root}/etc\";\n\
             Dir::Etc::sourcelist \"/dev/null\";\n\
             Dir::Etc::sourceparts \"{root}/etc\";\n\
             Dir::Etc::preferencesparts \"{root}/empty\";\n\
             Dir::Etc::parts \"{root}/empty\";\n\
             Dir::Etc::main \"/dev/null\";\n\
             {}\
             APT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\n\
             APT::Install-Recommends \"false\";\n\
             APT::Install-Suggests \"false\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             # The cache may lie where the user `_apt` can't go, such as a home directory.\n\
             APT::Sandbox::User \"root\";\n",
            machine.configuration
        )
    }

    /// Runs apt-get, passing on its progress.
    fn get(&self, arguments: &[&str], progress: &mut dyn Progress) -> Result<(), PrepareError> {
        let program = Path::new("apt-get");
        // A file, because two pipes would have to be read at once.
        let errors = self.path("errors");
        let stderr = File::create(&errors).map_err(PrepareError::at(&errors))?;
        let mut child = command("apt-get")
            .env("APT_CONFIG", self.path("apt.conf"))
            .args(["--quiet", "-o", "APT::Status-Fd=1"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(not_found("apt-get"))?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                // The rest is for people, and repeated on standard error if it matters.
                if let Some(percent) = download_percent(&line.map_err(PrepareError::at(program))?) {
                    progress.percent(percent);
                }
            }
        }
        let status = child.wait().map_err(PrepareError::at(program))?;
        if status.success() {
            return Ok(());
        }
        let output = fs::read_to_string(&errors).map_err(PrepareError::at(&errors))?;
        Err(self.failure(arguments[0], output))
    }

    /// Names the cause of apt's failure where a user can do something about it.
    fn failure(&self, verb: &str, output: String) -> PrepareError {
        let says = |needles: &[&str]| needles.iter().any(|needle| output.contains(needle));
        let mirror = self.mirror.clone();
        if says(&["enough free space", "No space left", "Disk quota"]) {
            PrepareError::NoSpace {
                path: self.root.path().to_owned(),
            }
        } else if says(&[
            "NO_PUBKEY",
            "is not signed",
            "Missing key",
            "couldn't be verified",
        ]) {
            PrepareError::Keyring { mirror, output }
        } else if says(&["resolving", "resolve", "onnect", "timed out", "unreachable"]) {
            PrepareError::Network { mirror, output }
        } else {
            PrepareError::Package {
                what: format!("apt-get {verb} (mirror {mirror})"),
                output,
            }
        }
    }
}

/// Extracts a package's files below `root`.
pub(crate) fn extract(package: &Path, root: &Path) -> Result<(), PrepareError> {
    let output = command("dpkg-deb")
        .arg("--extract")
        .args([package, root])
        .output()
        .map_err(not_found("dpkg-deb"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(
        if text.contains("No space left") || text.contains("Disk quota") {
            PrepareError::NoSpace {
                path: root.to_owned(),
            }
        } else {
            let name = package.file_name().unwrap_or_default().to_string_lossy();
            PrepareError::Package {
                what: format!("dpkg-deb --extract {name}"),
                output: text,
            }
        },
    )
}

/// What is taken over from the machine.
struct Machine {
    archive: Source,
    /// Lines of apt's configuration: how to download, credentials and keys.
    configuration: String,
}

impl Machine {
    fn read() -> Result<Self, PrepareError> {
        let paths = apt_config(&[
            "shell",
            "list",
            "Dir::Etc::sourcelist/f",
            "parts",
            "Dir::Etc::sourceparts/d",
            "netrc",
            "Dir::Etc::netrc/f",
            "netrcparts",
            "Dir::Etc::netrcparts/d",
            "trusted",
            "Dir::Etc::trusted/f",
            "trustedparts",
            "Dir::Etc::trustedparts/d",
        ])?;
        let path = |name| shell_value(&paths, name).unwrap_or_default();

        let mut found =
            read(Path::new(path("list"))).map_or_else(Vec::new, |t| sources::parse_list(&t));
        let folder = Path::new(path("parts"));
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .map(|entries| {
                entries
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .collect()
            })
            .unwrap_or_default();
        files.sort();
        for file in files {
            let extension = file.extension().and_then(|extension| extension.to_str());
            match (extension, read(&file)) {
                (Some("list"), Some(text)) => found.extend(sources::parse_list(&text)),
                (Some("sources"), Some(text)) => found.extend(sources::parse_deb822(&text)),
                _ => {}
            }
        }

        let release = read(Path::new("/etc/os-release")).unwrap_or_default();
        let is_debian = shell_value(&release, "ID") == Some("debian");
        let codename = is_debian
            .then(|| shell_value(&release, "VERSION_CODENAME"))
            .flatten();
        let archive = sources::debian_archive(&found, codename).ok_or_else(|| {
            let name = shell_value(&release, "PRETTY_NAME").or(shell_value(&release, "ID"));
            PrepareError::NotDebian {
                distribution: name.unwrap_or("unknown distribution").to_owned(),
                folder: folder.display().to_string(),
            }
        })?;

        let mut configuration = acquire(&apt_config(&["dump", "Acquire"])?);
        for (option, name) in [
            ("netrc", "netrc"),
            ("netrcparts", "netrcparts"),
            ("trusted", "trusted"),
            ("trustedparts", "trustedparts"),
        ] {
            configuration.push_str(&format!("Dir::Etc::{option} \"{}\";\n", path(name)));
        }
        Ok(Self {
            archive,
            configuration,
        })
    }
}

/// How the machine downloads, without what it downloads besides packages.
fn acquire(dump: &str) -> String {
    let other = [
        "Acquire::IndexTargets",
        "Acquire::Changelogs",
        "Acquire::Languages",
    ];
    dump.lines()
        .filter(|line| line.starts_with("Acquire::"))
        .filter(|line| !other.iter().any(|prefix| line.starts_with(prefix)))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The percentage in a `dlstatus:<count>:<percent>:<text>` line of apt.
fn download_percent(line: &str) -> Option<u8> {
    let percent = line.strip_prefix("dlstatus:")?.split(':').nth(1)?;
    let whole = percent.split('.').next()?.parse::<u8>().ok()?;
    Some(whole.min(100))
}

/// The value of `name=value` in lines for a shell, without its quotes.
fn shell_value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .map(|value| value.trim().trim_matches(['\'', '"']))
}

fn apt_config(arguments: &[&str]) -> Result<String, PrepareError> {
    let output = command("apt-config")
        .args(arguments)
        .output()
        .map_err(not_found("apt-config"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A program of the distribution, speaking a language that can be read by a program.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C");
    command
}

fn not_found(program: &'static str) -> impl FnOnce(std::io::Error) -> PrepareError {
    move |source| match source.kind() {
        std::io::ErrorKind::NotFound => PrepareError::NoApt { program },
        _ => PrepareError::Io {
            path: program.into(),
            source,
        },
    }
}

/// A file of the machine's configuration; one that can't be read is as good as absent.
fn read(path: &Path) -> Option<String> {
    fs::read(path)
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_proxy_is_kept_and_its_other_indexes_are_not() {
        let dump = "Acquire \"\";\nAcquire::http::Proxy \"http://proxy.example:3128\";\n\
                    Acquire::IndexTargets::deb::DEP-11::MetaKey \"x\";\nAcquire::Languages \"de\";\n";
        assert_eq!(
            acquire(dump),
            "Acquire::http::Proxy \"http://proxy.example:3128\";\n"
        );
    }

    #[test]
    fn download_progress_is_read_from_status_lines_only() {
        assert_eq!(
            download_percent("dlstatus:17:42.5000:Retrieving file 17 of 90"),
            Some(42)
        );
        assert_eq!(
            download_percent("Get:1 http://m.example/debian trixie InRelease"),
            None
        );
        assert_eq!(download_percent("dlstatus:x"), None);
    }

    #[test]
    fn shell_values_lose_their_quotes() {
        let text = "ID=debian\nVERSION_ID=\"13\"\nnetrc='/etc/apt/auth.conf'\n";
        assert_eq!(shell_value(text, "ID"), Some("debian"));
        assert_eq!(shell_value(text, "VERSION_ID"), Some("13"));
        assert_eq!(shell_value(text, "netrc"), Some("/etc/apt/auth.conf"));
        assert_eq!(shell_value(text, "VERSION"), None);
    }
}
