//! Features: what a host can set (Base, 5.1.25 and 5.1.17).

use crate::controller::ControllerConfig;
use crate::error::NvmeError;
use ersatz_engine::Ns;
use nvme_spec::admin::{AsyncEvent, AsyncEventType};
use nvme_spec::feature::{
    Arbitration, AsyncEventConfiguration, ErrorRecovery, FeatureCapabilities, HostBehaviorSupport,
    InterruptVectorConfiguration, IocsProfile, NumberOfQueues, PowerManagement, Select,
    TemperatureThreshold, VolatileWriteCache,
};
use nvme_spec::log::{FeatureEffects, Scope};
use nvme_spec::{Fid, Lid, Status};
use std::collections::BTreeMap;
use zerocopy::{FromBytes, IntoBytes};

/// Copy descriptor formats that a host has to enable before it uses them, and can: blocks of any
/// namespace, in both sizes, and memory.
const COPY_FORMATS: u16 = 0b1_1100;
/// Over which composite temperature a warning is due by default, in kelvins.
const WARNING_TEMPERATURE: u16 = 343;

/// One feature's value in its three forms.
#[derive(Clone, Copy, Debug)]
struct Value {
    current: u32,
    default: u32,
    saved: Option<u32>,
    saveable: bool,
}

/// All features of a controller.
#[derive(Debug)]
pub struct Features {
    values: BTreeMap<Fid, Value>,
    /// Interrupt vectors for which coalescing is disabled.
    coalescing_disabled: Vec<bool>,
    thresholds: BTreeMap<u32, u16>,
    queues: u16,
    /// Milliseconds that the host gave, and when it gave them.
    timestamp: Option<(u64, Ns)>,
    host_behavior: HostBehaviorSupport,
    host_identifier: [u8; 16],
    /// The volatile write cache is disabled: kept apart, because every write asks.
    write_through: bool,
}

/// Features that are a plain dword: default, and whether it can be saved.
const PLAIN: [(Fid, u32, bool); 10] = [
    // A burst without limit: fetches are bounded by their own size.
    (Fid::Arbitration, 7, true),
    (Fid::PowerManagement, 0, true),
    (Fid::ErrorRecovery, 0, true),
    // Only drives that have such a cache show it.
    (Fid::VolatileWriteCache, 1, true),
    (Fid::InterruptCoalescing, 0, true),
    (Fid::WriteAtomicityNormal, 0, true),
    (Fid::AsyncEventConfiguration, 0, true),
    (Fid::NumberOfQueues, 0, false),
    (Fid::IocsProfile, 0, false),
    (Fid::SoftwareProgressMarker, 0, true),
];

impl Features {
    /// The features after power-on.
    #[must_use]
    pub fn new(config: ControllerConfig) -> Self {
        let queues = NumberOfQueues::new()
            .with_nsq_z(config.queues - 1)
            .with_ncq_z(config.queues - 1)
            .into_bits();
        let values = PLAIN.iter().map(|&(fid, default, saveable)| {
            let default = if fid == Fid::NumberOfQueues {
                queues
            } else {
                default
            };
            (
                fid,
                Value {
                    current: default,
                    default,
                    saved: None,
                    saveable,
                },
            )
        });
        Self {
            values: values.collect(),
            coalescing_disabled: vec![false; usize::from(config.vectors())],
            thresholds: BTreeMap::new(),
            queues: config.queues,
            timestamp: None,
            host_behavior: HostBehaviorSupport::default(),
            host_identifier: [0; 16],
            write_through: false,
        }
    }

    /// A controller reset: values become the saved ones, or the defaults.
    pub fn reset(&mut self) {
        for value in self.values.values_mut() {
            value.current = value.saved.unwrap_or(value.default);
        }
        self.coalescing_disabled.fill(false);
        self.thresholds.clear();
        self.host_behavior = HostBehaviorSupport::default();
        self.host_identifier = [0; 16];
        self.notice_cache();
    }

    fn notice_cache(&mut self) {
        let cache = VolatileWriteCache::from_bits(self.current(Fid::VolatileWriteCache));
        self.write_through = !cache.wce();
    }

    /// Whether writes are done only when they are non-volatile: the host has disabled the volatile
    /// write cache.
    #[must_use]
    pub fn write_through(&self) -> bool {
        self.write_through
    }

    /// Copy descriptor formats that the host has enabled: bit *n* for format *n*.
    #[must_use]
    pub fn copy_formats(&self) -> u16 {
        self.host_behavior.cdfe
    }

