//! Providers of several named keys, of which the call makes one anew: which one that is.

use crate::ids::KeyId;
use crate::secret::Fingerprint;

/// A named key as the provider shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: KeyId,
    /// Its key.
    pub key: Fingerprint,
}

/// The slot that a rotation makes anew: the first behind the one in use that holds another key than the entry.
///
/// Nothing, where the entry's key is in none of them: nobody can tell then which of them applications hold.
pub fn idle_slot<'a>(slots: &'a [Slot], entry: Option<&Fingerprint>) -> Option<&'a Slot> {
    let in_use = slots.iter().position(|slot| Some(&slot.key) == entry)?;
    let mut behind = slots.iter().cycle().skip(in_use).take(slots.len());
    behind.find(|slot| Some(&slot.key) != entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(keys: &[&str]) -> Vec<Slot> {
        let slot = |(index, key): (usize, &&str)| Slot {
            name: format!("slot-{index}").parse().unwrap(),
            key: Fingerprint::from_text(*key),
        };
        keys.iter().enumerate().map(slot).collect()
    }

    #[test]
    fn the_slot_behind_the_one_in_use_is_taken_and_none_where_nobody_knows_which_that_is() {
        let taken = |keys: &[&str], entry: Option<&str>| {
            let entry = entry.map(Fingerprint::from_text);
            idle_slot(&slots(keys), entry.as_ref()).map(|slot| slot.name.to_string())
        };
        assert_eq!(taken(&["a", "b"], Some("a")).as_deref(), Some("slot-1"));
        assert_eq!(taken(&["a", "b"], Some("b")).as_deref(), Some("slot-0"));
        assert_eq!(taken(&["a", "b", "c"], Some("b")).as_deref(), Some("slot-2"));
        assert_eq!(taken(&["a", "b", "c"], Some("c")).as_deref(), Some("slot-0"));
        assert_eq!(taken(&["a", "a", "b"], Some("a")).as_deref(), Some("slot-2"));
        for entry in [Some("c"), None] {
            assert_eq!(taken(&["a", "b"], entry), None);
        }
        assert_eq!(taken(&["a", "a"], Some("a")), None);
        assert_eq!(taken(&[], Some("a")), None);
    }
}
