//! A handle without a task behind it, for tests of what stands in front of the engine.

use tokio::sync::{mpsc, watch};

use super::handle::{Command, Handle, PlanReport, Rejection, RotateRequest};
use super::snapshot::Snapshot;
use crate::ids::RotationId;
use crate::rotation::Decision;

/// What a scripted handle was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// To start a rotation.
    Rotate(RotateRequest),
    /// To drop a rotation.
    Cancel(RotationId),
    /// To carry out a decision.
    Resolve(RotationId, Decision),
    /// To pause, for this reason.
    Pause(String),
    /// To resume.
    Resume,
    /// To plan, as an emergency or not.
    Plan(bool),
}

/// What the script says to it; one that does not fit the question counts as a shutdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The rotation's id.
    Rotation(RotationId),
    /// Done.
    Done,
    /// The plan.
    Plan(PlanReport),
}

/// A handle that shows `snapshots` and answers as `script` says. Must be called in a runtime.
pub fn scripted(
    snapshots: watch::Receiver<Snapshot>,
    mut script: impl FnMut(Asked) -> Result<Said, Rejection> + Send + 'static,
) -> Handle {
    let (sender, mut commands) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(command) = commands.recv().await {
            answer(command, &mut script);
        }
    });
    Handle::new(snapshots, sender)
}

fn answer(command: Command, script: &mut impl FnMut(Asked) -> Result<Said, Rejection>) {
    let done = |said| match said {
        Ok(Said::Done) => Ok(()),
        Ok(_) => Err(Rejection::Stopping),
        Err(rejection) => Err(rejection),
    };
    // A caller that went away needs no answer.
    match command {
        Command::Rotate(request, reply) => drop(reply.send(match script(Asked::Rotate(request)) {
            Ok(Said::Rotation(id)) => Ok(id),
            Ok(_) => Err(Rejection::Stopping),
            Err(rejection) => Err(rejection),
        })),
        Command::Plan(emergency, reply) => drop(reply.send(match script(Asked::Plan(emergency)) {
            Ok(Said::Plan(report)) => Ok(report),
            Ok(_) => Err(Rejection::Stopping),
            Err(rejection) => Err(rejection),
        })),
        Command::Cancel(id, reply) => drop(reply.send(done(script(Asked::Cancel(id))))),
        Command::Resolve(id, decision, reply) => drop(reply.send(done(script(Asked::Resolve(id, decision))))),
        Command::Pause(reason, reply) => drop(reply.send(done(script(Asked::Pause(reason))))),
        Command::Resume(reply) => drop(reply.send(done(script(Asked::Resume)))),
    }
}
