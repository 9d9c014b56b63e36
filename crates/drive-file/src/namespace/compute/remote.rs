//! `remote`: another machine that runs the programs.

use crate::reader::Table;
use crate::schema::{Absent, Form, Key, Section};
use crate::unit::Unit;
use crate::writer::Writer;
use ersatz_engine::Ns;
use std::fmt;

/// Fewest characters of a key.
pub const MIN_KEY: usize = 16;

pub(super) const REMOTE: Key = Key::table("remote")
    .or(Absent::Otherwise("this machine"))
    .means(
        "Another machine that runs the programs of type 0xC1: `ersatz runner`. Not in simulations. \
         What a job took there is its cost, unless `types` has another one for that type, or the \
         namespace's is other than of instructions.",
    );

const ADDRESS: Key = Key::text("address", 255, Form::Ascii)
    .means("Where the runner listens: `\"board:4420\"`, `\"[::1]:4420\"`.");
const KEY: Key = Key::text("key", 255, Form::Ascii)
    .means("The key that the runner has too, of at least 16 characters.");
const TIMEOUT: Key = Key::number("timeout", Unit::Nanoseconds, 1_000_000, 3_600_000_000_000)
    .or(Absent::Number(60_000_000_000))
    .means("How long a connection, and each step of a conversation, may take; a job as well.");
const RETRIES: Key = Key::number("retries", Unit::Count, 0, 100)
    .or(Absent::Number(1))
    .means("How often a job is tried again when the runner can't be reached, or is lost.");

/// A runner.
pub(crate) const SECTION: Section = Section {
    heading: "namespace.remote",
    keys: &[ADDRESS, KEY, TIMEOUT, RETRIES],
};

/// A machine that runs programs.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    /// `host:port`.
    pub address: String,
    /// What both sides know: at least [`MIN_KEY`] characters.
    pub key: String,
    /// How long each step of a conversation may take, 1 ms to 1 h.
    pub timeout: Ns,
    /// How often a job is tried again, at most 100 times.
    pub retries: u32,
}

/// Without the key, which is nobody else's.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The outer `None` when it is refused.
pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Option<Box<Remote>>> {
    if !table.has(&REMOTE) {
        return Some(None);
    }
    let table = &mut table.table(&REMOTE)?;
    table.finish("runner", &[&SECTION]);
    let (address, key) = (table.text(&ADDRESS), table.text(&KEY));
    let (timeout, retries) = (table.number(&TIMEOUT).map(Ns), table.number(&RETRIES));
    let (address, key) = (address?, key?);
    let port = address
        .rsplit_once(':')
        .map(|(_, port)| port.parse::<u16>());
    let has_port = matches!(port, Some(Ok(1..)));
    if !has_port {
        table.refuse(&ADDRESS, "has no port at its end".to_owned());
    }
    let long = key.len() >= MIN_KEY;
    if !long {
        table.refuse(
            &KEY,
            format!("has {} characters, fewer than {MIN_KEY}", key.len()),
        );
    }
    let remote = Remote {
        address,
        key,
        timeout: timeout?,
        retries: retries?,
    };
    (has_port && long).then(|| Some(Box::new(remote)))
}

pub(super) fn write(entries: &mut Writer, remote: Option<&Remote>) {
    let Some(remote) = remote else { return };
    let mut own = Writer::default();
    own.text(&ADDRESS, &remote.address);
    own.text(&KEY, &remote.key);
    own.number(&TIMEOUT, remote.timeout.0);
    own.number(&RETRIES, remote.retries.into());
    entries.table(&REMOTE, own);
}
