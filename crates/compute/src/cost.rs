//! What a job costs: how long it occupies a unit.

use ersatz_engine::Ns;

/// A price, in picoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picoseconds(pub u64);

impl Picoseconds {
    /// What `instructions` take, rounded up to a nanosecond.
    #[must_use]
    pub fn cost(self, instructions: u64) -> Ns {
        scaled(instructions, self.0, 1000)
    }
}

/// How fast a unit is, in thousandths of the speed that costs are given for; at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed(pub u32);

impl Speed {
    /// As fast as costs are given for.
    pub const ONE: Self = Self(1000);

    fn takes(self, work: Ns) -> Ns {
        scaled(work.0, 1000, self.0.max(1).into())
    }
}

/// What is known of a job after its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Instructions that ran.
    pub instructions: u64,
    /// Bytes that the job worked on.
    pub bytes: u64,
    /// Processor time that the run took on this host.
    pub measured: Ns,
    /// What the command says that it takes.
    pub given: Ns,
}

/// How a job's cost follows from what is known of it.
///
/// A unit's [`Speed`] counts for instructions and measured time, which are work; the other two are
/// times of the unit itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostModel {
    /// A price for each instruction: exact and repeatable.
    Instructions(Picoseconds),
    /// Processor time of this host, times this factor in thousandths. The only model whose times
    /// depend on the host.
    Measured(u32),
    /// An accelerator's: a setup, and a bandwidth for the job's bytes.
    Rate {
        /// Bytes per second, at least 1.
        bandwidth: u64,
        /// Time before the first byte.
        setup: Ns,
    },
    /// What the command says.
    Given,
}

impl CostModel {
    /// What a job costs on a unit of this speed.
    #[must_use]
    pub fn cost(&self, usage: &Usage, speed: Speed) -> Ns {
        match *self {
            Self::Instructions(price) => speed.takes(price.cost(usage.instructions)),
            Self::Measured(factor) => speed.takes(scaled(usage.measured.0, factor.into(), 1000)),
            Self::Rate { bandwidth, setup } => {
                setup + scaled(usage.bytes, 1_000_000_000, bandwidth.max(1))
            }
            Self::Given => usage.given,
        }
    }
}

/// `value` × `by` ÷ `over`, rounded up; the end of time when it is beyond.
pub(crate) fn scaled(value: u64, by: u64, over: u64) -> Ns {
    let product = u128::from(value) * u128::from(by);
    Ns(u64::try_from(product.div_ceil(u128::from(over))).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_paid_to_the_picosecond_and_rounded_up() {
        assert_eq!(Picoseconds(400).cost(1), Ns(1));
        assert_eq!(Picoseconds(400).cost(5), Ns(2));
        assert_eq!(Picoseconds(0).cost(u64::MAX), Ns(0));
    }

    #[test]
    fn each_model_counts_its_own_and_speed_counts_for_work() {
        let usage = Usage {
            instructions: 1000,
            bytes: 3_000_000,
            measured: Ns(100),
            given: Ns(77),
        };
        let rate = CostModel::Rate {
            bandwidth: 3_000_000_000,
            setup: Ns(5_000),
        };
        for (model, normal, half) in [
            (CostModel::Instructions(Picoseconds(400)), 400, 800),
            (CostModel::Measured(3000), 300, 600),
            (rate, 1_005_000, 1_005_000),
            (CostModel::Given, 77, 77),
        ] {
            assert_eq!(model.cost(&usage, Speed::ONE), Ns(normal), "{model:?}");
            assert_eq!(model.cost(&usage, Speed(500)), Ns(half), "{model:?}");
        }
    }

    #[test]
    fn nothing_overflows() {
        let all = Usage {
            instructions: u64::MAX,
            bytes: u64::MAX,
            measured: Ns::MAX,
            given: Ns::MAX,
        };
        for model in [
            CostModel::Instructions(Picoseconds(u64::MAX)),
            CostModel::Measured(u32::MAX),
            CostModel::Rate {
                bandwidth: 0,
                setup: Ns::MAX,
            },
            CostModel::Given,
        ] {
            assert_eq!(model.cost(&all, Speed(0)), Ns::MAX, "{model:?}");
        }
    }
}
