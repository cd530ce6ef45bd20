//! What a running keyturn can follow of a changed configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Config, Credential};
use crate::ids::CredentialName;
use crate::mistake::Mistake;

/// How the credentials of one configuration become those of the next; everything else in both is the same.
#[derive(Debug)]
pub struct Change<'a> {
    /// Those that are new.
    pub added: Vec<&'a Credential>,
    /// Those that are another than before, under the same name.
    pub changed: Vec<&'a Credential>,
    /// Those that are there no more.
    pub removed: Vec<&'a CredentialName>,
}

impl Config {
    /// What becomes of this configuration; refused as a whole where a part of it needs a restart.
    pub fn change_to<'a>(&'a self, next: &'a Self) -> Result<Change<'a>, Vec<Mistake>> {
        let mistakes = self.sections_that_differ(next);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let before: BTreeMap<_, _> = self.credentials.iter().map(|one| (&one.name, one)).collect();
        let after: BTreeSet<_> = next.credentials.iter().map(|one| &one.name).collect();
        let was = |one: &Credential| before.get(&one.name).copied();
        Ok(Change {
            added: next.credentials.iter().filter(|one| was(one).is_none()).collect(),
            changed: next
                .credentials
                .iter()
                .filter(|one| was(one).is_some_and(|was| differ(was, one)))
                .collect(),
            removed: before.into_keys().filter(|name| !after.contains(name)).collect(),
        })
    }

    fn sections_that_differ(&self, next: &Self) -> Vec<Mistake> {
        let sections = [
            ("vault", differ(&self.vault, &next.vault)),
            ("listen", self.listen != next.listen),
            ("escrow", self.escrow != next.escrow),
            ("metrics", self.metrics != next.metrics),
            ("log", self.log != next.log),
            ("timeouts", self.timeouts != next.timeouts),
        ];
        let differing = sections.into_iter().filter(|(_, differs)| *differs);
        differing
            .map(|(section, _)| Mistake::new(section, "restart to apply: this section has changed"))
            .collect()
    }
}

/// Whether two values show a difference: what was bound to a definition has patterns in it, which only show themselves.
fn differ<T: fmt::Debug>(one: &T, other: &T) -> bool {
    format!("{one:?}") != format!("{other:?}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::provider::Catalog;

    const FULL: &str = include_str!("../../docs/examples/full.yaml");

    fn parse(text: &str) -> Config {
        Config::parse(text, Path::new("/etc/keyturn"), Catalog::embedded()).unwrap()
    }

    fn places(old: &str, new: &str) -> Vec<String> {
        assert!(FULL.contains(old), "{old}");
        let (before, after) = (parse(FULL), parse(&FULL.replace(old, new)));
        let refused = before.change_to(&after).err().unwrap_or_default();
        assert!(refused.iter().all(|mistake| mistake.message.starts_with("restart to apply")));
        refused.into_iter().map(|mistake| mistake.path).collect()
    }

    #[test]
    fn what_needs_a_restart_is_refused_by_its_section() {
        for (old, new, place) in [
            ("https://vault.svc:8200", "https://other.svc:8200", "vault"),
            ("role_id: 5b1a7c1e-role", "role_id: other", "vault"),
            ("record_prefix: secret/keyturn", "record_prefix: secret/other", "vault"),
            ("operators: [1000]", "operators: [1001]", "listen"),
            ("dir: /var/lib/keyturn/escrow", "dir: /var/lib/keyturn/other", "escrow"),
            ("127.0.0.1:9400", "127.0.0.1:9401", "metrics"),
            ("level: info", "level: warn", "log"),
            ("provider_call: 20s", "provider_call: 21s", "timeouts"),
        ] {
            assert_eq!(places(old, new), [place], "{new}");
        }
    }

    #[test]
    fn credentials_are_added_changed_and_removed_by_name() {
        let before = parse(FULL);
        let names = |credentials: &[&Credential]| {
            credentials.iter().map(|one| one.name.to_string()).collect::<Vec<_>>()
        };
        let same = parse(FULL);
        let nothing = before.change_to(&same).unwrap();
        assert!(nothing.added.is_empty() && nothing.changed.is_empty() && nothing.removed.is_empty());
        let after = parse(&FULL.replace("min_interval: 7d", "min_interval: 8d"));
        let changed = before.change_to(&after).unwrap();
        assert_eq!(names(&changed.changed), ["adyen-api-key"]);
        assert!(changed.added.is_empty() && changed.removed.is_empty());
        let fewer = Config { credentials: before.credentials.get(1..).unwrap().to_vec(), ..before.clone() };
        let removed = before.change_to(&fewer).unwrap();
        assert_eq!(removed.removed.first().map(ToString::to_string).as_deref(), Some("adyen-api-key"));
        assert_eq!(names(&fewer.change_to(&before).unwrap().added), ["adyen-api-key"]);
    }
}
