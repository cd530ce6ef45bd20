//! What can go wrong in a round, and how one of it is chosen.

use std::time::Duration;

use keyturn::testbed::tcp_proxy::{Aim, Trouble};

use super::dice::Dice;
use super::providers::Provider;
use super::tools::{Need, Tools};

/// A kind of fault, as the table counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// How often it is chosen, against the others.
    weight: u64,
    pub(crate) place: Place,
    pub(crate) need: Option<Need>,
    is_quick: bool,
    what: What,
}

/// Which Vault a round uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The one that all share.
    Shared,
    /// One on disk, in turns.
    Turn,
    /// The cluster, in turns.
    Cluster,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    ProviderWire,
    VaultWire,
    Answer,
    KillAnytime,
    KillAtPoint,
    Clearing,
    RestartLoop,
    Freeze,
    FreezeWithTwin,
    Replicas,
    Triggers,
    TokenRevoked,
    PolicyWithdrawn,
    Seal,
    VaultKilled,
    Restored,
    LeaderKilled,
    DiskFull,
    SyncError,
    EscrowDamaged,
    ClockJump,
}

const fn kind(name: &'static str, weight: u64, what: What) -> Kind {
    Kind { name, weight, place: Place::Shared, need: None, is_quick: true, what }
}

const fn slow(kind: Kind) -> Kind {
    Kind { is_quick: false, ..kind }
}

const fn at(place: Place, kind: Kind) -> Kind {
    Kind { place, ..slow(kind) }
}

const fn with(need: Need, kind: Kind) -> Kind {
    Kind { need: Some(need), ..slow(kind) }
}

/// All kinds.
pub(crate) const KINDS: &[Kind] = &[
    kind("wire to the provider", 20, What::ProviderWire),
    kind("wire to Vault", 14, What::VaultWire),
    kind("provider's answer", 12, What::Answer),
    kind("kill -9 at any time", 14, What::KillAnytime),
    kind("kill at a named point", 14, What::KillAtPoint),
    kind("clearing of old keys", 8, What::Clearing),
    kind("restarts in a loop", 4, What::RestartLoop),
    slow(kind("frozen past the claim", 1, What::Freeze)),
    slow(kind("frozen, and a replica", 2, What::FreezeWithTwin)),
    slow(kind("two or three replicas", 5, What::Replicas)),
    kind("a hundred triggers", 3, What::Triggers),
    kind("token revoked", 4, What::TokenRevoked),
    kind("policy withdrawn", 4, What::PolicyWithdrawn),
    at(Place::Turn, kind("Vault sealed", 4, What::Seal)),
    at(Place::Turn, kind("Vault killed", 3, What::VaultKilled)),
    at(Place::Turn, kind("Vault restored", 4, What::Restored)),
    at(Place::Cluster, kind("Vault's leader killed", 3, What::LeaderKilled)),
    with(Need::Mount, kind("disk full", 4, What::DiskFull)),
    with(Need::Strace, kind("fsync fails", 4, What::SyncError)),
    slow(kind("escrow file damaged", 3, What::EscrowDamaged)),
    with(Need::Faketime, kind("clock jumps", 3, What::ClockJump)),
];

/// What stands against a kind on this machine.
pub(crate) fn left_out(kind: &Kind, tools: &Tools) -> Option<&'static str> {
    kind.need.filter(|need| !tools.have(*need)).map(Need::missing)
}

/// The kinds that a campaign draws from.
pub(crate) fn drawn(quick: bool, only: Option<&str>, tools: &Tools) -> Vec<Kind> {
    let wanted = |kind: &&Kind| match only {
        Some(name) => kind.name == name,
        None => kind.is_quick || !quick,
    };
    KINDS.iter().filter(wanted).filter(|kind| left_out(kind, tools).is_none()).copied().collect()
}

/// When a fault comes, seen from the provider's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the rotation is asked for.
    Before,
    /// The provider has acted, and its answer is on its way.
    InCall,
}