    fn set_host_behavior(&mut self, data: &[u8]) -> Result<(), NvmeError> {
        let behavior = HostBehaviorSupport::read_from_bytes(data)
            .map_err(|_| NvmeError::from(Status::INTERNAL_ERROR))?;
        if behavior.cdfe & !COPY_FORMATS != 0 {
            let reason = format!("copy descriptor formats {:#06x}", behavior.cdfe);
            return Err(NvmeError::field(reason));
        }
        self.host_behavior = behavior;
        Ok(())
    }

    fn current(&self, fid: Fid) -> u32 {
        self.values.get(&fid).map_or(0, |value| value.current)
    }

    /// Commands that are taken from one queue before the next has its turn.
    #[must_use]
    pub fn burst(&self) -> usize {
        match Arbitration::from_bits(self.current(Fid::Arbitration)).ab() {
            7 => usize::MAX,
            ab => 1 << ab,
        }
    }

    /// Whether the host wants to be told of `event`. Errors are always told.
    #[must_use]
    pub fn wants(&self, event: AsyncEvent) -> bool {
        let enabled =
            AsyncEventConfiguration::from_bits(self.current(Fid::AsyncEventConfiguration));
        if event.aet() != AsyncEventType::Notice {
            return true;
        }
        match event.lid() {
            Lid::ChangedAttachedNamespaces => enabled.nsan(),
            Lid::FirmwareSlot => enabled.fan(),
            Lid::ReachabilityGroups => enabled.rgrp(),
            Lid::ReachabilityAssociations => enabled.rassn(),
            _ => false,
        }
    }

    /// Bytes of data that a feature has; 0 when it fits into a dword.
    #[must_use]
    pub fn data_len(fid: Fid, cdw11: u32) -> usize {
        match fid {
            Fid::Timestamp => 8,
            Fid::HostBehaviorSupport => size_of::<HostBehaviorSupport>(),
            Fid::HostIdentifier => host_identifier_len(cdw11),
            _ => 0,
        }
    }

    /// Get Features: the dword of the completion; `data` is filled for features that have some.
    ///
    /// # Errors
    /// When the controller does not have the feature.
    pub fn get(
        &self,
        now: Ns,
        fid: Fid,
        select: Select,
        cdw11: u32,
        data: &mut [u8],
    ) -> Result<u32, NvmeError> {
        if select == Select::Supported {
            return self.capabilities(fid).map(FeatureCapabilities::into_bits);
        }
        if !matches!(select, Select::Current | Select::Default | Select::Saved) {
            return Err(NvmeError::field("SEL is reserved"));
        }
        let is_current = select == Select::Current;
        match fid {
            Fid::Timestamp => {
                let value = if is_current { self.timestamp(now) } else { 0 };
                data.copy_from_slice(&value.to_le_bytes());
                Ok(0)
            }
            Fid::HostBehaviorSupport => {
                data.fill(0);
                if is_current {
                    data.copy_from_slice(self.host_behavior.as_bytes());
                }
                Ok(0)
            }
            Fid::HostIdentifier => {
                data.fill(0);
                if is_current {
                    data.copy_from_slice(&self.host_identifier[..data.len()]);
                }
                Ok(0)
            }
            Fid::TemperatureThreshold => self.threshold(cdw11, is_current),
            Fid::InterruptVectorConfiguration => {
                let iv = InterruptVectorConfiguration::from_bits(cdw11).iv();
                let disabled = self.coalescing_disabled.get(usize::from(iv)).copied();
                let disabled = disabled.ok_or_else(|| NvmeError::field("no such vector"))?;
                let value = InterruptVectorConfiguration::new().with_iv(iv);
                Ok(value.with_cd(disabled && is_current).into_bits())
            }
            _ => {
                let value = self.values.get(&fid).ok_or_else(|| unknown(fid))?;
                Ok(match select {
                    Select::Current => value.current,
                    Select::Saved => value.saved.unwrap_or(value.default),
                    _ => value.default,
                })
            }
        }
    }

    /// What Log Page 12h says of a feature; `None` when the controller does not have it.
    #[must_use]
    pub fn effects(&self, fid: Fid) -> Option<FeatureEffects> {
        let per_namespace = self.capabilities(fid).ok()?.namespace_specific();
        let scope = Scope::new()
            .with_namespace(per_namespace)
            .with_controller(!per_namespace);
        Some(FeatureEffects::new().with_fsupp(true).with_fsp(scope))
    }

