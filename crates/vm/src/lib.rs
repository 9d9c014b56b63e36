//! A stock Linux guest in a stock QEMU, fetched from the distribution's packages