/// How a provider answers badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    Lost,
    Hangs,
    Cut(usize),
    Garbled,
    Empty,
    Null,
    ActsAnd(u16),
    Refuses(u16),
    Limits,
    RequestLost,
}

/// What goes wrong when a key that nobody needs is to be found or revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uncleared {
    /// The answers to the list.
    List(Bad),
    /// The answers to the revocation.
    Revocation(Bad),
    /// The way to the provider.
    Wire(Trouble),
    /// keyturn dies so long after the rotation.
    Killed(Duration),
}

/// To which state of Vault a snapshot goes back, and when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restore {
    /// From before the rotation, while its answer is on its way.
    BeforeToCall,
    /// From before the rotation, after its end.
    BeforeToEnd,
    /// From the middle of the call, after the end.
    CallToEnd,
}

/// One fault with everything that is chosen about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The first so many exchanges pass: an access token, or a read before the call.
    ProviderWire {
        passing: u32,
        trouble: Trouble,
        aim: Aim,
        times: u32,
    },
    VaultWire {
        trouble: Trouble,
        aim: Aim,
        times: u32,
        when: When,
    },
    Answers {
        bad: Bad,
        times: u64,
    },
    KillAnytime {
        after: Duration,
        answer_after: Duration,
    },
    KillAtPoint {
        point: &'static str,
    },
    Clearing {
        uncleared: Uncleared,
        times: u32,
    },
    RestartLoop {
        times: u64,
        lives: Duration,
    },
    Freeze {
        with_twin: bool,
    },
    Replicas {
        count: usize,
        kill_after: Option<Duration>,
        comes_back: bool,
    },
    Triggers,
    TokenRevoked {
        when: When,
    },
    PolicyWithdrawn {
        when: When,
        lasts: Duration,
    },
    Seal {
        when: When,
        lasts: Duration,
    },
    VaultKilled {
        when: When,
        lasts: Duration,
    },
    Restored {
        restore: Restore,
        restart: bool,
    },
    LeaderKilled {
        when: When,
    },
    DiskFull {
        when: When,
    },
    SyncError {
        first: u64,
    },
    EscrowDamaged {
        at: u64,
    },
    ClockJump {
        when: When,
        seconds: i64,
    },
}

impl Fault {
    /// One of a kind, with all its details from the dice.
    pub(crate) fn draw(kinds: &[Kind], provider: &Provider, dice: &mut Dice) -> Option<(Kind, Self)> {
        let possible = |kind: &&Kind| kind.what != What::Clearing || provider.plan().creates.is_some();
        let kinds = || kinds.iter().filter(possible);
        let mut left = dice.roll(kinds().map(|kind| kind.weight).sum());
        let kind = kinds().find(|kind| {
            let found = left < kind.weight;
            left = left.saturating_sub(kind.weight);
            found
        })?;
        Some((*kind, Self::of(kind.what, provider, dice)))
    }

