//! What requests cost at Amazon's prices.
//!
//! Pure. Knows which requests are paid alike, and nothing of who makes them or what for.

use std::ops::{Add, AddAssign, Sub};

use serde::Serialize;

/// Requests, by how they are paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Writes of objects, copies of their headers and the starts and ends of uploads in parts.
    pub puts: u64,
    /// Reads of objects and looks at them.
    pub gets: u64,
    /// Pages of listings.
    pub lists: u64,
    /// Removals of objects, which cost nothing.
    pub deletes: u64,
    /// Units of written rows: one for each begun KB of a row.
    pub row_writes: u64,
    /// Units of read rows: one for each begun 4 KB that a query reads.
    pub row_reads: u64,
    /// Paths that a content network is told to forget.
    pub invalidations: u64,
}

/// What is paid for so many requests of a kind.
struct Price {
    of: fn(&Requests) -> u64,
    each: f64,
    usd: f64,
}

/// Prices in USD in `us-east-1`, as <https://aws.amazon.com/s3/pricing/> (S3 Standard),
/// <https://aws.amazon.com/dynamodb/pricing/on-demand/> and <https://aws.amazon.com/cloudfront/pricing/>
/// had them in November 2025.
const PRICES: [Price; 5] = [
    Price { of: |r| r.puts, each: 1_000.0, usd: 0.005 },
    Price { of: |r| r.gets, each: 1_000.0, usd: 0.0004 },
    Price { of: |r| r.lists, each: 1_000.0, usd: 0.005 },
    Price { of: |r| r.row_writes, each: 1_000_000.0, usd: 0.625 },
    Price { of: |r| r.row_reads, each: 1_000_000.0, usd: 0.125 },
];
/// Of the same source: what is paid for a path that is invalidated, after those that are free in a month.
const INVALIDATION: f64 = 0.005;
/// So many paths an account has free in a month; what else it has used of them is not known here.
const FREE_INVALIDATIONS: u64 = 1_000;

/// A row is paid by so many bytes when it is written.
const WRITTEN_UNIT: u64 = 1_024;

impl Requests {
    /// What they cost in USD, without what is paid for what is kept.
    pub fn usd(&self) -> f64 {
        let paid = self.invalidations.saturating_sub(FREE_INVALIDATIONS);
        let priced = PRICES.iter().map(|price| (price.of)(self) as f64 / price.each * price.usd);
        priced.sum::<f64>() + paid as f64 * INVALIDATION
    }

    pub fn is_none(&self) -> bool {
        *self == Requests::default()
    }

    /// Each kind with its name, in the order in which they are told.
    pub fn kinds(&self) -> [(&'static str, u64); 7] {
        [
            ("PUT", self.puts),
            ("GET", self.gets),
            ("LIST", self.lists),
            ("DELETE", self.deletes),
            ("row write unit", self.row_writes),
            ("row read unit", self.row_reads),
            ("invalidated path", self.invalidations),
        ]
    }

    fn each(self, other: Requests, with: impl Fn(u64, u64) -> u64) -> Requests {
        Requests {
            puts: with(self.puts, other.puts),
            gets: with(self.gets, other.gets),
            lists: with(self.lists, other.lists),
            deletes: with(self.deletes, other.deletes),
            row_writes: with(self.row_writes, other.row_writes),
            row_reads: with(self.row_reads, other.row_reads),
            invalidations: with(self.invalidations, other.invalidations),
        }
    }
}

/// The units that a written row of so many bytes is paid by.
pub fn row_units(bytes: u64) -> u64 {
    bytes.div_ceil(WRITTEN_UNIT).max(1)
}

impl Add for Requests {
    type Output = Requests;

    fn add(self, other: Requests) -> Requests {
        self.each(other, u64::saturating_add)
    }
}

impl AddAssign for Requests {
    fn add_assign(&mut self, other: Requests) {
        *self = *self + other;
    }
}

impl Sub for Requests {
    type Output = Requests;

    /// Those that were made since `other`.
    fn sub(self, other: Requests) -> Requests {
        self.each(other, u64::saturating_sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_ryan_white_grid_costs_what_the_price_list_says() {
        // 44,361 plots and their metadata, a row of below 1 KB for each plot.
        let all = Requests { puts: 2 * 44_361, row_writes: 44_361, ..Requests::default() };
        assert!((all.usd() - (0.443_61 + 0.027_725_6)).abs() < 1e-4, "{}", all.usd());
        let listed = Requests { lists: 1_000, gets: 1_000, deletes: 9, ..Requests::default() };
        assert!((listed.usd() - 0.0054).abs() < 1e-9);
    }

    #[test]
    fn the_first_thousand_invalidated_paths_are_free() {
        let paths = |invalidations| Requests { invalidations, ..Requests::default() };
        assert_eq!(paths(1_000).usd(), 0.0);
        assert!((paths(1_200).usd() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_row_is_paid_by_begun_kilobytes() {
        assert_eq!([0, 1, 1_024, 1_025].map(row_units), [1, 1, 1, 2]);
    }
}
