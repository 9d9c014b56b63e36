//! The NVMe controller, its queues and command sets