    fn of(what: What, provider: &Provider, dice: &mut Dice) -> Self {
        let aim = dice.pick(Aim::Writes, &[Aim::Writes, Aim::Writes, Aim::Any]);
        let when = dice.pick(When::Before, &[When::InCall, When::InCall]);
        let lasts = Duration::from_millis(200) + dice.time(Duration::from_millis(900));
        match what {
            What::ProviderWire => Self::ProviderWire {
                passing: dice.pick(0, &[0, 0, 1, 2, 3]),
                trouble: trouble(dice),
                aim,
                times: dice.pick(1, &[1, 1, 2, 3]),
            },
            What::VaultWire => {
                Self::VaultWire { trouble: trouble(dice), aim, times: dice.pick(1, &[1, 2, 3]), when }
            }
            What::Answer => Self::Answers { bad: bad(dice), times: dice.pick(1, &[1, 1, 1, 2, 3]) },
            What::KillAnytime => kill_anytime(provider, dice),
            What::KillAtPoint => Self::KillAtPoint { point: point(provider, dice) },
            What::Clearing => {
                Self::Clearing { uncleared: uncleared(provider, dice), times: dice.pick(1, &[1, 2, 3]) }
            }
            What::RestartLoop => Self::RestartLoop {
                times: 3 + dice.roll(4),
                lives: Duration::from_millis(20) + dice.time(Duration::from_millis(200)),
            },
            What::Freeze => Self::Freeze { with_twin: false },
            What::FreezeWithTwin => Self::Freeze { with_twin: true },
            What::Replicas => Self::Replicas {
                count: dice.pick(2, &[3]),
                kill_after: dice.one_in(2).then(|| dice.time(Duration::from_millis(80))),
                comes_back: !dice.one_in(8),
            },
            What::Triggers => Self::Triggers,
            What::TokenRevoked => Self::TokenRevoked { when },
            What::PolicyWithdrawn => Self::PolicyWithdrawn { when, lasts },
            What::Seal => Self::Seal { when, lasts },
            What::VaultKilled => Self::VaultKilled { when, lasts },
            What::Restored => Self::Restored {
                restore: dice.pick(Restore::BeforeToCall, &[Restore::BeforeToEnd, Restore::CallToEnd]),
                restart: dice.one_in(2),
            },
            What::LeaderKilled => Self::LeaderKilled { when },
            What::DiskFull => Self::DiskFull { when },
            What::SyncError => Self::SyncError { first: 1 + dice.roll(9) },
            What::EscrowDamaged => Self::EscrowDamaged { at: dice.roll(400) },
            What::ClockJump => {
                Self::ClockJump { when, seconds: dice.pick(600, &[-600, 7200, -7200, 90_000, -90_000]) }
            }
        }
    }
}

fn trouble(dice: &mut Dice) -> Trouble {
    let bytes = usize::try_from(dice.roll(420)).unwrap_or_default();
    match dice.roll(8) {
        0 => Trouble::CutRequest(bytes),
        1 => Trouble::CutAnswer(bytes),
        2 => Trouble::Reset(bytes),
        3 => Trouble::BlackHole,
        4 => Trouble::HalfClose,
        5 => Trouble::Drip(Duration::from_micros(200) + dice.time(Duration::from_millis(5))),
        // Inside the call's second.
        6 => Trouble::Hold(Duration::from_millis(100) + dice.time(Duration::from_millis(500))),
        // After it.
        _ => Trouble::Hold(Duration::from_millis(1_100) + dice.time(Duration::from_millis(600))),
    }
}

fn bad(dice: &mut Dice) -> Bad {
    let bytes = usize::try_from(dice.roll(60)).unwrap_or_default();
    let status = dice.pick(500, &[502, 503, 504]);
    match dice.roll(10) {
        0 => Bad::Lost,
        1 => Bad::Hangs,
        2 => Bad::Cut(bytes),
        3 => Bad::Garbled,
        4 => Bad::Empty,
        5 => Bad::Null,
        6 => Bad::ActsAnd(status),
        7 => Bad::Refuses(dice.pick(400, &[401, 403, 422, status])),
        8 => Bad::Limits,
        _ => Bad::RequestLost,
    }
}

fn uncleared(provider: &Provider, dice: &mut Dice) -> Uncleared {
    match dice.roll(5) {
        0 => Uncleared::List(bad(dice)),
        1 | 2 => Uncleared::Revocation(bad(dice)),
        3 => Uncleared::Wire(trouble(dice)),
        _ => Uncleared::Killed(dice.time(provider.is_busy_for() + Duration::from_millis(500))),
    }
}

fn kill_anytime(provider: &Provider, dice: &mut Dice) -> Fault {
    let most = provider.is_busy_for();
    // Half of the kills fall into the busy beginning.
    let most = if dice.one_in(2) { Duration::from_millis(40) } else { most };
    Fault::KillAnytime { after: dice.time(most), answer_after: dice.time(Duration::from_millis(20)) }
}

fn point(provider: &Provider, dice: &mut Dice) -> &'static str {
    let points: Vec<_> =
        keyturn::engine::crash::POINTS.iter().copied().filter(|point| provider.passes(point)).collect();
    dice.pick("after-answer", &points)
}
