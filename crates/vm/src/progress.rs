//! How a caller hears of the slow parts.

/// Hears what [`Environment::prepare`](crate::Environment::prepare) and
/// [`packages::fetch`](crate::packages::fetch) are doing. Nothing is reported when everything is
/// cached already.
pub trait Progress {
    /// A step begins (and the previous one has ended): a short phrase for people.
    fn step(&mut self, what: &str);

    /// How much of the current step is done, 0 to 100. Steps of unknown length never call this.
    fn percent(&mut self, percent: u8) {
        let _ = percent;
    }
}

/// For callers that don't care.
impl Progress for () {
    fn step(&mut self, _what: &str) {}
}
