//! What the modules declare over and over: open enumerations, structures of an exact size, and
//! the bit fields in them.

/// An enumeration of which every integer is a value, named or not.
///
/// It converts to bytes, and can be a field of a `bitfield-struct`.
macro_rules! open {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $repr:ident { $($(#[$doc:meta])* $variant:ident = $value:literal,)* }
    ) => {
        $(#[$meta])*
        #[open_enum::open_enum]
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable,
        )]
        #[repr($repr)]
        pub enum $name { $($(#[$doc])* $variant = $value,)* }

        impl $name {
            /// The value for these bits.
            pub const fn from_bits(bits: $repr) -> Self {
                Self(bits)
            }

            /// The bits of this value.
            pub const fn into_bits(self) -> $repr {
                self.0
            }
        }
    };
}

/// A `repr(C)` structure without padding that is exactly this many bytes.
///
/// Reserved fields stay private, so that a structure is built from [`zerocopy::FromZeros`] and
/// nothing is put where the specification wants zeroes.
macro_rules! wire {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $size:literal { $($body:tt)* }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable,
        )]
        #[repr(C)]
        pub struct $name { $($body)* }

        const _: () = assert!(size_of::<$name>() == $size);

        impl Default for $name {
            /// All bytes zero.
            fn default() -> Self {
                zerocopy::FromZeros::new_zeroed()
            }
        }
    };
}

/// Bit fields that are part of a structure, and so convert to bytes.
macro_rules! fields {
    ($($(#[$meta:meta])* $name:ident: $repr:ident { $($body:tt)* })*) => { $(
        $(#[$meta])*
        #[bitfield_struct::bitfield($repr)]
        #[derive(
            PartialEq, Eq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable,
        )]
        pub struct $name { $($body)* }
    )* };
}
