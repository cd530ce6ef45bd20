//! A key that keyturn chooses: drawn at random in the form that a definition gives it.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use data_encoding::{BASE64, Encoding, HEXLOWER};
use zeroize::Zeroizing;

use super::definition::{SuppliedText, Supplies};
use crate::secret::SecretValue;

/// The most random bytes that a definition can ask for.
pub(super) const BYTES_MAX: u8 = 64;

/// A new key; an error, where the system gives no random bytes.
pub(super) fn choose(form: &Supplies) -> Result<SecretValue, Unspecified> {
    let mut random = Zeroizing::new([0; BYTES_MAX as usize]);
    rand::fill(random.as_mut())?;
    let bytes = random.get(..usize::from(form.bytes)).unwrap_or(random.as_ref());
    let encoding: &Encoding = match form.encoding {
        SuppliedText::Hex => &HEXLOWER,
        SuppliedText::Base64 => &BASE64,
    };
    // Its whole size at once: a text that grows leaves copies of the secret behind.
    let mut key = String::with_capacity(form.prefix.len() + encoding.encode_len(bytes.len()));
    key.push_str(&form.prefix);
    encoding.encode_append(bytes, &mut key);
    Ok(SecretValue::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_declared_form_and_is_another_each_time() {
        for (encoding, prefix, length) in
            [(SuppliedText::Hex, "", 48), (SuppliedText::Base64, "whsec_", 6 + 32)]
        {
            let form = Supplies { bytes: 24, encoding, prefix: prefix.to_owned() };
            let (one, other) = (choose(&form).unwrap(), choose(&form).unwrap());
            assert_eq!(one.expose().len(), length);
            assert!(one.expose().starts_with(prefix) && one.expose() != other.expose());
        }
    }
}