    fn capabilities(&self, fid: Fid) -> Result<FeatureCapabilities, NvmeError> {
        let all = FeatureCapabilities::new().with_changeable(true);
        match fid {
            Fid::Timestamp
            | Fid::HostBehaviorSupport
            | Fid::HostIdentifier
            | Fid::TemperatureThreshold
            | Fid::InterruptVectorConfiguration => Ok(all),
            // Its values are with the namespaces.
            Fid::NamespaceWriteProtection => Ok(all.with_namespace_specific(true)),
            _ => {
                let value = self.values.get(&fid).ok_or_else(|| unknown(fid))?;
                let per_namespace = fid == Fid::ErrorRecovery;
                Ok(all
                    .with_saveable(value.saveable)
                    .with_namespace_specific(per_namespace))
            }
        }
    }

    /// Set Features: the dword of the completion. `data` is the host's, for features that have
    /// some; `queues_exist` says whether I/O queues have been created.
    ///
    /// # Errors
    /// When the controller does not have the feature, or can't take the value.
    pub fn set(
        &mut self,
        now: Ns,
        fid: Fid,
        save: bool,
        cdw11: u32,
        data: &[u8],
        queues_exist: bool,
    ) -> Result<u32, NvmeError> {
        let capabilities = self.capabilities(fid)?;
        if save && !capabilities.saveable() {
            return Err(Status::FEATURE_NOT_SAVEABLE.into());
        }
        match fid {
            Fid::Timestamp => {
                let bytes: [u8; 8] = data.try_into().unwrap_or_default();
                self.timestamp = Some((u64::from_le_bytes(bytes) & ((1 << 48) - 1), now));
            }
            Fid::HostBehaviorSupport => self.set_host_behavior(data)?,
            Fid::HostIdentifier => self.host_identifier[..data.len()].copy_from_slice(data),
            Fid::TemperatureThreshold => self.set_threshold(cdw11)?,
            Fid::InterruptVectorConfiguration => {
                let value = InterruptVectorConfiguration::from_bits(cdw11);
                let slot = self.coalescing_disabled.get_mut(usize::from(value.iv()));
                *slot.ok_or_else(|| NvmeError::field("no such vector"))? = value.cd();
            }
            _ => return self.set_plain(fid, save, cdw11, queues_exist),
        }
        Ok(0)
    }

    fn set_plain(
        &mut self,
        fid: Fid,
        save: bool,
        cdw11: u32,
        queues_exist: bool,
    ) -> Result<u32, NvmeError> {
        match fid {
            Fid::PowerManagement if PowerManagement::from_bits(cdw11).ps() != 0 => {
                return Err(NvmeError::field("there is one power state, 0"));
            }
            Fid::ErrorRecovery if ErrorRecovery::from_bits(cdw11).dulbe() => {
                return Err(NvmeError::field(
                    "deallocated blocks read as zeroes, never an error",
                ));
            }
            Fid::IocsProfile if IocsProfile::from_bits(cdw11).iocsci() != 0 => {
                let reason = "there is one combination of I/O command sets, 0";
                return Err(NvmeError::new(Status::IOCS_COMBINATION_REJECTED, reason));
            }
            Fid::NumberOfQueues => return self.set_queues(cdw11, queues_exist),
            _ => {}
        }
        let value = self.values.get_mut(&fid).ok_or_else(|| unknown(fid))?;
        value.current = cdw11;
        if save {
            value.saved = Some(cdw11);
        }
        self.notice_cache();
        Ok(0)
    }

    fn set_queues(&mut self, cdw11: u32, queues_exist: bool) -> Result<u32, NvmeError> {
        let asked = NumberOfQueues::from_bits(cdw11);
        if queues_exist {
            let reason = "the number of queues can't change while there are I/O queues";
            return Err(NvmeError::new(Status::COMMAND_SEQUENCE_ERROR, reason));
        }
        if asked.nsq_z() == u16::MAX || asked.ncq_z() == u16::MAX {
            return Err(NvmeError::field("65536 queues"));
        }
        // All queues are always there, whatever was asked for.
        let queues = self.queues - 1;
        Ok(NumberOfQueues::new()
            .with_nsq_z(queues)
            .with_ncq_z(queues)
            .into_bits())
    }

