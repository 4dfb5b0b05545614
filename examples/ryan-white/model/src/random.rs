//! Random numbers that depend on a key alone: no state, no order of calls.
//!
//! A key is a 64-bit word, mixed by the finaliser of SplitMix64; the same key gives the same number everywhere.

/// What a random number depends on.
#[derive(Clone, Copy, Debug)]
pub struct Key(u64);

impl Key {
    /// The key of a whole experiment.
    pub fn new(seed: u64) -> Key {
        Key(mix(seed))
    }

    /// This key, narrowed by a number.
    pub fn with(self, part: u64) -> Key {
        Key(mix(self.0 ^ mix(part)))
    }

    /// This key, narrowed by a text.
    pub fn with_text(self, part: &str) -> Key {
        self.with(checksum(part.as_bytes()))
    }

    /// Uniform, strictly between 0 and 1.
    pub fn uniform(self) -> f64 {
        ((mix(self.0) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Normal with mean 0 and variance 1, by the method of Box and Muller.
    pub fn normal(self) -> f64 {
        let radius = (-2.0 * libm::log(self.with(1).uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.with(2).uniform())
    }
}

/// The 64-bit FNV-1a hash of some bytes: finds damage, keeps out no one.
pub fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let numbers: Vec<f64> = (0..20_000).map(|n| Key::new(7).with(n).normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }
}
