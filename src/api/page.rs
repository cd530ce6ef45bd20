//! Pages of lists: bounded sizes, and tokens that mean nothing to the caller.

use std::fmt::Display;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use tonic::Status;

use super::status;

const SIZE_DEFAULT: usize = 50;
const SIZE_MAX: usize = 200;

/// The number of items that a page may hold.
pub(super) fn size(asked: i32) -> Result<usize, Status> {
    match usize::try_from(asked) {
        Ok(0) => Ok(SIZE_DEFAULT),
        Ok(size) => Ok(size.min(SIZE_MAX)),
        Err(_) => Err(status::invalid("page_size", "is 0 or more")),
    }
}

/// The token by which a list over `filter` goes on behind its item `last`.
pub(super) fn token(filter: &str, last: impl Display) -> String {
    BASE64URL_NOPAD.encode(format!("1 {filter} {last}").as_bytes())
}

/// The item behind which the list over `filter` goes on; `None` at its start.
pub(super) fn behind<T: FromStr>(token: &str, filter: &str) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let foreign = || status::invalid("page_token", "is not one that this list gave out for the same request");
    let text = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| foreign())?;
    let text = String::from_utf8(text).map_err(|_| foreign())?;
    match text.split(' ').collect::<Vec<_>>().as_slice() {
        ["1", of, last] if *of == filter => last.parse().map(Some).map_err(|_| foreign()),
        _ => Err(foreign()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_own_list_only() {
        let token = token("adyen", 7);
        assert_eq!(behind::<u32>(&token, "adyen").unwrap(), Some(7));
        assert_eq!(behind::<u32>("", "adyen").unwrap(), None);
        for (token, filter) in [(token.as_str(), "other"), ("!!", "adyen"), ("AAAA", "adyen")] {
            assert_eq!(behind::<u32>(token, filter).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }

    #[test]
    fn page_sizes_are_bounded() {
        assert_eq!(size(0).unwrap(), SIZE_DEFAULT);
        assert_eq!(size(3).unwrap(), 3);
        assert_eq!(size(i32::MAX).unwrap(), SIZE_MAX);
        assert_eq!(size(-1).unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
