//! stub
use crate::rotation::Plan;
/// stub
pub fn steps(_plan: &Plan) -> Vec<String> {
    Vec::new()
}
/// stub
pub fn if_answer_is_lost(_plan: &Plan) -> String {
    String::new()
}
