//! Byte classes of RFC 9110 5.6.2 and 5.5, as tables: one load instead of a chain of comparisons.

const TOKEN: [bool; 256] = {
    let mut map = [false; 256];
    let tchars = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut i = 0;
    while i < tchars.len() {
        map[tchars[i] as usize] = true;
        i += 1;
    }
    map
};

/// A `tchar` (RFC 9110 5.6.2).
#[inline]
pub(super) fn is_tchar(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// A byte that a field value may hold: HTAB, SP, VCHAR, obs-text (RFC 9110 5.5).
#[inline]
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// True when `text` can be a method or a field name: one or more `tchar`.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| is_tchar(b))
}

/// True when `value` can be written as a field value without starting another line.
pub fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|&b| is_value_byte(b))
}

/// Strips SP and HTAB, the OWS of RFC 9110 5.6.3, from both ends.
pub(super) fn trim_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Strips SP from both ends. A tab is a blank to the RFC and part of the value to some readers, so framing fields must do
/// without it: it stays, and no number or coding has one.
pub(super) fn trim_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tchars_are_the_77_of_the_rfc() {
        assert_eq!((0..=255).filter(|&b| is_tchar(b)).count(), 77);
        assert!(b"()<>@,;:\\\"/[]?={} \t\r\n\0\x7f\x80".iter().all(|&b| !is_tchar(b)));
    }

    #[test]
    fn ows_is_trimmed_and_nothing_else() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b"\x0ba\xa0"), b"\x0ba\xa0");
        assert_eq!(trim_ows(b" \t"), b"");
    }
}
