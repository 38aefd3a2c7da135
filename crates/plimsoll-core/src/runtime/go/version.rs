//! Versions of Go as programs tell them.

use std::ops::RangeInclusive;

/// Minor versions whose programs can be read from outside: the layout of their records is known.
pub const FROM_OUTSIDE: RangeInclusive<u32> = 21..=27;

/// 27 of `go1.27.3` or `go1.27rc1 X:boringcrypto`; none for what is no release.
pub fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_a_minor_version() {
        assert_eq!(minor("go1.21"), Some(21));
        assert_eq!(minor("go1.27rc1 X:boringcrypto"), Some(27));
        assert_eq!([minor("devel go1.28-0a1b"), minor("go2.0"), minor("go1.x")], [None; 3]);
    }
}
