//! The escrow as its users see it: slots survive, secrets stay sealed, and what is strange is left alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use jiff::Timestamp;
use keyturn::escrow::{Error, Escrow, FileEscrow, RESIDUE, SealedAnswer, Slot, list_directory, open_file};
use keyturn::ids::{CredentialName, RotationId};
use keyturn::secret::{FingerprintKey, Secret, SecretValue};
use proptest::prelude::*;

const CANARY: &str = "canary-\"3f9a\"-\u{e9}";

struct Bench {
    home: tempfile::TempDir,
    credential: CredentialName,
    rotation: RotationId,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let rotation = "01999999-0000-7000-8000-000000000001".parse().unwrap();
        Self { home, credential: "stripe".parse().unwrap(), rotation }
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("escrow")
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.directory().join(format!("{}.{}.{suffix}", self.credential, self.rotation))
    }

    fn open(&self) -> FileEscrow {
        open(&self.directory()).unwrap()
    }

    fn slot(&self, escrow: &FileEscrow) -> Slot {
        escrow.slot(&self.credential, self.rotation).unwrap()
    }

    fn seal(&self, escrow: &FileEscrow) -> SecretValue {
        let identity = escrow.new_identity();
        escrow.seal(&self.credential, self.rotation, &identity, &answer(CANARY)).unwrap();
        identity
    }
}

fn open(path: &Path) -> Result<FileEscrow, Error> {
    FileEscrow::open(path, Vec::<String>::new())
}

fn answer(secret: &str) -> SealedAnswer {
    SealedAnswer {
        secret: SecretValue::new(secret.into()).into(),
        previous_expires_at: Some("2026-11-22T00:00:00Z".parse().unwrap()),
        received_at: "2026-11-21T00:00:00.5Z".parse().unwrap(),
        call: 1,
        key_id: Some("AKIA-1".parse().unwrap()),
    }
}

fn is_same(one: &Secret, other: &str) -> bool {
    is_whole(one, &SecretValue::new(other.into()).into())
}

fn is_whole(one: &Secret, other: &Secret) -> bool {
    let key = FingerprintKey::new("test".into());
    one.fingerprint(&key) == other.fingerprint(&key)
}

fn with_id() -> Secret {
    let id = SecretValue::new("canary \"id\"".into());
    Secret { key: SecretValue::new(CANARY.into()), fields: BTreeMap::from([("id".to_owned(), id)]) }
}

#[test]
fn a_slot_says_after_every_step_and_restart_how_far_it_came() {
    let bench = Bench::new();
    let (credential, rotation) = (bench.credential.clone(), bench.rotation);
    assert_eq!(bench.slot(&bench.open()), Slot::Missing);
    bench.open().prepare(&credential, rotation).unwrap();
    assert_eq!(bench.slot(&bench.open()), Slot::Unsent);
    bench.open().mark_sent(&credential, rotation).unwrap();
    assert_eq!(bench.slot(&bench.open()), Slot::Sent);
    assert_eq!(bench.open().prepare(&credential, rotation).unwrap_err().code(), "ESCROW_SLOT_USED");
    let identity = bench.seal(&bench.open());
    assert_eq!(bench.slot(&bench.open()), Slot::Sealed);
    let opened = bench.open().open(&credential, rotation, &identity).unwrap();
    assert!(is_same(&opened.secret, CANARY));
    assert_eq!(opened.previous_expires_at, answer("").previous_expires_at);
    assert_eq!(opened.received_at, answer("").received_at);
    bench.open().erase(&credential, rotation, Some(1)).unwrap();
    assert_eq!(bench.slot(&bench.open()), Slot::Missing);
    bench.open().erase(&credential, rotation, Some(1)).unwrap();
}

