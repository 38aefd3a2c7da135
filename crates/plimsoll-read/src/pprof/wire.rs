//! The wire format of protocol buffers, as far as profiles use it: written here because forty lines need no
//! dependency, and because a cut message must give what it holds.

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number.
    Number(u64),
    /// Bytes: a text, a message, or packed numbers.
    Bytes(&'a [u8]),
}

/// The fields of a message, in order; stops at the first that is cut or malformed.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    /// Whether all of the message so far was sound.
    pub(super) sound: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Fields { rest: message, sound: true }
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = number(&mut self.rest)?;
        let value = match key & 7 {
            0 => Value::Number(number(&mut self.rest)?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(number(&mut self.rest)?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(head)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || !self.sound {
            return None;
        }
        let field = self.field();
        self.sound = field.is_some();
        field
    }
}

/// A number of one to ten bytes, seven bits each, lowest first.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        n |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(n);
        }
    }
    None
}

impl<'a> Value<'a> {
    /// The number; 0 of bytes.
    pub(super) fn number(self) -> u64 {
        match self {
            Value::Number(n) => n,
            Value::Bytes(_) => 0,
        }
    }

    /// The bytes; none of a number.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Value::Number(_) => &[],
            Value::Bytes(b) => b,
        }
    }

    /// The fields of the message in it.
    pub(super) fn fields(self) -> Fields<'a> {
        Fields::of(self.bytes())
    }

    /// A repeated number, packed or one at a time.
    pub(super) fn numbers(self, mut each: impl FnMut(u64)) {
        match self {
            Value::Number(n) => each(n),
            Value::Bytes(mut rest) => {
                while let Some(n) = number(&mut rest) {
                    each(n);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_bytes_and_packed_numbers() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1a, 0x03, 0x01, 0x80, 0x01];
        let mut fields = Fields::of(&message);
        assert_eq!(fields.next(), Some((1, Value::Number(150))));
        assert_eq!(fields.next(), Some((2, Value::Bytes(b"hi"))));
        let mut packed = Vec::new();
        fields.next().unwrap().1.numbers(|n| packed.push(n));
        assert_eq!(packed, [1, 128]);
        assert!(fields.next().is_none() && fields.sound);
    }

    #[test]
    fn a_cut_is_not_sound_anywhere_but_between_fields() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i'];
        for cut in 0..message.len() {
            let mut fields = Fields::of(&message[..cut]);
            fields.by_ref().for_each(drop);
            assert_eq!(fields.sound, cut == 0 || cut == 3, "{cut}");
        }
        let mut endless = Fields::of(&[0xff; 20]);
        assert!(endless.next().is_none() && !endless.sound);
    }
}
