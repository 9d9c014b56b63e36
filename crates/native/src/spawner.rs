//! One thread that starts all children.
//!
//! The kernel ends a child when the thread that started it ends: that is how no child outlives a
//! drive that is killed. Jobs run on threads that come and go, so that none of them may be it.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;

/// Starts processes until it is dropped.
#[derive(Debug)]
pub(crate) struct Spawner {
    orders: mpsc::Sender<Order>,
}

struct Order {
    command: Command,
    answer: mpsc::Sender<io::Result<Child>>,
}

impl Spawner {
    pub(crate) fn new() -> io::Result<Self> {
        let (orders, receiver) = mpsc::channel::<Order>();
        let spawn = move || {
            for mut order in receiver {
                // Whoever ordered waits for the answer.
                let _ = order.answer.send(order.command.spawn());
            }
        };
        thread::Builder::new()
            .name("native-spawner".into())
            .spawn(spawn)?;
        Ok(Self { orders })
    }

    pub(crate) fn spawn(&self, command: Command) -> io::Result<Child> {
        let (answer, answered) = mpsc::channel();
        let order = Order { command, answer };
        self.orders
            .send(order)
            .ok()
            .and_then(|()| answered.recv().ok())
            .unwrap_or_else(|| Err(io::Error::other("the thread that starts processes is gone")))
    }
}