#[test]
fn what_a_crash_leaves_reads_as_the_last_step_that_was_durable() {
    for (files, expected) in [
        (&["tmp"][..], Slot::Missing),
        (&["slot"], Slot::Unsent),
        (&["slot", "tmp"], Slot::Unsent),
        (&["sent"], Slot::Sent),
        (&["sent", "tmp"], Slot::Sent),
        (&["slot", "sent"], Slot::Sent),
        (&["age"], Slot::Sealed),
        (&["age", "sent"], Slot::Sealed),
        (&["residue.age"], Slot::Missing),
    ] {
        let bench = Bench::new();
        let escrow = bench.open();
        for suffix in files {
            fs::write(bench.file(suffix), "half of an ans").unwrap();
        }
        assert_eq!(bench.slot(&escrow), expected, "{files:?}");
        let identity = bench.seal(&escrow);
        let opened = escrow.open(&bench.credential, bench.rotation, &identity).unwrap();
        assert!(is_same(&opened.secret, CANARY), "{files:?}");
        escrow.erase(&bench.credential, bench.rotation, Some(1)).unwrap();
        assert_eq!(bench.slot(&escrow), Slot::Missing, "{files:?}");
    }
}

#[test]
fn an_answer_without_a_slot_and_a_newer_answer_are_sealed_too() {
    let bench = Bench::new();
    let escrow = bench.open();
    let older = escrow.new_identity();
    escrow.seal(&bench.credential, bench.rotation, &older, &answer("older")).unwrap();
    let identity = bench.seal(&escrow);
    let opened = escrow.open(&bench.credential, bench.rotation, &identity).unwrap();
    assert!(is_same(&opened.secret, CANARY));
    assert_eq!(opened.key_id, Some("AKIA-1".parse().unwrap()));
}

#[test]
fn the_stock_format_opens_with_the_records_identity_and_with_an_operators() {
    let bench = Bench::new();
    let operator = age::x25519::Identity::generate();
    let escrow = FileEscrow::open(bench.directory(), vec![operator.to_public().to_string()]).unwrap();
    bench.seal(&escrow);
    assert_eq!(
        decrypted(&bench, &operator),
        serde_json::json!({
            "format": 1,
            "credential": "stripe",
            "rotation_id": "01999999-0000-7000-8000-000000000001",
            "secret": CANARY,
            "previous_expires_at": "2026-11-22T00:00:00Z",
            "received_at": "2026-11-21T00:00:00.5Z",
            "key_id": "AKIA-1",
            "call": 1,
        })
    );
    let identity = SecretValue::new(operator.to_string().expose_secret().into());
    assert!(is_same(&open_file(&bench.file("age"), &identity).unwrap().secret, CANARY));
}

/// What the stock tool shows to an operator.
fn decrypted(bench: &Bench, operator: &age::x25519::Identity) -> serde_json::Value {
    let decryptor = age::Decryptor::new(fs::File::open(bench.file("age")).unwrap()).unwrap();
    let mut plain = String::new();
    let identities = std::iter::once(operator as &dyn age::Identity);
    decryptor.decrypt(identities).unwrap().read_to_string(&mut plain).unwrap();
    serde_json::from_str(&plain).unwrap()
}

#[test]
fn a_secret_of_several_fields_is_sealed_whole_and_hidden_from_who_would_take_half() {
    let bench = Bench::new();
    let operator = age::x25519::Identity::generate();
    let escrow = FileEscrow::open(bench.directory(), [operator.to_public().to_string()]).unwrap();
    let identity = escrow.new_identity();
    let sealed = SealedAnswer { secret: with_id(), ..answer("") };
    escrow.seal(&bench.credential, bench.rotation, &identity, &sealed).unwrap();
    let opened = escrow.open(&bench.credential, bench.rotation, &identity).unwrap();
    assert!(is_whole(&opened.secret, &with_id()));
    escrow.seal_residue(&bench.credential, bench.rotation, &identity, &with_id()).unwrap();
    for file in escrow.list(None).unwrap() {
        assert!(is_whole(&open_file(&file.path, &identity).unwrap().secret, &with_id()), "{file:?}");
    }
    let document = decrypted(&bench, &operator);
    assert_eq!(document["format"], 2, "a keyturn that knows no fields would publish the key alone");
    assert_eq!(document["fields"], serde_json::json!({ "id": "canary \"id\"" }));
}

