//! One world: a Vault, some credentials with a provider each, and the replicas that rotate them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chaos::Chaos;
use super::judge::Judge;
use super::lot;
use super::replica::Replica;
use super::{Defect, Options};
use crate::clock::Clock as _;
use crate::engine::Credential;
use crate::ids::{CredentialName, FieldPath, VaultPath};
use crate::rotation::Plan;
use crate::testbed::fake::{
    Dice, FakeClock, FakeDisk, FakeMint, FakeVault, PAIR, SkewedClock, Witness, has_pairs,
};

#[derive(Debug)]
pub(super) struct World {
    pub(super) clock: FakeClock,
    pub(super) vault: FakeVault,
    pub(super) accounts: Vec<Account>,
    pub(super) replicas: Vec<Replica>,
    pub(super) judge: Judge,
}

/// One credential and its provider.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) credential: Credential,
    pub(super) plan: Plan,
    pub(super) mint: FakeMint,
}

impl World {
    pub(super) fn drawn(
        dice: &Dice,
        clock: FakeClock,
        judge: Judge,
        chaos: &Chaos,
        options: Options,
    ) -> Self {
        let vault = FakeVault::default();
        let watcher = judge.clone();
        vault.watched_by(Witness::new(move |write| watcher.vault(write)));
        let count = 1 + dice.below(3);
        let accounts: Vec<_> =
            (0..count).filter_map(|number| Account::drawn(number, options.class, dice)).collect();
        for account in &accounts {
            account.put_by_hand(&vault, "key-0");
            if let Some(signer) = &account.credential.signer {
                vault.put(signer, "the admin's key");
            }
            account.mint.suffer(chaos.of_calls(&account.plan), chaos.of_questions());
            judge.follow(account.credential.clone(), account.plan.clone(), account.mint.clone());
        }
        let replica = |number| Replica::new(number, accounts.len(), SkewedClock::new(clock));
        // Every further replica looks up all day, so most worlds have one or two.
        let replicas: Vec<_> =
            (0..dice.pick(&[1, 1, 2, 2, 2, 3]).copied().unwrap_or(1)).map(replica).collect();
        for replica in &replicas {
            replica.link.suffer(chaos.of_link());
        }
        let world = Self { clock, vault, accounts, replicas, judge };
        world.plant(options.defect);
        world
    }

    /// Makes a fake misbehave in a way that keyturn cannot help, to see whether the judge notices.
    fn plant(&self, defect: Option<Defect>) {
        match defect {
            None => {}
            Some(Defect::EscrowSealsNothing) => {
                self.replicas.iter().flat_map(|replica| &replica.disks).for_each(FakeDisk::seal_nothing);
            }
            Some(Defect::ProviderMintsTwice) => {
                self.accounts.iter().for_each(|account| account.mint.mint_twice());
            }
            Some(Defect::VaultIgnoresVersions) => self.vault.ignore_versions(),
        }
    }

    /// The newest key of one credential that lies in Vault's record or on a disk.
    pub(super) fn newest_kept(&self, credential: usize) -> usize {
        let Some(account) = self.accounts.get(credential) else { return 0 };
        let disks = self.replicas.iter().filter_map(|replica| replica.disks.get(credential));
        let sealed = disks.flat_map(FakeDisk::sealed).map(|sealed| sealed.key);
        let staged = self.vault.staged(&account.credential.name);
        let numbers = sealed.chain(staged).filter_map(|key| account.mint.number_of(&key));
        numbers.max().unwrap_or_default()
    }

    /// P1 and P6 of all credentials, now.
    pub(super) fn inspect(&self) {
        for index in 0..self.accounts.len() {
            self.judge.look_whether_accepted(index);
            let (mut sealed, mut erased) = (Vec::new(), Vec::new());
            for disk in self.replicas.iter().filter_map(|replica| replica.disks.get(index)) {
                sealed.extend(disk.take_sealed().into_iter().map(|key| key.key));
                erased.extend(disk.take_erased().into_iter().map(|key| key.key));
            }
            let (kept, now) = (self.newest_kept(index), self.clock.now());
            let verdict = self.judge.docket(index, |docket| {
                docket.sealed(&sealed, kept).and_then(|()| docket.erased(&erased, kept, now))
            });
            self.judge.judge(index, verdict.unwrap_or(Ok(())));
        }
        self.judge.tidy_up();
    }
}

impl Account {
    fn drawn(number: u64, class: Option<&'static str>, dice: &Dice) -> Option<Self> {
        let drawn = dice.pick(lot::CLASSES).copied();
        let class = class.or(drawn)?;
        let plan = lot::plan(class, dice);
        let mint = FakeMint::new();
        let lags = plan.creates.as_ref().map(|_| Duration::from_secs(dice.below(90)));
        mint.show_late(lags.or(plan.read).or(plan.marker).unwrap_or(Duration::ZERO));
        let signer = (!plan.self_authenticating).then(|| field("secret/admin", "key")).flatten();
        let credential = Credential {
            name: format!("credential-{number}").parse::<CredentialName>().ok()?,
            provider: class.to_owned(),
            store: field(&format!("secret/app-{number}"), "key")?,
            signer,
            extra: Vec::new(),
            fields: if has_pairs(&plan) { pair_field() } else { BTreeMap::new() },
        };
        Some(Self { credential, plan, mint })
    }

    /// A person puts a key into the entry, with what goes with it.
    pub(super) fn put_by_hand(&self, vault: &FakeVault, key: &str) {
        match self.credential.fields.get(PAIR) {
            Some(field) => vault.put_with_pair(&self.credential.store, field, key),
            None => vault.put(&self.credential.store, key),
        }
    }
}

/// It has another name in the entry than in the definition.
fn pair_field() -> BTreeMap<String, String> {
    BTreeMap::from([(PAIR.to_owned(), "what_goes_with_it".to_owned())])
}

fn field(path: &str, field: &str) -> Option<FieldPath> {
    Some(FieldPath { path: path.parse::<VaultPath>().ok()?, field: field.to_owned() })
}
