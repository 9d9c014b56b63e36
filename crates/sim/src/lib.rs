//! Workloads and traces through the drive in virtual time
