//! `keyturn rotate --dry-run`: what would happen, and what stands in the way.

use serde::Serialize;

use super::arguments::RotateArguments;
use super::connect::Session;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::words::plain;
use crate::api::proto::{PlanRotationRequest, PlanRotationResponse};

pub(super) async fn plan(
    arguments: RotateArguments,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let request =
        PlanRotationRequest { credential: arguments.credential.to_string(), emergency: arguments.emergency };
    let plan = PlanView::new(&session.rotations.plan_rotation(request).await?.into_inner());
    if console.is_table() {
        print(&plan, console)?;
    } else {
        console.document(&plan)?;
    }
    Ok(if plan.is_blocked() { Exit::Refused } else { Exit::Done })
}

#[derive(Debug, Serialize)]
struct PlanView {
    steps: Vec<String>,
    if_answer_is_lost: String,
    old_key: String,
    a_person_is_asked: Vec<String>,
    findings: Vec<FindingView>,
}

#[derive(Debug, Serialize)]
struct FindingView {
    reason: String,
    message: String,
    blocking: bool,
}

impl PlanView {
    fn new(plan: &PlanRotationResponse) -> Self {
        let findings = plan.findings.iter().map(|finding| FindingView {
            reason: plain(&finding.reason),
            message: plain(&finding.message),
            blocking: finding.blocking,
        });
        Self {
            steps: plan.steps.iter().map(|step| plain(step)).collect(),
            if_answer_is_lost: plain(&plan.if_answer_is_lost),
            old_key: plain(&plan.old_key),
            a_person_is_asked: plan.a_person_is_asked.iter().map(|when| plain(when)).collect(),
            findings: findings.collect(),
        }
    }

    fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| finding.blocking)
    }
}

fn print(plan: &PlanView, console: &mut Console<'_>) -> Result<(), Failure> {
    console.paint(Tone::Strong, "A rotation would:")?;
    for (number, step) in (1..).zip(&plan.steps) {
        console.say(&format!("  {number}. {step}"))?;
    }
    console.paint(Tone::Strong, "If the provider's answer were lost:")?;
    console.say(&format!("  {}", plan.if_answer_is_lost))?;
    console.paint(Tone::Strong, "The old key:")?;
    console.say(&format!("  {}", plan.old_key))?;
    let nobody = plan.a_person_is_asked.is_empty();
    console.paint(
        Tone::Strong,
        if nobody { "No person would be asked." } else { "A person would be asked when:" },
    )?;
    for when in &plan.a_person_is_asked {
        console.say(&format!("  {when}"))?;
    }
    for finding in &plan.findings {
        let (tone, label) =
            if finding.blocking { (Tone::Alarm, "in the way") } else { (Tone::Caution, "to know") };
        console.paint(tone, &format!("{label}: {} [{}]", finding.message, finding.reason))?;
    }
    let (tone, verdict) = if plan.is_blocked() {
        (Tone::Alarm, "It would not start now. Nothing was changed.")
    } else {
        (Tone::Good, "Nothing stands in its way. Nothing was changed.")
    };
    Ok(console.paint(tone, verdict)?)
}
