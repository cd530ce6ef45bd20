//! Keys that live side by side at a simulated provider: how many there are, their list, and how one dies.

use jiff::Timestamp;

use super::document::put;
use super::exchange::{Received, Reply};
use super::{Asked, Key, Simulator, Trouble};
use crate::clock::Clock;
use crate::ids::KeyId;
use crate::provider::definition::NextPage;
use crate::provider::wire::{Call, ListCall, RevokeCall};
use crate::rotation::Plan;

/// What a list shows of a key that no rotation made.
const BY_HAND: &str = "made by hand";

/// How many keys are there at first: one in each of several slots, or the credential's, and where there is room one that is none of keyturn's.
pub(super) fn there_before(plan: &Plan, trouble: Trouble) -> usize {
    let Some(creates) = &plan.creates else { return plan.slots.len().max(1) };
    match (trouble, creates.keys_max) {
        (Trouble::NoPlace, Some(max)) => usize::try_from(max).unwrap_or(usize::MAX),
        // One of keyturn's own may be a stray for a while, beside the old key and the new one.
        (_, Some(..4)) => 1,
        _ => 2,
    }
}

/// The id of a key, by its number.
pub(super) fn key_id(number: usize) -> String {
    format!("key-{number}")
}

impl<C: Clock> Simulator<C> {
    /// The id of the key that is there at first.
    pub fn first_key() -> Option<KeyId> {
        key_id(0).parse().ok()
    }

    /// The id of a key, by its number.
    #[cfg(feature = "testbed")]
    pub(crate) fn id_of(number: usize) -> String {
        key_id(number)
    }

    /// The numbers of the keys that live.
    pub fn living(&self) -> Vec<usize> {
        let now = self.clock.now();
        let state = self.state.borrow();
        let living = state.keys.iter().enumerate().filter(|(_, key)| now < key.dies_at);
        living.map(|(number, _)| number).collect()
    }

    /// The numbers of the keys that are none of keyturn's.
    pub fn foreign(&self) -> Vec<usize> {
        (1..there_before(self.bound.plan(), self.trouble)).collect()
    }

    /// Whether one more key may live.
    pub(super) fn has_a_place(&self) -> bool {
        let keys_max = self.bound.plan().creates.as_ref().and_then(|creates| creates.keys_max);
        keys_max.is_none_or(|max| self.living().len() < usize::try_from(max).unwrap_or(usize::MAX))
    }

    /// The page of the list of its keys that a request asks for, if it asks for one.
    pub(super) fn page_of(&self, received: &Received) -> Option<(usize, Call)> {
        let list = self.bound.wire.list.as_ref()?;
        (0..=self.living().len()).find_map(|page| {
            let call = list.page(page_name(list, page).as_deref());
            received.is(call.method.as_str(), &call.path_and_query).then_some((page, call))
        })
    }

    /// A page of the list of its keys; where there are pages, each has one key.
    pub(super) fn list(&self, received: &Received) -> Reply {
        let Some((list, (page, call))) = self.bound.wire.list.as_ref().zip(self.page_of(received)) else {
            return Reply::status(404);
        };
        if !self.may_ask(received, &call) {
            return Reply::status(401);
        }
        let living = self.living();
        let shown: Vec<usize> = match list.next {
            Some(_) => living.get(page).copied().into_iter().collect(),
            None => living.clone(),
        };
        let mut body = self.success();
        put(&mut body, list.keys.as_str(), serde_json::json!([]));
        for (index, number) in shown.into_iter().enumerate() {
            let item = format!("{}/{index}", list.keys.as_str());
            put(&mut body, &format!("{item}{}", list.id.as_str()), key_id(number).into());
            put(&mut body, &format!("{item}{}", list.label.as_str()), self.label(list, number).into());
        }
        match &list.next {
            Some(NextPage::Number(pages)) => {
                if let Some(last) = &pages.last {
                    let number =
                        usize::try_from(pages.first).unwrap_or_default() + living.len().saturating_sub(1);
                    put(&mut body, last.as_str(), number.into());
                }
            }
            Some(NextPage::Cursor(cursor)) if page + 1 < living.len() => {
                put(&mut body, cursor.at.as_str(), page_name(list, page + 1).into());
            }
            Some(NextPage::Cursor(_)) | None => {}
        }
        Reply::json(200, &body)
    }

