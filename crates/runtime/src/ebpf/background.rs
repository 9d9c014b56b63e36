//! The thread that compiles programs while they are interpreted: one for all drives of a process.

use super::loaded::Code;
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;

/// Programs that may wait. One that finds no place asks again later.
const QUEUE: usize = 64;

/// Runs' own threads go first: what they wait for is results.
const NICE: i32 = 10;

/// Has `code` compiled, soon.
pub fn compile(code: &Arc<Code>) {
    static SENDER: OnceLock<Option<SyncSender<Weak<Code>>>> = OnceLock::new();
    let sender = SENDER.get_or_init(|| {
        let (sender, receiver) = sync_channel(QUEUE);
        let builder = thread::Builder::new().name("ersatz-compile".into());
        let spawned = builder.spawn(move || work(&receiver));
        spawned
            .inspect_err(|error| tracing::warn!("no thread to compile programs: {error}"))
            .ok()
            .map(|_| sender)
    });
    let sent = sender
        .as_ref()
        .is_some_and(|sender| sender.try_send(Arc::downgrade(code)).is_ok());
    if !sent {
        code.postpone();
    }
}

fn work(receiver: &Receiver<Weak<Code>>) {
    // Where it is not allowed, it is no worse than any other thread.
    let _ = setpriority_process(Some(gettid()), NICE);
    for code in receiver {
        // Programs that were unloaded meanwhile need no code.
        let Some(code) = code.upgrade() else { continue };
        if code.compile().is_none() {
            code.postpone();
        }
    }
}
