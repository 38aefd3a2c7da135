//! The wire format of protocol buffers, as far as a remote write needs it.

/// Writes seven bits a byte, the lowest first.
fn number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7F) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A text, or a message, as a field.
pub(super) fn bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    number(out, field << 3 | 2);
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A double as a field.
pub(super) fn double(out: &mut Vec<u8>, field: u64, v: f64) {
    number(out, field << 3 | 1);
    out.extend_from_slice(&v.to_le_bytes());
}

/// A whole number as a field.
pub(super) fn whole(out: &mut Vec<u8>, field: u64, n: i64) {
    number(out, field << 3);
    number(out, n.cast_unsigned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_format_has_them() {
        let mut out = Vec::new();
        bytes(&mut out, 1, b"ab");
        double(&mut out, 1, 1.0);
        whole(&mut out, 2, 300);
        assert_eq!(out, [0x0A, 2, b'a', b'b', 0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0x10, 0xAC, 0x02]);
    }
}
