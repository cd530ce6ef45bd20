//! The answers that were given lately, for callers that repeat a request id.
//!
//! Rotate needs none of this: its request id is in the record and survives a restart.

use std::collections::VecDeque;

use prost::Message;
use tokio::sync::Mutex;
use tonic::Status;

use super::status;

/// How many answers are remembered.
const REMEMBERED_MAX: usize = 256;

/// The newest successful answers of one service.
#[derive(Debug, Default)]
pub(super) struct Replay {
    answers: Mutex<VecDeque<Answered>>,
}

#[derive(Debug)]
struct Answered {
    request_id: String,
    method: &'static str,
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Replay {
    /// The answer that was given to the same request before; an error if the id was used for another one.
    pub(super) async fn find<Q: Message, R: Message + Default>(
        &self,
        request_id: Option<&str>,
        method: &'static str,
        request: &Q,
    ) -> Result<Option<R>, Status> {
        let Some(request_id) = request_id else { return Ok(None) };
        let answers = self.answers.lock().await;
        let Some(earlier) = answers.iter().find(|answered| answered.request_id == request_id) else {
            return Ok(None);
        };
        if earlier.method != method || earlier.request != request.encode_to_vec() {
            return Err(status::request_id_reused(request_id));
        }
        Ok(R::decode(earlier.response.as_slice()).ok())
    }

    /// Remembers an answer, in the place of the oldest one if there are too many.
    pub(super) async fn remember<Q: Message, R: Message>(
        &self,
        request_id: Option<String>,
        method: &'static str,
        request: &Q,
        response: &R,
    ) {
        let Some(request_id) = request_id else { return };
        let mut answers = self.answers.lock().await;
        if answers.len() >= REMEMBERED_MAX {
            answers.pop_front();
        }
        answers.push_back(Answered {
            request_id,
            method,
            request: request.encode_to_vec(),
            response: response.encode_to_vec(),
        });
    }
}
