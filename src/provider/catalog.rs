//! The definitions that keyturn brings along, and those that an owner adds.

use std::collections::BTreeMap;

use super::definition::Definition;
use crate::mistake::{Mistake, did_you_mean};

/// The text of every file in `catalog/`.
const EMBEDDED: &[&str] = include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// All known definitions, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    definitions: BTreeMap<String, Definition>,
}

impl Catalog {
    /// The definitions that keyturn brings along.
    pub fn embedded() -> Self {
        // A test parses every one of them, so none is left out here.
        let parsed = EMBEDDED.iter().filter_map(|yaml| Definition::parse(yaml).ok());
        Self { definitions: parsed.map(|definition| (definition.name.clone(), definition)).collect() }
    }

    /// The definition of that name.
    pub fn get(&self, name: &str) -> Option<&Definition> {
        self.definitions.get(name)
    }

    /// The definition of that name, or the mistake with the name that may have been meant.
    pub fn find(&self, name: &str) -> Result<&Definition, Mistake> {
        self.get(name).ok_or_else(|| {
            Mistake::new("provider", "there is no such definition").hint(did_you_mean(name, self.names()))
        })
    }

    /// All names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    /// Takes in an owner's own definition; a name that is there already is refused, not replaced.
    pub fn add(&mut self, definition: Definition) -> Result<(), Mistake> {
        if self.definitions.contains_key(&definition.name) {
            return Err(Mistake::new("name", format!("there is a definition {} already", definition.name))
                .hint("give yours another name"));
        }
        self.definitions.insert(definition.name.clone(), definition);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_definition_is_right() {
        for yaml in EMBEDDED {
            let parsed = Definition::parse(yaml);
            assert!(parsed.is_ok(), "{parsed:#?}\n{yaml}");
            let definition = parsed.unwrap();
            assert!(
                !definition.sources.is_empty() && !definition.unconfirmed.is_empty(),
                "{}",
                definition.name
            );
        }
        assert!(EMBEDDED.len() > 20);
        assert_eq!(Catalog::embedded().names().count(), EMBEDDED.len(), "two have the same name");
    }

    #[test]
    fn a_definition_that_is_shown_can_be_read_again() {
        for definition in Catalog::embedded().definitions.values() {
            let shown = serde_saphyr::to_string(definition).unwrap();
            assert_eq!(Definition::parse(&shown).as_ref(), Ok(definition), "{shown}");
        }
    }

    #[test]
    fn a_name_is_taken_once_and_a_wrong_one_gets_a_hint() {
        let mut catalog = Catalog::embedded();
        let own = catalog.get("adyen/api-key").unwrap().clone();
        assert!(catalog.add(own.clone()).is_err());
        catalog.add(Definition { name: "own/key".into(), ..own }).unwrap();
        assert!(catalog.get("own/key").is_some());
        let mistake = catalog.find("adyen/client_key").unwrap_err();
        assert_eq!(mistake.hint.unwrap(), "did you mean \"adyen/client-key\"?");
    }
}
