//! Numbers of payment cards: a known issuer's range, its length, a check digit that is right, and nothing that makes
//! it a part of a longer number.

/// Digits of the longest number.
const LONGEST: usize = 19;

/// A number of digits at the front of `text`: where it ends, and whether it is grouped as on a card.
pub(super) struct Number {
    pub(super) end: usize,
    pub(super) grouped: bool,
}

/// The card number that begins at the front of `text`, where no letter or digit stands before it.
pub(super) fn card(text: &[u8]) -> Option<Number> {
    let mut digits = [0; LONGEST];
    let (mut count, mut end, mut separator) = (0, 0, None);
    let (mut groups, mut group) = ([0_usize; 8], 0);
    for (at, byte) in text.iter().enumerate().take(2 * LONGEST) {
        match byte {
            b'0'..=b'9' => {
                *digits.get_mut(count)? = byte - b'0';
                *groups.get_mut(group)? += 1;
                count += 1;
                end = at + 1;
            }
            b' ' | b'-' if separator.is_none_or(|s| s == *byte) && is_digit(text.get(at + 1)) => {
                separator = Some(*byte);
                group += 1;
            }
            _ => break,
        }
    }
    let is_longer = text.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80)
        || (matches!(text.get(end), Some(b'.' | b',' | b'-' | b':')) && is_digit(text.get(end + 1)));
    let grouped = separator.is_some();
    let grouping_fits = !grouped || is_card_grouping(groups.get(..=group)?);
    let digits = digits.get(..count)?;
    let is = !is_longer && grouping_fits && is_of_an_issuer(digits) && luhn(digits);
    is.then_some(Number { end, grouped })
}

fn is_digit(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_digit)
}

fn is_card_grouping(groups: &[usize]) -> bool {
    matches!(groups, [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4] | [4, 4, 4, 4, 3])
}

fn is_of_an_issuer(digits: &[u8]) -> bool {
    let first = digits.iter().take(4).fold(0_u32, |n, d| n * 10 + u32::from(*d));
    match (first, digits.len()) {
        (4000..=4999, length) => matches!(length, 13 | 16 | 19),
        (5100..=5599 | 2221..=2720 | 6011 | 6440..=6599 | 3528..=3589, length) => length == 16,
        (3400..=3499 | 3700..=3799, length) => length == 15,
        (3000..=3059 | 3600..=3699 | 3800..=3899, length) => length == 14,
        _ => false,
    }
}

/// Luhn's check: every second digit from the right doubled, the sum of all digits is a multiple of ten.
fn luhn(digits: &[u8]) -> bool {
    let value = |(i, digit): (usize, &u8)| {
        let doubled = if i % 2 == 1 { 2 * digit } else { *digit };
        u32::from(if doubled > 9 { doubled - 9 } else { doubled })
    };
    digits.iter().rev().enumerate().map(value).sum::<u32>().is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_numbers_of_the_issuers() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "5555-5555-5555-4444",
            "378282246310005",
            "3782 822463 10005",
            "6011111111111117",
            "30569309025904",
            "3530111333300000",
            "2223003122003222",
            "4222222222222",
        ] {
            let number = card(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(number.end, text.len());
            assert_eq!(number.grouped, text.len() > 16 || text.contains(' '), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_none() {
        for text in [
            "4111111111111112",
            "41111111111111111111",
            "4111111111111111a",
            "4111 11111111 1111",
            "411111111111111",
            "1700000000000000000",
            "4111111111111111.5",
            "4111-1111 1111-1111",
            "",
            "4",
            "9111111111111111",
        ] {
            assert!(card(text.as_bytes()).is_none(), "{text}");
        }
    }
}
