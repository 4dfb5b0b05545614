//! What happens to Ryan White services, and when.
//!
//! Services stop at 2025.5; people begin to lose suppression at 2025.75.
//! Where services resume, use and suppression recover linearly over the year after.

/// When services stop, in years.
const STOP: f64 = 2025.5;
/// When the loss of suppression begins, and when it is whole.
const LOSS: (f64, f64) = (2025.75, 2026.0);

/// One course of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Services go on.
    Base,
    /// Services end for good.
    Cessation,
    /// Services pause for 18 months.
    BriefInterruption,
    /// Services pause for 42 months.
    ProlongedInterruption,
}

impl Scenario {
    pub const ALL: [Scenario; 4] = [
        Scenario::Base,
        Scenario::Cessation,
        Scenario::BriefInterruption,
        Scenario::ProlongedInterruption,
    ];

    /// The name on the command line and in paths.
    pub fn id(self) -> &'static str {
        match self {
            Scenario::Base => "base",
            Scenario::Cessation => "cessation",
            Scenario::BriefInterruption => "brief_interruption",
            Scenario::ProlongedInterruption => "prolonged_interruption",
        }
    }

    /// The name in a legend.
    pub fn label(self) -> &'static str {
        match self {
            Scenario::Base => "Baseline",
            Scenario::Cessation => "Cessation",
            Scenario::BriefInterruption => "Brief Interruption",
            Scenario::ProlongedInterruption => "Prolonged Interruption",
        }
    }

    /// Finds a scenario by its name.
    pub fn parse(id: &str) -> Option<Scenario> {
        Scenario::ALL.into_iter().find(|scenario| scenario.id() == id)
    }

    /// The share, 0 to 1, of the full loss of suppression that is in force at a time.
    pub fn loss(self, time: f64) -> f64 {
        ramp(time, LOSS) * (1.0 - self.recovery(time))
    }

    /// The share, 0 to 1, of the usual use of services at a time; `residual` of it goes on without funding.
    pub fn services(self, time: f64, residual: f64) -> f64 {
        if self == Scenario::Base || time < STOP {
            return 1.0;
        }
        residual + (1.0 - residual) * self.recovery(time)
    }

    /// The mean of `services` over a calendar year, by its months.
    pub fn services_in(self, year: i32, residual: f64) -> f64 {
        let months = (0..12).map(|month| f64::from(year) + (f64::from(month) + 0.5) / 12.0);
        months.map(|time| self.services(time, residual)).sum::<f64>() / 12.0
    }

    fn recovery(self, time: f64) -> f64 {
        match self {
            Scenario::Base => 1.0,
            Scenario::Cessation => 0.0,
            Scenario::BriefInterruption => ramp(time, (2027.0, 2028.0)),
            Scenario::ProlongedInterruption => ramp(time, (2029.0, 2030.0)),
        }
    }
}

/// 0 before, 1 after, linear between.
fn ramp(time: f64, (from, to): (f64, f64)) -> f64 {
    ((time - from) / (to - from)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suppression_is_lost_a_quarter_after_services_stop_and_recovers_with_them() {
        assert_eq!(Scenario::Cessation.loss(2025.75), 0.0);
        assert_eq!(Scenario::Cessation.loss(2035.0), 1.0);
        assert_eq!(Scenario::BriefInterruption.loss(2026.9), 1.0);
        assert_eq!(Scenario::BriefInterruption.loss(2027.5), 0.5);
        assert_eq!(Scenario::ProlongedInterruption.loss(2030.0), 0.0);
        assert_eq!(Scenario::Base.loss(2030.0), 0.0);
    }

    #[test]
    fn services_pause_for_18_and_42_months() {
        let months = |scenario: Scenario| {
            (0..200)
                .filter(|m| scenario.services(2020.0 + (f64::from(*m) + 0.5) / 12.0, 0.1) == 0.1)
                .count()
        };
        assert_eq!(
            (months(Scenario::BriefInterruption), months(Scenario::ProlongedInterruption)),
            (18, 42)
        );
        assert!((Scenario::Cessation.services_in(2025, 0.1) - 0.55).abs() < 1e-12);
    }
}
