//! How a node tells a gateway in another program who has served a call: by a field of its answers that no function can send and no
//! client sees, for both ends take whatever else begins with `hatchway-` away.

use std::time::Duration;

use crate::backend::Timing;

/// What a node spent on a call, and who served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The sandbox that served.
    pub sandbox: u64,
    /// Waiting for a slot.
    pub queue: Duration,
    /// Waiting for a sandbox to start, where it did not live yet.
    pub start: Option<Duration>,
}

impl Account {
    /// Says it of a call that a sandbox has served, to a gateway that has asked for it in its greeting
    /// ([`ACCOUNTS`](hatchway_proto::link::hello::ACCOUNTS)).
    pub const FIELD: &str = "hatchway-served";

    /// None where no sandbox was found.
    pub fn of(timing: &Timing) -> Option<Self> {
        let start = timing.start.as_ref().map(|start| start.total);
        Some(Self { sandbox: timing.sandbox?, queue: timing.queue, start })
    }

    /// The value of the field: the sandbox, and what was spent in microseconds.
    pub fn write(&self) -> String {
        let (sandbox, queue) = (self.sandbox, self.queue.as_micros());
        match self.start {
            None => format!("{sandbox} {queue}"),
            Some(start) => format!("{sandbox} {queue} {}", start.as_micros()),
        }
    }

    /// Reads the value of the field; a later node may add to it.
    pub fn parse(value: &str) -> Option<Self> {
        let mut numbers = value.split(' ').map(str::parse);
        let mut number = || numbers.next()?.ok();
        let (sandbox, queue) = (number()?, Duration::from_micros(number()?));
        Some(Self { sandbox, queue, start: number().map(Duration::from_micros) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let warm = Account { sandbox: 7, queue: Duration::from_micros(12), start: None };
        let cold = Account { start: Some(Duration::from_micros(34_567)), ..warm };
        assert_eq!((&*warm.write(), &*cold.write()), ("7 12", "7 12 34567"));
        for account in [warm, cold] {
            assert_eq!(Account::parse(&account.write()), Some(account));
        }
        for bad in ["", "7", "x 1", "7 -1"] {
            assert_eq!(Account::parse(bad), None, "{bad}");
        }
    }
}
