//! A function behind a vfio-user socket.
