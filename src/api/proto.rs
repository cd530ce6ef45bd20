//! The code that is generated from `proto/keyturn/v1`, for the server and for clients.

#![expect(
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    unused_qualifications,
    reason = "generated code"
)]

tonic::include_proto!("keyturn.v1");

/// All descriptors of the package and of what it imports, as a serialized `FileDescriptorSet`.
pub const DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("keyturn_descriptor");
