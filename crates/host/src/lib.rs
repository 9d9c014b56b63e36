//! The other side of the cable: a user-space NVMe driver and the computational-storage library on it
