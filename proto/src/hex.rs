//! Numbers in hexadecimal digits, as ids of requests and traces are written.

/// All 16 digits of `number`, in lower case.
pub fn digits(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&half(number >> 32).to_be_bytes());
    text[8..].copy_from_slice(&half(number & 0xffff_ffff).to_be_bytes());
    text
}

/// Eight digits at once: each digit moves to a byte of its own, then gets what makes it a letter or a number.
fn half(digits: u64) -> u64 {
    let digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    let digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    digits + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)
}

/// Reads 1 to 16 digits; capital letters are none.
pub fn parse(digits: &[u8]) -> Option<u64> {
    if !(1..=16).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library_and_are_read_again() {
        for number in [0, 9, 10, 0xff, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX] {
            let written = digits(number);
            assert_eq!(written, *format!("{number:016x}").as_bytes());
            assert_eq!(parse(&written), Some(number));
        }
    }

    #[test]
    fn what_is_no_digit_is_not_read() {
        assert_eq!(parse(b"0f"), Some(15));
        for bad in ["", "0F", "g", "+1", " 1", "00000000000000000"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
