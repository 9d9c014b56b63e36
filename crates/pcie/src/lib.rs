//! PCI function: configuration space, BARs, MSI-X, and the traits between a drive and its host
