//! A simset: all simulations of a city under a scenario, and the file that holds them.
//!
//! The file is a header (magic, version, length and checksum of what follows), then the draws as they are, then
//! the quantities: the square root of each is rounded to a grid, and the second differences along the years
//! are written in a code that spends few bits on small ones.
//! The same simset always gives the same bytes.

use crate::model::{self, QUANTITIES, Services, YEARS};
use crate::parameters::{City, Draw};
use crate::random::{Key, checksum};
use crate::scenario::Scenario;
use crate::strata::STRATA;

const MAGIC: &[u8; 8] = b"RWSIMSET";
const VERSION: u32 = 1;
const HEADER: usize = 8 + 4 + 8 + 8;
/// Steps of the grid for the root of each quantity: fine where numbers are small.
const GRID: [f64; QUANTITIES] = [8.0, 48.0, 64.0, 64.0, 48.0, 192.0, 192.0];

/// Which quantity of `Simset::value` is meant.
#[derive(Clone, Copy, Debug)]
pub enum Quantity {
    Uninfected,
    OnPrep,
    Undiagnosed,
    Unsuppressed,
    Suppressed,
    Infections,
    Diagnoses,
}

/// All simulations of a city under a scenario.
#[derive(Debug)]
pub struct Simset {
    pub city: String,
    pub label: String,
    pub scenario: Scenario,
    pub seed: u64,
    /// The first is the reference, which no uncertainty touched: observations come from it, plots leave it out.
    pub draws: Vec<Draw>,
    /// What each draw says about services.
    pub services: Vec<Services>,
    values: Vec<f64>,
}

impl Simset {
    /// Runs the reference and `draws` simulations; `done` hears how many are done.
    pub fn simulate(
        city: &City,
        scenario: Scenario,
        draws: usize,
        seed: u64,
        mut done: impl FnMut(usize),
    ) -> Simset {
        let key = Key::new(seed).with_text(&city.city);
        let draws: Vec<Draw> =
            (0..=draws as u64).map(|index| Draw::new(city, key, index)).collect();
        let mut values = Vec::with_capacity(draws.len() * QUANTITIES * STRATA * YEARS);
        for (index, draw) in draws.iter().enumerate() {
            values.extend(model::integrate(city, draw, scenario));
            done(index);
        }
        let services = draws.iter().map(Services::new).collect();
        Simset {
            city: city.city.clone(),
            label: city.label.clone(),
            scenario,
            seed,
            draws,
            services,
            values,
        }
    }

