//! Field lines, written where they are sent from: a request gets ten of them, and a text in between costs more
//! than the line.

use std::fmt::Write as _;
use std::net::IpAddr;

/// Adds lines to a head that ends behind its last line. They begin with a name, which is a token, and `: `; what follows are field
/// values. All is inlined, for the beginnings are constants, which a few stores write.
pub(super) struct Lines<'o>(pub(super) &'o mut Vec<u8>);

impl Lines<'_> {
    /// A line whose value is there.
    #[inline(always)]
    pub(super) fn text(&mut self, start: &str, value: &str) {
        debug_assert!(hatchway_proto::http1::is_field_value(value.as_bytes()), "{start}{value:?}");
        self.line(start, |out| out.extend_from_slice(value.as_bytes()));
    }

    /// A line whose value is written in place.
    #[inline(always)]
    pub(super) fn line(&mut self, start: &str, value: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(start.ends_with(": "), "{start}");
        self.0.extend_from_slice(start.as_bytes());
        value(self.0);
        self.0.extend_from_slice(b"\r\n");
    }
}

/// `number` as people write it, two digits a division.
pub(super) fn decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut at, mut left) = (digits.len(), number);
    while left >= 10 {
        at -= 2;
        let pair = usize::try_from(left % 100).expect("below 100");
        digits[at..at + 2].copy_from_slice(&PAIRS[2 * pair..2 * pair + 2]);
        left /= 100;
    }
    if left > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + u8::try_from(left).expect("below 10");
    }
    out.extend_from_slice(&digits[at..]);
}

/// `00` to `99`.
const PAIRS: [u8; 200] = {
    let (mut pairs, mut number) = ([0; 200], 0);
    while number < 100 {
        pairs[2 * number as usize] = b'0' + number / 10;
        pairs[2 * number as usize + 1] = b'0' + number % 10;
        number += 1;
    }
    pairs
};

/// `0.` to `255.`, and how long each is.
const OCTETS: [([u8; 4], usize); 256] = {
    let (mut octets, mut number) = ([([b'.'; 4], 0); 256], 0_u8);
    loop {
        let (digits, mut left) = (&mut octets[number as usize], number);
        digits.1 = 2 + (number > 9) as usize + (number > 99) as usize;
        let mut at = digits.1 - 1;
        while at > 0 {
            at -= 1;
            digits.0[at] = b'0' + left % 10;
            left /= 10;
        }
        if number == u8::MAX {
            break octets;
        }
        number += 1;
    }
};

/// An address; an IPv4 one in any dress as what it is.
pub(super) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let (mut text, mut len) = ([0; 16], 0);
            for octet in address.octets() {
                let (digits, count) = OCTETS[usize::from(octet)];
                text[len..len + 4].copy_from_slice(&digits);
                len += count;
            }
            out.extend_from_slice(&text[..len - 1]);
        }
        IpAddr::V6(address) => {
            let mut text = String::with_capacity(39);
            write!(text, "{address}").expect("a string takes every write");
            out.extend_from_slice(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in
            [0, 9, 10, 99, 100, 101, 255, 1_795_265_307_947, 0x0123_4567_89ab_cdef, u64::MAX]
        {
            let mut out = Vec::new();
            decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        let written = |text: &str| {
            let mut out = Vec::new();
            address(&mut out, text.parse().unwrap());
            String::from_utf8(out).unwrap()
        };
        for octet in 0..=255 {
            let text = format!("{octet}.1.{octet}.{octet}");
            assert_eq!(written(&text), text);
        }
        for text in ["0.0.0.0", "255.10.9.1", "::1", "2001:db8::ffff", "fe80:1:2:3:4:5:6:7"] {
            assert_eq!(written(text), text);
        }
        assert_eq!(written("::ffff:10.1.2.3"), "10.1.2.3");
    }
}
