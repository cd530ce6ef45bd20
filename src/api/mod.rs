//! What applications see: the gRPC services.

pub mod proto;
