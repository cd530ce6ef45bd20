//! The secrets that a request carried, so that an answer that repeats one is recognised.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::request::basic_pair;
use super::wire::Signing;
use crate::secret::SecretValue;

/// The secrets in one request, in each form in which they left.
#[derive(Default)]
pub(super) struct Sent(Vec<Zeroizing<String>>);

impl Sent {
    /// What a request that is signed like this carries.
    pub(super) fn new(signing: &Signing, main: &SecretValue, extra: &[(String, SecretValue)]) -> Self {
        let mut forms = Vec::new();
        for secret in std::iter::once(main).chain(extra.iter().map(|(_, secret)| secret)) {
            add_forms(&mut forms, Zeroizing::new(secret.expose().to_owned()));
        }
        if let Signing::Basic { before, after, encoded } = signing {
            add_forms(&mut forms, basic_pair(before, main, after, *encoded));
        }
        Self(forms)
    }

    /// The same, and a token that was sent in the place of the secret.
    pub(super) fn and(mut self, token: &SecretValue) -> Self {
        add_forms(&mut self.0, Zeroizing::new(token.expose().to_owned()));
        self
    }

    /// Whether a text repeats one of them: as it is, percent-encoded, or with something between its characters
    /// that nobody would see.
    pub(super) fn is_repeated_in(&self, text: &str) -> bool {
        let decoded = Zeroizing::new(percent_decode_str(text).decode_utf8_lossy().into_owned());
        [text, decoded.as_str()].into_iter().any(|text| {
            let bare = visible(text);
            self.0.iter().any(|form| {
                let bare_form = visible(form);
                text.contains(form.as_str()) || !bare_form.is_empty() && bare.contains(bare_form.as_str())
            })
        })
    }
}

/// A secret itself, as JSON escapes it, and its base64 in both alphabets, without the padding that may be cut off.
fn add_forms(forms: &mut Vec<Zeroizing<String>>, secret: Zeroizing<String>) {
    if secret.is_empty() {
        return;
    }
    if let Some(escaped) = escaped(&secret) {
        forms.push(escaped);
    }
    for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
        forms.push(Zeroizing::new(encoding.encode(secret.as_bytes())));
    }
    forms.push(secret);
}

/// A secret as it stands in a JSON text, where that is not as it is.
fn escaped(secret: &str) -> Option<Zeroizing<String>> {
    let in_quotes = Zeroizing::new(serde_json::to_string(secret).ok()?);
    let bare = in_quotes.strip_prefix('"')?.strip_suffix('"')?;
    (bare != secret).then(|| Zeroizing::new(bare.to_owned()))
}

/// The characters that a header carries and a person sees; what hides between them is passed over.
fn visible(text: &str) -> Zeroizing<String> {
    // Its whole size at once: a text that grows leaves copies of the secret behind.
    let mut bare = Zeroizing::new(String::with_capacity(text.len()));
    bare.extend(text.chars().filter(char::is_ascii_graphic));
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_secret_is_recognised_in_every_form() {
        let basic = Signing::Basic { before: "ws@Acme:".into(), after: String::new(), encoded: false };
        let extra = [("user".to_owned(), SecretValue::new("us/er+key".into()))];
        let sent = Sent::new(&basic, &SecretValue::new("s3cret>?k".into()), &extra);
        for text in [
            "bad key s3cret>?k!",
            "s3\u{200b}cret\u{0}>?k",
            "s3cret\u{ad}>\u{2060}\u{fe0f}?k",
            "s3c\nret>\u{3164}?k",
            "s3cret%3E%3fk",
            "us%2Fer%2Bkey",
            "us/er+key",
            "Basic d3NAQWNtZTpzM2NyZXQ+P2s=",
            "Basic d3NAQWNtZTpzM2NyZXQ-P2s",
            "czNjcmV0Pj9r",
        ] {
            assert!(sent.is_repeated_in(text), "{text:?} was let through");
        }
        for text in ["", "100% wrong", "the key is not valid", "s3cret"] {
            assert!(!sent.is_repeated_in(text), "{text:?} was taken for a secret");
        }
    }

    #[test]
    fn a_secret_is_recognised_as_json_escapes_it() {
        let sent = Sent::new(&Signing::Body, &SecretValue::new("a\"b\\c".into()), &[]);
        assert!(sent.is_repeated_in(r#"bad body {"token":"a\"b\\c"}"#));
    }

    #[test]
    fn nothing_repeats_an_empty_secret_and_a_foreign_one_is_found_as_it_is() {
        let sent = |secret: &str| {
            let basic = Signing::Basic { before: "u:".into(), after: String::new(), encoded: false };
            Sent::new(&basic, &SecretValue::new(secret.into()), &[])
        };
        assert!(!sent("").is_repeated_in("a text"));
        assert!(!sent("ключ").is_repeated_in("a text"));
        assert!(sent("ключ").is_repeated_in("your ключ is wrong"));
    }
}