    /// A quantity of a draw and stratum, year by year from `model::FIRST_YEAR`.
    pub fn values(&self, draw: usize, quantity: Quantity, stratum: usize) -> &[f64] {
        &self.values[((draw * QUANTITIES + quantity as usize) * STRATA + stratum) * YEARS..]
            [..YEARS]
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for text in [&self.city, &self.label, self.scenario.id()] {
            body.extend((text.len() as u32).to_le_bytes());
            body.extend(text.as_bytes());
        }
        body.extend(self.seed.to_le_bytes());
        body.extend((self.draws.len() as u32).to_le_bytes());
        for draw in &self.draws {
            body.extend(draw.numbers().into_iter().flat_map(f64::to_le_bytes));
        }
        let mut bits = BitWriter { bytes: body, word: 0, filled: 0 };
        for (row, values) in self.values.chunks(YEARS).enumerate() {
            let grid = GRID[row / STRATA % QUANTITIES];
            let (mut last, mut step) = (0, 0);
            for value in values {
                let point = (value.max(0.0).sqrt() * grid + 0.5).floor() as i64;
                bits.push(point - last - step);
                (last, step) = (point, point - last);
            }
        }
        let body = bits.finish();
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(checksum(&body).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// Reads a file's bytes. The error says what is wrong with them, not where the file is.
    pub fn from_bytes(bytes: &[u8]) -> Result<Simset, String> {
        let mut header = Reader { bytes };
        if header.take::<8>().as_ref() != Ok(MAGIC) {
            return Err("bad magic number: this is no simulation file".to_owned());
        }
        let version = header.u32()?;
        if version != VERSION {
            return Err(format!(
                "version {version} of the format is not known here, only {VERSION}"
            ));
        }
        let (length, sum) = (header.u64()?, header.u64()?);
        let mut body = header;
        if body.bytes.len() as u64 != length {
            return Err(format!(
                "{} bytes where {length} should be: truncated or padded",
                body.bytes.len()
            ));
        }
        if checksum(body.bytes) != sum {
            return Err("the checksum does not match: the file is damaged".to_owned());
        }
        let (city, label, scenario) = (body.text()?, body.text()?, body.text()?);
        let scenario =
            Scenario::parse(&scenario).ok_or_else(|| format!("unknown scenario `{scenario}`"))?;
        let seed = body.u64()?;
        let count = body.u32()? as usize;
        let mut draws = Vec::new();
        for _ in 0..count {
            let mut numbers = [0.0; Draw::NUMBERS];
            for number in &mut numbers {
                *number = f64::from_le_bytes(body.take()?);
            }
            draws.push(Draw::from_numbers(numbers));
        }
        let mut bits = BitReader { bytes: body.bytes, word: 0, filled: 0 };
        let mut values = Vec::with_capacity(count * QUANTITIES * STRATA * YEARS);
        for row in 0..count * QUANTITIES * STRATA {
            let grid = GRID[row / STRATA % QUANTITIES];
            let (mut last, mut step) = (0, 0);
            for _ in 0..YEARS {
                let point = last + step + bits.pull().ok_or("the numbers end too early")?;
                let root = point as f64 / grid;
                values.push(root * root);
                (last, step) = (point, point - last);
            }
        }
        let services = draws.iter().map(Services::new).collect();
        Ok(Simset { city, label, scenario, seed, draws, services, values })
    }
}

/// Writes signed numbers in the gamma code of Elias, lowest bit first: a zero takes one bit, +-1 three.
struct BitWriter {
    bytes: Vec<u8>,
    word: u64,
    filled: u32,
}

impl BitWriter {
    fn push(&mut self, number: i64) {
        let code = (((number << 1) ^ (number >> 63)) as u64).saturating_add(1).min(1 << 40);
        let low = code.ilog2();
        self.bits(1 << low, low + 1);
        self.bits(code & ((1 << low) - 1), low);
    }

    fn bits(&mut self, bits: u64, count: u32) {
        // At most 7 bits wait, and at most 41 are added.
        self.word |= bits << self.filled;
        self.filled += count;
        while self.filled >= 8 {
            self.bytes.push(self.word as u8);
            self.word >>= 8;
            self.filled -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.bytes.push(self.word as u8);
        }
        self.bytes
    }
}

/// Reads what `BitWriter` wrote.
struct BitReader<'a> {
    bytes: &'a [u8],
    word: u64,
    filled: u32,
}

impl BitReader<'_> {
    fn pull(&mut self) -> Option<i64> {
        self.fill();
        let low = self.word.trailing_zeros();
        if low > 40 || low >= self.filled {
            return None;
        }
        self.drop(low + 1);
        self.fill();
        if low > self.filled {
            return None;
        }
        let code = (1 << low) | (self.word & ((1 << low) - 1));
        self.drop(low);
        let zigzag = code - 1;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    fn fill(&mut self) {
        while self.filled <= 56 {
            let Some((byte, rest)) = self.bytes.split_first() else { return };
            self.word |= u64::from(*byte) << self.filled;
            self.filled += 8;
            self.bytes = rest;
        }
    }

    fn drop(&mut self, count: u32) {
        self.word >>= count;
        self.filled -= count;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or("the file ends too early")?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.take().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.u32()? as usize;
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("the file ends too early")?;
        self.bytes = rest;
        String::from_utf8(taken.to_vec()).map_err(|_| "a name is not UTF-8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baltimore(scenario: Scenario) -> Simset {
        let city = City::parse(include_str!("../../parameters/C.12580.yaml")).unwrap();
        Simset::simulate(&city, scenario, 3, 7, |_| {})
    }

    #[test]
    fn a_file_holds_what_was_simulated() {
        let simset = baltimore(Scenario::Cessation);
        let read = Simset::from_bytes(&simset.to_bytes()).unwrap();
        assert_eq!((&read.city, &read.label, read.seed), (&simset.city, &simset.label, 7));
        assert_eq!((read.scenario, &read.draws), (Scenario::Cessation, &simset.draws));
        for (row, (read, made)) in read.values.iter().zip(&simset.values).enumerate() {
            let grid = GRID[row / YEARS / STRATA % QUANTITIES];
            assert!((read.sqrt() - made.sqrt()).abs() <= 0.5 / grid + 1e-9, "{row}: {read} {made}");
        }
    }

    #[test]
    fn any_damage_is_noticed() {
        let bytes = baltimore(Scenario::Base).to_bytes();
        for length in [0, 7, 20, HEADER, bytes.len() / 2, bytes.len() - 1] {
            assert!(Simset::from_bytes(&bytes[..length]).is_err());
        }
        for position in (0..bytes.len()).step_by(bytes.len() / 50).chain(0..HEADER) {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x20;
            assert!(Simset::from_bytes(&damaged).is_err(), "{position}");
        }
        let padded = [&bytes[..], b"\0"].concat();
        assert_eq!(
            Simset::from_bytes(&padded).unwrap_err(),
            format!(
                "{} bytes where {} should be: truncated or padded",
                padded.len() - HEADER,
                bytes.len() - HEADER
            )
        );
    }

    #[test]
    fn numbers_of_every_size_survive_their_code() {
        let numbers = [0, 1, -1, 3, -4, 4, 31, -33, 100_000, -7_654_321, (1 << 39) - 1];
        let mut writer = BitWriter { bytes: Vec::new(), word: 0, filled: 0 };
        numbers.iter().for_each(|number| writer.push(*number));
        let bytes = writer.finish();
        let mut reader = BitReader { bytes: &bytes, word: 0, filled: 0 };
        assert_eq!(numbers.map(|_| reader.pull().unwrap()), numbers);
    }
}
