//! The machine's package sources, and the Debian archive among them.
//!
//! apt reads two formats: one line per source (`*.list`) and RFC 822-like stanzas (`*.sources`).
//! Only what choosing a mirror needs is read; apt itself sees the chosen source again and judges it.

use std::fmt::Write as _;

/// One source of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// Mirrors of one archive; apt takes the first that works.
    pub uris: Vec<String>,
    pub suites: Vec<String>,
    pub components: Vec<String>,
    /// Keyring's path, fingerprint or embedded key, as the field's text (it may have several lines).
    pub signed_by: Option<String>,
    /// `yes` switches signature checks off, as the machine's administrator chose to.
    pub trusted: Option<String>,
}

/// Suites of the Debian archive itself. Later code names come from the machine's os-release.
const SUITES: [&str; 12] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// Binary sources of a one-line-format file.
pub(crate) fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?;
    if !rest.starts_with(char::is_whitespace) {
        return None; // deb-src
    }
    let mut source = Source::default();
    rest = rest.trim_start();
    if let Some(bracket) = rest.strip_prefix('[') {
        let (options, after) = bracket.split_once(']')?;
        for (key, value) in options.split_whitespace().filter_map(|o| o.split_once('=')) {
            match key {
                "signed-by" => source.signed_by = Some(value.replace(',', " ")),
                "trusted" => source.trusted = Some(value.to_owned()),
                _ => {}
            }
        }
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    source.uris.push(words.next()?);
    source.suites.push(words.next()?);
    source.components = words.collect();
    Some(source)
}

/// Enabled binary sources of a deb822-format file.
pub(crate) fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    // A blank line at the end closes the last stanza.
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza(&fields));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza(fields: &[(String, String)]) -> Option<Source> {
    let field = |name: &str| {
        fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
    };
    let words = |name: &str| -> Vec<String> {
        let value = field(name).unwrap_or_default();
        value.split_whitespace().map(str::to_owned).collect()
    };
    let off = ["no", "false", "without", "off", "disable", "0"];
    if field("enabled").is_some_and(|value| off.contains(&value.to_ascii_lowercase().as_str())) {
        return None;
    }
    words("types")
        .iter()
        .any(|kind| kind == "deb")
        .then(|| Source {
            uris: words("uris"),
            suites: words("suites"),
            components: words("components"),
            signed_by: field("signed-by"),
            trusted: field("trusted"),
        })
}

/// The Debian archive among the machine's sources. `codename` is the machine's own release if it
/// is a Debian. Third parties publish under Debian's suite names too, so a source that looks like
/// the archive itself (its path ends in `/debian`, or Debian's keyring signs it) is preferred.
pub(crate) fn debian_archive(sources: &[Source], codename: Option<&str>) -> Option<Source> {
    let ours =
        |suite: &String| SUITES.contains(&suite.as_str()) || Some(suite.as_str()) == codename;
    let looks_like_it = |source: &Source| {
        let path = source
            .uris
            .iter()
            .any(|uri| uri.trim_end_matches('/').ends_with("/debian"));
        let key = source
            .signed_by
            .as_deref()
            .is_some_and(|key| key.contains("debian-archive"));
        u8::from(path) + u8::from(key)
    };
    sources
        .iter()
        .filter(|source| {
            source
                .components
                .iter()
                .any(|component| component == "main")
        })
        .filter(|source| source.suites.iter().any(ours))
        .filter(|source| source.uris.iter().any(|uri| !uri.starts_with("cdrom:")))
        // The first of the best: `max_by_key` would take the last.
        .rev()
        .max_by_key(|source| looks_like_it(source))
        .cloned()
        .map(|mut source| {
            source.uris.retain(|uri| !uri.starts_with("cdrom:"));
            source
        })
}

/// The deb822 text of `archive` with other suites.
pub(crate) fn render(archive: &Source, suites: &[&str]) -> String {
    let mut text = format!(
        "Types: deb\nURIs: {}\nSuites: {}\nComponents: main\n",
        archive.uris.join(" "),
        suites.join(" ")
    );
    for (name, value) in [
        ("Signed-By", &archive.signed_by),
        ("Trusted", &archive.trusted),
    ] {
        if let Some(value) = value {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{name}: {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
# The image's sources
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
# a comment inside
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main
";

    #[test]
    fn deb822_stanzas_of_binaries_that_are_enabled_are_read() {
        let sources = parse_deb822(DEB822);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uris, ["http://mirror.example/debian"]);
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(
            sources[0].signed_by.as_deref(),
            Some("/usr/share/keyrings/debian-archive-keyring.gpg")
        );
        assert_eq!(sources[1].suites, ["bookworm-security"]);
    }

    #[test]
    fn an_embedded_key_survives_reading_and_rendering() {
        let text = "Types: deb\nURIs: https://m.example/debian\nSuites: sid\nComponents: main\n\
                    Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDME\n";
        let sources = parse_deb822(text);
        let again = parse_deb822(&render(&sources[0], &["trixie", "trixie-backports"]));
        assert_eq!(again[0].suites, ["trixie", "trixie-backports"]);
        assert_eq!(again[0].signed_by, sources[0].signed_by);
        assert!(
            again[0]
                .signed_by
                .as_deref()
                .is_some_and(|key| key.ends_with("\n mDME"))
        );
    }

    #[test]
    fn one_line_sources_with_options_and_comments_are_read() {
        let sources = parse_list(
            "# deb http://comment.example/debian bookworm main\n\
             deb-src http://src.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/k/a.gpg,/k/b.gpg] http://a.example/debian bookworm main contrib # why\n\
             deb http://flat.example/ ./\n\
             deb\n",
        );
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].signed_by.as_deref(), Some("/k/a.gpg /k/b.gpg"));
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(sources[1].suites, ["./"]);
    }

    #[test]
    fn the_archive_is_told_from_third_parties_and_from_its_security_branch() {
        let sources = parse_list(
            "deb cdrom:[Debian]/ bookworm main\n\
             deb https://packages.vendor.example/apt bookworm main\n\
             deb http://mirror.example/debian-security bookworm-security main\n\
             deb http://mirror.example/debian/ bookworm main\n\
             deb http://other.example/debian bookworm main\n",
        );
        let archive = debian_archive(&sources, None).expect("there is one");
        assert_eq!(archive.uris, ["http://mirror.example/debian/"]);
    }

    #[test]
    fn another_distribution_has_no_debian_archive() {
        let sources = parse_list("deb http://archive.example/ubuntu noble main universe\n");
        assert_eq!(debian_archive(&sources, None), None);
    }

    #[test]
    fn a_release_of_the_future_is_known_from_the_machine_itself() {
        let sources = parse_list("deb http://mirror.example/debian newname main\n");
        assert_eq!(debian_archive(&sources, None), None);
        assert!(debian_archive(&sources, Some("newname")).is_some());
    }
}
