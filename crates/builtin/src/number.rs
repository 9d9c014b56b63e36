//! Numbers in memory: little-endian, aligned or not.

use crate::job::failed;
use ersatz_runtime::Fault;

/// The type of a number, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Kind {
    /// Type code `code`.
    pub(crate) fn of(code: u64) -> Result<Self, Fault> {
        Ok(match code {
            1 => Self::U8,
            2 => Self::U16,
            3 => Self::U32,
            4 => Self::U64,
            5 => Self::I8,
            6 => Self::I16,
            7 => Self::I32,
            8 => Self::I64,
            9 => Self::F32,
            10 => Self::F64,
            _ => return Err(failed(format!("{code} is not the code of a type"))),
        })
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// Calls `$function::<T>(arguments)` with the type of `$kind`.
macro_rules! with_type {
    ($kind:expr, $function:ident ( $($argument:expr),* )) => {
        match $kind {
            $crate::number::Kind::U8 => $function::<u8>($($argument),*),
            $crate::number::Kind::U16 => $function::<u16>($($argument),*),
            $crate::number::Kind::U32 => $function::<u32>($($argument),*),
            $crate::number::Kind::U64 => $function::<u64>($($argument),*),
            $crate::number::Kind::I8 => $function::<i8>($($argument),*),
            $crate::number::Kind::I16 => $function::<i16>($($argument),*),
            $crate::number::Kind::I32 => $function::<i32>($($argument),*),
            $crate::number::Kind::I64 => $function::<i64>($($argument),*),
            $crate::number::Kind::F32 => $function::<f32>($($argument),*),
            $crate::number::Kind::F64 => $function::<f64>($($argument),*),
        }
    };
}
pub(crate) use with_type;

/// How many partial results are kept: enough for the widest registers, and always the same, so
/// that floating-point results are.
pub(crate) const LANES: usize = 16;

/// A number that can be read from memory.
pub(crate) trait Number: Copy + PartialOrd {
    /// Partial sums: of 64-bit integers, or of doubles.
    type Sum: Default + Copy;

    /// Not less than any number.
    const HIGHEST: Self;
    /// Not greater than any number.
    const LOWEST: Self;

    /// The number at the beginning of `bytes`, which must be long enough.
    fn read(bytes: &[u8]) -> Self;
    /// Puts the number at place `i` into lane `i % LANES`.
    fn spread<L: Copy>(bytes: &[u8], lanes: &mut [L; LANES], step: impl Fn(L, Self) -> L);
    fn add(sum: Self::Sum, number: Self) -> Self::Sum;
    fn total(lanes: [Self::Sum; LANES]) -> u64;
    /// The lesser of two; the other one where one is not a number.
    fn lesser(self, other: Self) -> Self;
    /// The greater of two; the other one where one is not a number.
    fn greater(self, other: Self) -> Self;
    /// As a return value: extended to 64 bits, floating-point numbers as a double.
    fn widen(self) -> u64;
}

macro_rules! memory {
    ($type:ty) => {
        #[inline]
        fn read(bytes: &[u8]) -> Self {
            let mut own = [0; size_of::<Self>()];
            own.copy_from_slice(&bytes[..size_of::<Self>()]);
            Self::from_le_bytes(own)
        }

        #[inline(always)]
        fn spread<L: Copy>(bytes: &[u8], lanes: &mut [L; LANES], step: impl Fn(L, Self) -> L) {
            // Not through the reference, so that they stay in registers.
            let mut own = *lanes;
            let (groups, rest) = bytes.as_chunks::<{ LANES * size_of::<$type>() }>();
            for group in groups {
                let (numbers, _) = group.as_chunks();
                for i in 0..LANES {
                    own[i] = step(own[i], Self::from_le_bytes(numbers[i]));
                }
            }
            let (numbers, _) = rest.as_chunks();
            for (lane, number) in own.iter_mut().zip(numbers) {
                *lane = step(*lane, Self::from_le_bytes(*number));
            }
            *lanes = own;
        }
    };
}

macro_rules! integer {
    ($($type:ty)*) => {$(
        impl Number for $type {
            type Sum = u64;
            const HIGHEST: Self = Self::MAX;
            const LOWEST: Self = Self::MIN;

            memory!($type);

            #[inline(always)]
            fn add(sum: u64, number: Self) -> u64 {
                sum.wrapping_add(number as u64)
            }

            fn total(lanes: [u64; LANES]) -> u64 {
                lanes.into_iter().fold(0, u64::wrapping_add)
            }

            #[inline(always)]
            fn lesser(self, other: Self) -> Self {
                self.min(other)
            }

            #[inline(always)]
            fn greater(self, other: Self) -> Self {
                self.max(other)
            }

            fn widen(self) -> u64 {
                self as u64
            }
        }
    )*};
}

integer!(u8 u16 u32 u64 i8 i16 i32 i64);

macro_rules! float {
    ($($type:ty)*) => {$(
        impl Number for $type {
            type Sum = f64;
            // No number at all, which `lesser` and `greater` make nothing of.
            const HIGHEST: Self = Self::NAN;
            const LOWEST: Self = Self::NAN;

            memory!($type);

            #[inline(always)]
            fn add(sum: f64, number: Self) -> f64 {
                sum + f64::from(number)
            }

            fn total(mut lanes: [f64; LANES]) -> u64 {
                let mut half = LANES / 2;
                while half > 0 {
                    for i in 0..half {
                        lanes[i] += lanes[i + half];
                    }
                    half /= 2;
                }
                bits(lanes[0])
            }

            #[inline(always)]
            fn lesser(self, other: Self) -> Self {
                self.min(other)
            }

            #[inline(always)]
            fn greater(self, other: Self) -> Self {
                self.max(other)
            }

            fn widen(self) -> u64 {
                bits(f64::from(self))
            }
        }
    )*};
}

float!(f32 f64);

/// The bits of a number that are the same on every machine: of the zeros and of what is not a
/// number, there is one each.
fn bits(number: f64) -> u64 {
    const NOT_A_NUMBER: u64 = 0x7ff8_0000_0000_0000;
    if number.is_nan() {
        NOT_A_NUMBER
    } else {
        (number + 0.0).to_bits()
    }
}
