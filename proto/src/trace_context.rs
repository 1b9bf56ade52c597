//! Which trace a request belongs to, as the field `traceparent` says it (W3C Trace Context, level 1, section 3.2).

use crate::hex;

/// Bytes of a `traceparent` of version 00, the only one there is.
const BYTES: usize = 55;

/// The flags that have a meaning: `sampled`, and `random-trace-id` of level 2. Others are not passed on (3.2.2.5).
const FLAGS: u8 = 0b11;

const SAMPLED: u8 = 0b01;

/// A place in a trace: the span that a request was sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Never 0.
    pub trace_id: u128,
    /// Of the span that sends; never 0.
    pub span_id: u64,
    flags: u8,
}

impl TraceParent {
    /// A span of a trace that begins here. Ids that are 0, which have another meaning, become 1.
    pub fn new(trace_id: u128, span_id: u64, is_sampled: bool) -> Self {
        let flags = if is_sampled { SAMPLED } else { 0 };
        Self { trace_id: trace_id.max(1), span_id: span_id.max(1), flags }
    }

    /// Reads the value of the field. That of a later version is read as far as version 00 goes, and is ours from then on
    /// (section 3.2.4); none for anything else, with which a trace begins anew.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_at_checked(BYTES)?;
        let [version, trace, span, flags] = fields(known)?;
        let version = hex::parse(version)?;
        match (version, more) {
            (0, []) | (1..=0xfe, [] | [b'-', ..]) => {}
            _ => return None,
        }
        let (high, low) = trace.split_at(16);
        let trace_id = u128::from(hex::parse(high)?) << 64 | u128::from(hex::parse(low)?);
        let span_id = hex::parse(span)?;
        let flags = u8::try_from(hex::parse(flags)?).ok()? & FLAGS;
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags })
    }

    /// Appends the value of the field.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"00-");
        out.extend_from_slice(&trace_digits(self.trace_id));
        out.push(b'-');
        out.extend_from_slice(&hex::digits(self.span_id));
        out.extend_from_slice(match self.flags {
            0 => b"-00",
            1 => b"-01",
            2 => b"-02",
            _ => b"-03",
        });
    }

    /// Whoever is asked before us records the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn with_span(self, span_id: u64) -> Self {
        Self { span_id: span_id.max(1), ..self }
    }
}

/// The 32 digits of a trace id, in lower case.
pub fn trace_digits(trace_id: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    let bytes = trace_id.to_be_bytes();
    for (digits, half) in digits.chunks_exact_mut(16).zip(bytes.as_chunks().0) {
        digits.copy_from_slice(&hex::digits(u64::from_be_bytes(*half)));
    }
    digits
}

/// Version, trace id, span id and flags, each still in digits.
fn fields(known: &[u8]) -> Option<[&[u8]; 4]> {
    let dashes = [known[2], known[35], known[52]];
    (dashes == [b'-'; 3]).then(|| [&known[..2], &known[3..35], &known[36..52], &known[53..]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn again(value: &str) -> Option<String> {
        let mut out = Vec::new();
        TraceParent::parse(value.as_bytes())?.write(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_good_parent_is_read_and_written_the_same() {
        let parent = TraceParent::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(parent.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(parent.span_id, 0x00f0_67aa_0ba9_02b7);
        assert!(parent.is_sampled());
        for flags in ["00", "01", "02", "03"] {
            let value = format!("{}{flags}", &GOOD[..53]);
            assert_eq!(again(&value).as_deref(), Some(&*value));
        }
    }

    #[test]
    fn unknown_flags_are_not_passed_on_and_a_later_version_becomes_ours() {
        let start = &GOOD[..53];
        assert_eq!(again(&format!("{start}ff")), Some(format!("{start}03")));
        assert_eq!(again(&format!("cc{}", &GOOD[2..])).as_deref(), Some(GOOD));
        assert_eq!(again(&format!("cc{}-what-will-be", &GOOD[2..])).as_deref(), Some(GOOD));
    }

    #[test]
    fn what_the_standard_does_not_allow_is_no_parent() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(again(bad), None, "{bad}");
        }
    }

    #[test]
    fn no_id_is_ever_zero() {
        let parent = TraceParent::new(0, 0, false);
        assert_eq!((parent.trace_id, parent.span_id), (1, 1));
        assert_eq!(parent.with_span(0).span_id, 1);
    }
}
