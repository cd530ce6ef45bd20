//! Asking a credential's task, for a bounded time.

use std::future::Future;
use std::time::Duration;

use tonic::Status;

use super::status;
use crate::clock::Clock;
use crate::engine::Rejection;
use crate::ids::CredentialName;

/// How long a task may take to answer; shorter than the server's own bound, which can give no details.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// The task's answer, or what to tell the caller instead.
pub(super) async fn ask<T>(
    clock: &impl Clock,
    credential: &CredentialName,
    answer: impl Future<Output = Result<T, Rejection>>,
) -> Result<T, Status> {
    tokio::time::timeout(ANSWER_TIMEOUT, answer)
        .await
        .map_err(|_| status::no_answer(credential))?
        .map_err(|rejection| status::rejected(&rejection, credential, clock.now()))
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_answer_is_not_reported_as_repeatable() {
        let silence = std::future::pending::<Result<(), Rejection>>();
        let status = ask(&SystemClock::start(), &"adyen".parse().unwrap(), silence).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "NO_ANSWER");
    }
}
