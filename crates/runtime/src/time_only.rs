//! Programs of which only the time is wanted.

use crate::{Args, Fuel, LoadError, Program, Report, Runtime, Window};

/// Takes any image and makes a program of it that does nothing and returns 0: a *phantom*, to see
/// what a job's time does to a system, or the *bitstream* of an accelerator that is not there. What a run
/// costs is for the drive to say, by the bytes of the job's ranges or by what the command gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeOnly;

impl Runtime for TimeOnly {
    fn load(&self, _image: &[u8], _entry: &str) -> Result<Box<dyn Program>, LoadError> {
        Ok(Box::new(Self))
    }
}

impl Program for TimeOnly {
    fn run(&self, _memory: &Window, _args: &Args<'_>, _budget: Fuel) -> Report {
        Report::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_image_is_a_program_that_does_nothing() {
        let program = TimeOnly.load(&[0xFF; 7], "anything").expect("a program");
        let report = program.run(&Window::new(Vec::new()), &Args::default(), Fuel(0));
        assert_eq!(report, Report::of(Ok(0)));
    }
}
