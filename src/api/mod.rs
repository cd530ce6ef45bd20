//! What applications see: the gRPC services.
