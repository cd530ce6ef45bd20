//! Faults on the wire, and answers that are no answers; each meets so many exchanges, and is over.

use keyturn::testbed::Fault as AnswerFault;
use keyturn::testbed::tcp_proxy::{Aim, Trouble};

use super::super::faults::{Bad, When};
use super::super::stage::Stage;
use super::reach;

pub(super) async fn to_vault(
    stage: &mut Stage<'_>,
    trouble: Trouble,
    aim: Aim,
    times: u32,
    when: When,
) -> anyhow::Result<()> {
    stage.start().await?;
    let reached = reach(stage, when).await;
    stage.to_vault.arm(trouble, aim, times);
    reached.go_on(stage).await;
    Ok(())
}

pub(super) async fn bad_answers(stage: &mut Stage<'_>, bad: Bad, times: u64) -> anyhow::Result<()> {
    stage.start().await?;
    for _ in 0..times {
        stage.simulator.next_call(answer(bad));
    }
    stage.ask().await;
    Ok(())
}

pub(super) fn answer(bad: Bad) -> AnswerFault {
    match bad {
        Bad::Lost => AnswerFault::answer_lost(),
        Bad::Hangs => AnswerFault::answer_hangs(),
        Bad::Cut(bytes) => AnswerFault::answer_cut(bytes),
        Bad::Garbled => AnswerFault::answer_garbled(),
        Bad::Empty => AnswerFault::answer_empty(),
        Bad::Null => AnswerFault::answer_null(),
        Bad::ActsAnd(status) => AnswerFault::acts_and_answers(status),
        Bad::Refuses(status) => AnswerFault::refuses(status),
        Bad::Limits => AnswerFault::rate_limits(Some("1")),
        Bad::RequestLost => AnswerFault::request_lost(),
    }
}