    fn label(&self, list: &ListCall, number: usize) -> String {
        let state = self.state.borrow();
        let rotation = state.keys.get(number).and_then(|key| key.rotation);
        rotation.zip(list.labels.first()).map_or_else(
            || BY_HAND.to_owned(),
            |(rotation, (before, after))| format!("{before}{rotation}{after}"),
        )
    }

    /// The answer to a request that ends the life of one of two keys: that of the first, if the pending one is activated.
    pub(super) fn end_phase(&self, received: &Received, asked: Asked) -> Reply {
        let wire = &self.bound.wire;
        let (step, dying) = if asked == Asked::Activate { (&wire.activate, 0) } else { (&wire.discard, 1) };
        let Some((step, call)) = phase_in(received, step.as_ref()) else { return Reply::status(404) };
        if !self.may_ask(received, &call) {
            return Reply::status(401);
        }
        let living = self.living();
        let Some(number) = living.get(dying).filter(|_| living.len() == 2) else {
            return Reply::status(step.gone.first().copied().unwrap_or(404));
        };
        self.kill(*number);
        let is_first = self.state.borrow().heard.iter().all(|heard| heard.what != asked.in_words());
        if self.trouble == Trouble::RevocationLost && is_first {
            return Reply::nothing();
        }
        let status = step.statuses.first().copied().unwrap_or(200);
        if status == 204 { Reply::status(status) } else { Reply::json(status, &self.success()) }
    }

    /// The keys that a request may ask to revoke, each with the step of that which it is.
    pub(super) fn revocations_in(&self, received: &Received) -> Vec<(usize, usize, KeyId, Call)> {
        let numbers = 0..self.state.borrow().keys.len();
        let steps = self.bound.wire.revoke.iter().enumerate();
        let asked = steps.flat_map(|(index, step)| {
            numbers.clone().filter_map(move |number| {
                let key: KeyId = key_id(number).parse().ok()?;
                let call = step.of(&key)?;
                let is_it = received.is(call.method.as_str(), &call.path_and_query);
                is_it.then_some((index, number, key, call))
            })
        });
        asked.collect()
    }

    /// The answer to a request to revoke a key; the last of several lets it die.
    pub(super) fn revoke(&self, received: &Received) -> Reply {
        let mut asked = self.revocations_in(received).into_iter();
        let meant = asked.find(|(_, _, key, call)| self.may_ask_about(received, call, Some(key)));
        let Some((index, number, ..)) = meant else { return Reply::status(401) };
        let steps = &self.bound.wire.revoke;
        let Some(step) = steps.get(index) else { return Reply::status(404) };
        let is_there = self.living().contains(&number);
        let status = if is_there { step.statuses.first() } else { step.gone.first() };
        if is_there && index + 1 == steps.len() {
            self.kill(number);
            let is_first =
                self.state.borrow().keys.iter().filter(|key| key.dies_at != Timestamp::MAX).count() == 1;
            if self.trouble == Trouble::RevocationLost && is_first {
                return Reply::nothing();
            }
        }
        let status = status.copied().unwrap_or(404);
        let is_empty = status == 204 || !(200..300).contains(&status);
        if is_empty { Reply::status(status) } else { Reply::json(status, &self.success()) }
    }

    /// Lets a key die.
    pub fn kill(&self, number: usize) {
        let now = self.clock.now();
        let die = |key: &mut Key| key.dies_at = now;
        self.state.send_modify(|state| state.keys.get_mut(number).into_iter().for_each(die));
    }
}

/// The step that a request activates a pending key by, or discards it by, if it is that.
pub(super) fn phase_in<'a>(
    received: &Received,
    step: Option<&'a RevokeCall>,
) -> Option<(&'a RevokeCall, Call)> {
    let call = step?.of(&KeyId::of_the_pending_key())?;
    received.is(call.method.as_str(), &call.path_and_query).then_some((step?, call))
}

/// How the answer before it names a page; the first has no name.
fn page_name(list: &ListCall, page: usize) -> Option<String> {
    match &list.next {
        Some(NextPage::Number(pages)) if page > 0 => {
            Some((usize::try_from(pages.first).unwrap_or_default() + page).to_string())
        }
        Some(NextPage::Cursor(_)) if page > 0 => Some(format!("page-{page}")),
        _ => None,
    }
}