    /// Temperature Threshold: which sensor and side are in CDW11, also for Get Features.
    fn threshold(&self, cdw11: u32, is_current: bool) -> Result<u32, NvmeError> {
        let asked = TemperatureThreshold::from_bits(cdw11);
        let (sensor, side) = (asked.tmpsel(), asked.thsel());
        if sensor > 0 || side > 1 {
            return Err(NvmeError::field(
                "the composite temperature is the only one",
            ));
        }
        let default = if side == 0 { WARNING_TEMPERATURE } else { 0 };
        let set = self
            .thresholds
            .get(&u32::from(side))
            .copied()
            .filter(|_| is_current);
        Ok(asked.with_tmpth(set.unwrap_or(default)).into_bits())
    }

    fn set_threshold(&mut self, cdw11: u32) -> Result<(), NvmeError> {
        let value = TemperatureThreshold::from_bits(cdw11);
        self.threshold(cdw11, false)?;
        self.thresholds
            .insert(u32::from(value.thsel()), value.tmpth());
        Ok(())
    }

    fn timestamp(&self, now: Ns) -> u64 {
        let Some((start, at)) = self.timestamp else {
            return now.0 / 1_000_000;
        };
        /// Timestamp Origin: set by the host.
        const SET_BY_HOST: u64 = 1 << 49;
        let ms = start.wrapping_add((now - at).0 / 1_000_000) & ((1 << 48) - 1);
        ms | SET_BY_HOST
    }
}

fn host_identifier_len(cdw11: u32) -> usize {
    if cdw11 & 1 != 0 { 16 } else { 8 }
}

fn unknown(fid: Fid) -> NvmeError {
    NvmeError::field(format!("feature {fid:?} is not supported"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Features {
        Features::new(ControllerConfig {
            id: 0,
            queues: 4,
            entries: 64,
            max_transfer: 1 << 20,
            admin_latency: Ns::ZERO,
            firmware: None,
        })
    }

    #[test]
    fn a_saved_value_survives_a_reset_and_an_unsaved_one_does_not() {
        let mut features = features();
        let fid = Fid::AsyncEventConfiguration;
        features
            .set(Ns(0), fid, true, 0x100, &[], false)
            .expect("saveable");
        features
            .set(Ns(0), fid, false, 0x300, &[], false)
            .expect("changeable");
        let get = |features: &Features, select| features.get(Ns(0), fid, select, 0, &mut []);
        assert_eq!(get(&features, Select::Current), Ok(0x300));
        assert_eq!(get(&features, Select::Saved), Ok(0x100));
        assert_eq!(get(&features, Select::Default), Ok(0));
        assert_eq!(get(&features, Select::Supported), Ok(0b101));
        features.reset();
        assert_eq!(get(&features, Select::Current), Ok(0x100));
    }

    #[test]
    fn number_of_queues_is_what_there_is_and_fixed_once_queues_exist() {
        let mut features = features();
        let fid = Fid::NumberOfQueues;
        assert_eq!(
            features.set(Ns(0), fid, false, 0x0007_0007, &[], false),
            Ok(0x0003_0003)
        );
        let late = features
            .set(Ns(0), fid, false, 0, &[], true)
            .expect_err("too late");
        assert_eq!(late.status.code(), Status::COMMAND_SEQUENCE_ERROR);
    }

    #[test]
    fn the_timestamp_goes_on_from_what_the_host_set() {
        let mut features = features();
        let set = 1_000u64.to_le_bytes();
        features
            .set(Ns(0), Fid::Timestamp, false, 0, &set, false)
            .expect("changeable");
        let mut data = [0; 8];
        let now = Ns::from_ms(25);
        features
            .get(now, Fid::Timestamp, Select::Current, 0, &mut data)
            .expect("there");
        assert_eq!(u64::from_le_bytes(data), 1_025 | 1 << 49);
    }

    #[test]
    fn what_the_drive_has_not_is_refused() {
        let mut features = features();
        let code = |result: Result<u32, NvmeError>| result.expect_err("refused").status.code();
        let mut set = |fid, cdw11| code(features.set(Ns(0), fid, false, cdw11, &[], false));
        assert_eq!(set(Fid::PowerManagement, 1), Status::INVALID_FIELD);
        assert_eq!(set(Fid::IocsProfile, 1), Status::IOCS_COMBINATION_REJECTED);
        assert_eq!(set(Fid::HostMemoryBuffer, 1), Status::INVALID_FIELD);
        assert_eq!(
            set(Fid::InterruptVectorConfiguration, 5),
            Status::INVALID_FIELD
        );
        let saved = features.set(Ns(0), Fid::NumberOfQueues, true, 0, &[], false);
        assert_eq!(code(saved), Status::FEATURE_NOT_SAVEABLE);
    }
}
