//! How numbers lie in registers: types, byte orders, and the parts that together make one quantity.

use super::{Factor, Quantity, Scaling, Table};

/// The type of a number in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned, half a register.
    U8,
    /// Signed, half a register.
    I8,
    /// Unsigned, one register.
    U16,
    /// Signed, one register.
    I16,
    /// Unsigned, the lower three bytes of two registers.
    U24,
    /// Signed, the lower three bytes of two registers.
    I24,
    /// Unsigned, two registers.
    U32,
    /// Signed, two registers.
    I32,
    /// Unsigned, three registers.
    U48,
    /// Signed, three registers.
    I48,
    /// Unsigned, four registers.
    U64,
    /// Signed, four registers.
    I64,
    /// IEEE 754 single, two registers.
    F32,
    /// IEEE 754 double, four registers.
    F64,
    /// Four decimal digits, one register.
    Bcd16,
    /// Eight decimal digits, two registers.
    Bcd32,
    /// Twelve decimal digits, three registers.
    Bcd48,
    /// Sixteen decimal digits, four registers.
    Bcd64,
}

impl Kind {
    /// Every type with its name in a template.
    pub const ALL: [(&'static str, Self); 18] = [
        ("u8", Self::U8),
        ("i8", Self::I8),
        ("u16", Self::U16),
        ("i16", Self::I16),
        ("u24", Self::U24),
        ("i24", Self::I24),
        ("u32", Self::U32),
        ("i32", Self::I32),
        ("u48", Self::U48),
        ("i48", Self::I48),
        ("u64", Self::U64),
        ("i64", Self::I64),
        ("f32", Self::F32),
        ("f64", Self::F64),
        ("bcd16", Self::Bcd16),
        ("bcd32", Self::Bcd32),
        ("bcd48", Self::Bcd48),
        ("bcd64", Self::Bcd64),
    ];

    /// Its name in a template.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// How many bits the number itself has.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::U8 | Self::I8 => 8,
            Self::U16 | Self::I16 | Self::Bcd16 => 16,
            Self::U24 | Self::I24 => 24,
            Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 => 32,
            Self::U48 | Self::I48 | Self::Bcd48 => 48,
            Self::U64 | Self::I64 | Self::F64 | Self::Bcd64 => 64,
        }
    }

    /// How many registers it takes.
    #[must_use]
    pub fn registers(self) -> u16 {
        match self.bits() {
            0..=16 => 1,
            17..=32 => 2,
            33..=48 => 3,
            _ => 4,
        }
    }

    /// Whether it is a floating-point number.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// Whether it can be negative.
    #[must_use]
    pub fn is_signed(self) -> bool {
        self.is_float() || matches!(self, Self::I8 | Self::I16 | Self::I24 | Self::I32 | Self::I48 | Self::I64)
    }

    /// The bits of the number alone, all set.
    pub(crate) fn all_ones(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// What a SunSpec device says instead of a value that it does not implement. Floats say NaN, which is absent anyway.
    pub(crate) fn sunspec_absent(self) -> Option<u64> {
        match self {
            Self::F32 | Self::F64 => None,
            _ if self.is_signed() => Some(1 << (self.bits() - 1)),
            _ => Some(self.all_ones()),
        }
    }
}

/// In which order the bytes of a number arrive; named by the places of the number's bytes, `a` the highest. The names
/// of four letters go for every width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// High word first, high byte first: what Modbus intends. `abcdefgh` in 64 bits.
    #[default]
    Abcd,
    /// Low word first, high byte first. `ghefcdab` in 64 bits.
    Cdab,
    /// High word first, low byte first. `badcfehg` in 64 bits.
    Badc,
    /// Low word first, low byte first. `hgfedcba` in 64 bits.
    Dcba,
    /// 64 bits only: the low half first, each half as Modbus intends.
    Efghabcd,
    /// 64 bits only: the high half first, in each half the low word first.
    Cdabghef,
}

impl Order {
    /// Every order with its names in a template; those of eight letters are for 64 bits.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("abcd", Self::Abcd),
        ("cdab", Self::Cdab),
        ("badc", Self::Badc),
        ("dcba", Self::Dcba),
        ("abcdefgh", Self::Abcd),
        ("ghefcdab", Self::Cdab),
        ("badcfehg", Self::Badc),
        ("hgfedcba", Self::Dcba),
        ("efghabcd", Self::Efghabcd),
        ("cdabghef", Self::Cdabghef),
    ];
}

/// A number in registers, and its share in a quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where it begins, counted from the first register of the quantity.
    pub offset: u16,
    /// Number type.
    pub kind: Kind,
    /// Byte order.
    pub order: Order,
    /// The bits of its registers that belong to it.
    pub mask: u64,
    /// How many bits the number lies above the lowest one.
    pub shift: u32,
    /// Its unit in that of the quantity.
    pub factor: Factor,
    /// It counts against the others.
    pub subtract: bool,
    /// Raw values (bit patterns after mask and shift) by which the device says "not available".
    pub absent: Vec<u64>,
    /// Where the power of ten stands by which it is to be multiplied (SunSpec `sunssf`).
    pub exponent: Option<Exponent>,
}

/// A power of ten in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exponent {
    /// Which register, counted from the first one of the quantity.
    pub at: u16,
    /// Its bits there: all of them for an i16, one half for an i8.
    pub mask: u16,
}

impl Exponent {
    /// What it says in the registers of the quantity; `None` if they end before it.
    pub(crate) fn read(self, words: &[u16]) -> Option<i16> {
        let word = words.get(usize::from(self.at))? & self.mask;
        // Its sign is its highest bit, wherever that stands.
        Some((word << self.mask.leading_zeros()).cast_signed() >> (16 - self.mask.count_ones()))
    }

    /// The inverse of [`Exponent::read`]: the bits of the register that say so.
    pub(crate) fn written(self, exponent: i16) -> u16 {
        (exponent.cast_unsigned() << self.mask.trailing_zeros()) & self.mask
    }
}

/// Where the parts of one quantity lie. All of them are read with one request, so that they belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    registers: u16,
    /// One part, or several that are added.
    pub parts: Vec<Part>,
}

impl Layout {
    /// Parts with their offsets already set; `None` if they run past 65535 registers.
    #[must_use]
    pub fn new(parts: Vec<Part>) -> Option<Self> {
        let mut registers = 0;
        for part in &parts {
            let end = part.offset.checked_add(part.kind.registers())?;
            registers = end.max(registers).max(part.exponent.map_or(Some(0), |exponent| exponent.at.checked_add(1))?);
        }
        Some(Self { registers, parts })
    }

    /// How many registers lie from the first to the last, both included.
    #[must_use]
    pub fn registers(&self) -> u16 {
        self.registers
    }
}

/// One quantity in registers.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterField {
    /// Which quantity.
    pub quantity: Quantity,
    /// Input or holding.
    pub table: Table,
    /// Protocol address (from 0) of the first register.
    pub address: u16,
    /// What stands there.
    pub kind: Layout,
    /// From the sum of the parts to the quantity.
    pub scaling: Scaling,
}
