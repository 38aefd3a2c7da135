//! Webhooks that cannot say a token sign with it: HMAC with SHA-256 over the body.

use sha2::{Digest as _, Sha256};

const BLOCK: usize = 64;

/// Whether `signature`, in hexadecimal digits, is that of the body under the secret. Takes as long for a wrong one.
pub fn is_signed(secret: &[u8], body: &[u8], signature: &str) -> bool {
    let digits: String = hmac(secret, body).iter().map(|b| format!("{b:02x}")).collect();
    let said = signature.trim().trim_start_matches("sha256=").to_ascii_lowercase();
    let differ = said.bytes().zip(digits.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    said.len() == digits.len() && differ == 0
}

fn hmac(secret: &[u8], body: &[u8]) -> [u8; 32] {
    let mut key = [0_u8; BLOCK];
    if secret.len() > BLOCK {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let pad = |with: u8| key.map(|b| b ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(body).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_hold() {
        // RFC 4231, cases 2 and 6.
        let two = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(is_signed(b"Jefe", b"what do ya want for nothing?", two));
        assert!(is_signed(
            b"Jefe",
            b"what do ya want for nothing?",
            &format!("sha256={}", two.to_uppercase())
        ));
        let six = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert!(is_signed(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First", six));
        for wrong in ["", "5bdc", &two.replace('5', "6")] {
            assert!(!is_signed(b"Jefe", b"what do ya want for nothing?", wrong));
        }
    }
}
