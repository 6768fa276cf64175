//! A 64-bit fingerprint of a state. States are long strings of small fields, so bytes are packed into
//! words before anything is multiplied.

use std::hash::{Hash, Hasher};

const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

pub(crate) fn fingerprint<T: Hash>(state: &T) -> u64 {
    let mut packed = Packed { hash: MIX, word: 0, bits: 0 };
    state.hash(&mut packed);
    packed.finish()
}

struct Packed {
    hash: u64,
    word: u64,
    /// Bits of `word` in use, below 64.
    bits: u32,
}

impl Packed {
    #[inline]
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.hash ^ word) * u128::from(MIX | 1);
        self.hash = (product >> 64) as u64 ^ (product as u64).rotate_left(23);
    }
}

impl Hasher for Packed {
    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.word |= u64::from(byte) << self.bits;
        self.bits += 8;
        if self.bits == 64 {
            self.fold(self.word);
            self.word = 0;
            self.bits = 0;
        }
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    /// Discriminants of small enums, and lengths.
    #[inline]
    fn write_isize(&mut self, number: isize) {
        self.write_u8(number as u8);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u8(number as u8);
    }

    fn finish(&self) -> u64 {
        let mut z = self.hash ^ self.word ^ (u64::from(self.bits) << 58);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
