//! How the two sides know each other: a challenge each, and an HMAC over both with the key.

use crate::wire::{self, WireError};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::io::{Read, Write};

/// Bytes of a challenge and of a proof.
const LEN: usize = 32;
/// What a runner says first: what it is, and the version of what it speaks.
const GREETING: [u8; 8] = *b"ERSATZR\x01";

/// What a drive and its runners share.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// Fewest bytes of a key.
    pub const MIN: usize = 16;

    /// The key of these bytes; `None` when they are fewer than [`Key::MIN`].
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() >= Self::MIN).then_some(Self(bytes))
    }

    fn mac(&self, who: &[u8], challenges: &[[u8; LEN]; 2]) -> Result<Hmac<Sha256>, WireError> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0);
        // HMAC takes keys of any length.
        let mut mac = mac.map_err(|_| WireError::Protocol("a key that can't be used"))?;
        mac.update(who);
        mac.update(challenges.as_flattened());
        Ok(mac)
    }

    fn proof(&self, who: &[u8], challenges: &[[u8; LEN]; 2]) -> Result<[u8; LEN], WireError> {
        Ok(self.mac(who, challenges)?.finalize().into_bytes().into())
    }

    /// Takes as long whatever is wrong.
    fn check(
        &self,
        who: &[u8],
        challenges: &[[u8; LEN]; 2],
        proof: &[u8; LEN],
    ) -> Result<(), WireError> {
        let mac = self.mac(who, challenges)?;
        mac.verify_slice(proof).map_err(|_| WireError::Stranger)
    }
}

impl fmt::Debug for Key {
    /// Says nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

fn challenge() -> Result<[u8; LEN], WireError> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).map_err(|_| WireError::Protocol("no random numbers"))?;
    Ok(bytes)
}

/// The drive's side.
pub fn introduce(key: &Key, peer: &mut (impl Read + Write)) -> Result<(), WireError> {
    let greeting: [u8; 8] = wire::array(peer)?;
    if greeting != GREETING {
        return Err(WireError::Protocol("no runner of this version"));
    }
    let challenges = [wire::array(peer)?, challenge()?];
    peer.write_all(&challenges[1])?;
    peer.write_all(&key.proof(b"drive", &challenges)?)?;
    peer.flush()?;
    // A runner that does not know us just closes.
    let proof = wire::array(peer).map_err(|_| WireError::Stranger)?;
    key.check(b"runner", &challenges, &proof)
}

/// The runner's side.
pub fn recognise(key: &Key, peer: &mut (impl Read + Write)) -> Result<(), WireError> {
    let first = challenge()?;
    peer.write_all(&GREETING)?;
    peer.write_all(&first)?;
    peer.flush()?;
    let challenges = [first, wire::array(peer)?];
    let proof = wire::array(peer)?;
    key.check(b"drive", &challenges, &proof)?;
    peer.write_all(&key.proof(b"runner", &challenges)?)?;
    Ok(peer.flush()?)
}