#[test]
fn nothing_in_the_directory_holds_the_secret_or_the_identity_in_clear() {
    let bench = Bench::new();
    let escrow = bench.open();
    escrow.prepare(&bench.credential, bench.rotation).unwrap();
    escrow.mark_sent(&bench.credential, bench.rotation).unwrap();
    let identity = bench.seal(&escrow);
    let residue = SecretValue::new(format!("<{CANARY}>")).into();
    escrow.seal_residue(&bench.credential, bench.rotation, &identity, &residue).unwrap();
    for entry in fs::read_dir(bench.directory()).unwrap() {
        let entry = entry.unwrap();
        let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).to_lowercase();
        assert!(!text.contains("canary") && !text.contains("age-secret-key"), "{:?}", entry.path());
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn residues_stay_when_the_slot_is_erased_and_none_replaces_another() {
    let bench = Bench::new();
    let escrow = bench.open();
    escrow.mark_sent(&bench.credential, bench.rotation).unwrap();
    let identity = escrow.new_identity();
    for _ in 0..2 {
        let residue = SecretValue::new(CANARY.into()).into();
        escrow.seal_residue(&bench.credential, bench.rotation, &identity, &residue).unwrap();
    }
    assert_eq!(bench.slot(&escrow), Slot::Sent);
    escrow.erase(&bench.credential, bench.rotation, Some(1)).unwrap();
    let listed = escrow.list(Some(&bench.credential)).unwrap();
    assert_eq!(listed.iter().map(|slot| slot.holds.as_str()).collect::<Vec<_>>(), ["residue", "residue"]);
    for slot in listed {
        let opened = open_file(&slot.path, &identity).unwrap();
        assert!(opened.is_residue && is_same(&opened.secret, CANARY));
    }
}

#[test]
fn a_key_beside_the_slot_says_which_call_brought_it_and_leaves_the_slots_answer_alone() {
    let bench = Bench::new();
    let escrow = bench.open();
    let identity = bench.seal(&escrow);
    let second = SealedAnswer {
        secret: SecretValue::new("key of the second call".into()).into(),
        previous_expires_at: None,
        received_at: Timestamp::UNIX_EPOCH,
        call: 2,
        key_id: None,
    };
    escrow.seal_beside(&bench.credential, bench.rotation, &identity, &second).unwrap();
    assert_eq!(escrow.open(&bench.credential, bench.rotation, &identity).unwrap().call, 1);
    let beside = escrow.list(None).unwrap().into_iter().find(|slot| slot.holds == RESIDUE).unwrap();
    let opened = open_file(&beside.path, &identity).unwrap();
    assert_eq!((opened.is_residue, opened.rotation_id, opened.call), (false, bench.rotation, Some(2)));
    assert!(is_same(&opened.secret, "key of the second call"));
}

#[test]
fn an_answer_that_was_sealed_meanwhile_is_not_erased_with_its_slot() {
    let bench = Bench::new();
    let escrow = bench.open();
    let identity = bench.seal(&escrow);
    escrow.erase(&bench.credential, bench.rotation, None).unwrap();
    escrow.open(&bench.credential, bench.rotation, &identity).unwrap();
    escrow.erase(&bench.credential, bench.rotation, Some(1)).unwrap();
    assert_eq!(bench.slot(&escrow), Slot::Missing);
}

#[test]
fn a_directory_that_others_can_enter_is_refused_with_what_to_do() {
    let bench = Bench::new();
    drop(bench.open());
    assert_eq!(fs::metadata(bench.directory()).unwrap().mode() & 0o777, 0o700);
    for mode in [0o710, 0o701, 0o770, 0o777] {
        fs::set_permissions(bench.directory(), fs::Permissions::from_mode(mode)).unwrap();
        let error = open(&bench.directory()).unwrap_err();
        assert_eq!(error.code(), "ESCROW_DIRECTORY_INSECURE", "{mode:o}");
        assert!(error.to_string().contains("mode 0700"), "{error}");
    }
    fs::set_permissions(bench.directory(), fs::Permissions::from_mode(0o700)).unwrap();
    let link = bench.home.path().join("link");
    symlink(bench.directory(), &link).unwrap();
    for path in [link.clone(), link.join("")] {
        assert_eq!(open(&path).unwrap_err().code(), "ESCROW_DIRECTORY_INSECURE", "{path:?}");
    }
    let file = bench.home.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(open(&file).unwrap_err().code(), "ESCROW_DIRECTORY_INSECURE");
}

#[test]
fn a_directory_that_is_swapped_gets_nothing_and_no_call_is_made() {
    let bench = Bench::new();
    let escrow = bench.open();
    escrow.mark_sent(&bench.credential, bench.rotation).unwrap();
    let aside = bench.home.path().join("aside");
    fs::rename(bench.directory(), &aside).unwrap();
    for swapped in [true, false] {
        if swapped {
            fs::create_dir(bench.directory()).unwrap();
        } else {
            fs::remove_dir(bench.directory()).unwrap();
        }
        let next = "01999999-0000-7000-8000-000000000002".parse().unwrap();
        for refused in [escrow.prepare(&bench.credential, next), escrow.mark_sent(&bench.credential, next)] {
            let error = refused.unwrap_err();
            assert_eq!(error.code(), "ESCROW_DIRECTORY_MOVED", "{error}");
        }
    }
    fs::create_dir(bench.directory()).unwrap();

    let identity = bench.seal(&escrow);
    let opened = escrow.open(&bench.credential, bench.rotation, &identity).unwrap();
    assert!(
        is_same(&opened.secret, CANARY),
        "an answer that came back from the provider is kept all the same"
    );
    assert_eq!(escrow.list(None).unwrap().len(), 1);
    assert_eq!(fs::read_dir(bench.directory()).unwrap().count(), 0);
    escrow.erase(&bench.credential, bench.rotation, Some(1)).unwrap();
    assert!(!aside.join(bench.file("age").file_name().unwrap()).exists());
    fs::remove_dir(bench.directory()).unwrap();
    fs::rename(aside, bench.directory()).unwrap();
    escrow.prepare(&bench.credential, bench.rotation).unwrap();
}

fn make_pipe(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn no_pipe_link_or_second_name_is_written_to_or_waited_for() {
    let bench = Bench::new();
    let escrow = bench.open();
    let outside = bench.home.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    for what in ["pipe", "symbolic link", "hard link"] {
        for place in ["sent", "tmp"].map(|suffix| bench.file(suffix)) {
            match what {
                "pipe" => make_pipe(&place),
                "symbolic link" => symlink(&outside, &place).unwrap(),
                _ => fs::hard_link(&outside, &place).unwrap(),
            }
        }
        let identity = bench.seal(&escrow);
        let opened = escrow.open(&bench.credential, bench.rotation, &identity).unwrap();
        assert!(is_same(&opened.secret, CANARY), "{what}");
        escrow.erase(&bench.credential, bench.rotation, Some(1)).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched", "{what}");
    }
    make_pipe(&bench.file("age"));
    assert_eq!(escrow.list(None).unwrap(), []);
    for error in [
        escrow.open(&bench.credential, bench.rotation, &escrow.new_identity()).unwrap_err(),
        open_file(&bench.file("age"), &escrow.new_identity()).unwrap_err(),
    ] {
        assert_eq!(error.code(), "ESCROW_DAMAGED", "{error}");
    }
    drop(escrow);
    for own in ["replica-id", "lock"] {
        fs::remove_file(bench.directory().join(own)).unwrap();
        make_pipe(&bench.directory().join(own));
        open(&bench.directory()).unwrap_err();
        fs::remove_file(bench.directory().join(own)).unwrap();
    }
}

#[test]
fn a_second_keyturn_is_refused_and_the_replica_keeps_its_id() {
    let bench = Bench::new();
    let first = bench.open();
    let error = open(&bench.directory()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    let id = first.replica_id();
    drop(first);
    assert_eq!(bench.open().replica_id(), id);
    fs::write(bench.directory().join("replica-id"), "not an id").unwrap();
    assert_eq!(open(&bench.directory()).unwrap_err().code(), "ESCROW_DAMAGED");
}

#[test]
fn a_bad_recipient_is_named_by_its_place_and_never_repeated() {
    let bench = Bench::new();
    let good = age::x25519::Identity::generate();
    let secret = good.to_string().expose_secret().to_owned();
    let texts = [good.to_public().to_string(), secret.clone()];
    let error = FileEscrow::open(bench.directory(), texts).unwrap_err();
    assert!(matches!(error, Error::BadRecipient { position: 2 }));
    assert!(!format!("{error} {error:?}").contains(&secret));
    assert!(!bench.directory().exists(), "nothing is created for a configuration that is refused");
}

#[test]
fn wrong_damaged_and_foreign_files_are_told_apart_and_left_alone() {
    let bench = Bench::new();
    let escrow = bench.open();
    let identity = bench.seal(&escrow);
    let refusal = |rotation| escrow.open(&bench.credential, rotation, &identity).unwrap_err().code();
    let sealed = fs::read(bench.file("age")).unwrap();

    let other = escrow.new_identity();
    let error = escrow.open(&bench.credential, bench.rotation, &other).unwrap_err();
    assert_eq!(error.code(), "ESCROW_IDENTITY_WRONG");

    let moved: RotationId = "01999999-0000-7000-8000-000000000002".parse().unwrap();
    assert_eq!(refusal(moved), "ESCROW_NOTHING_SEALED");
    let moved_file = bench.directory().join(format!("{}.{moved}.age", bench.credential));
    fs::copy(bench.file("age"), &moved_file).unwrap();
    assert_eq!(refusal(moved), "ESCROW_FOREIGN");

    fs::write(&moved_file, "not age").unwrap();
    assert_eq!(refusal(moved), "ESCROW_DAMAGED");
    fs::write(bench.directory().join("notes.txt"), "").unwrap();
    fs::create_dir(bench.file("sent")).unwrap();

    let listed = list_directory(&bench.directory(), None).unwrap();
    assert_eq!(listed.iter().map(|slot| &slot.path).collect::<Vec<_>>(), [&bench.file("age")]);
    assert_eq!(listed[0].holds, "sealed");
    assert_eq!(fs::read(bench.file("age")).unwrap(), sealed);
    assert_eq!(fs::read(moved_file).unwrap(), b"not age");
    assert!(bench.directory().join("notes.txt").exists());
}

#[test]
fn a_listing_is_of_one_credential_or_of_all_oldest_first() {
    let bench = Bench::new();
    let escrow = bench.open();
    let (one, two): (CredentialName, CredentialName) = ("one".parse().unwrap(), "two".parse().unwrap());
    let older: RotationId = "01000000-0000-7000-8000-000000000001".parse().unwrap();
    escrow.prepare(&one, bench.rotation).unwrap();
    escrow.mark_sent(&two, older).unwrap();
    let words = |credential| {
        let listed = escrow.list(credential).unwrap();
        listed.into_iter().map(|slot| format!("{} {}", slot.credential, slot.holds)).collect::<Vec<_>>()
    };
    assert_eq!(words(None), ["two sent", "one unsent"]);
    assert_eq!(words(Some(&one)), ["one unsent"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_cut_or_flipped_file_opens(
        place in any::<prop::sample::Index>(), bit in 0_u32..8, cut in any::<bool>(),
    ) {
        let bench = Bench::new();
        let escrow = bench.open();
        let identity = bench.seal(&escrow);
        let mut bytes = fs::read(bench.file("age")).unwrap();
        let index = place.index(bytes.len());
        if cut {
            bytes.truncate(index);
        } else {
            bytes[index] ^= 1 << bit;
        }
        fs::write(bench.file("age"), &bytes).unwrap();
        let error = escrow.open(&bench.credential, bench.rotation, &identity).unwrap_err();
        prop_assert!(matches!(error, Error::Damaged { .. } | Error::WrongIdentity { .. }), "{}", error);
        prop_assert_eq!(fs::read(bench.file("age")).unwrap(), bytes);
    }

    #[test]
    fn any_text_comes_back_as_it_was(secret in "\\PC{1,200}") {
        let bench = Bench::new();
        let escrow = bench.open();
        let identity = escrow.new_identity();
        escrow.seal(&bench.credential, bench.rotation, &identity, &answer(&secret)).unwrap();
        let opened = escrow.open(&bench.credential, bench.rotation, &identity).unwrap();
        prop_assert!(is_same(&opened.secret, &secret));
    }
}
