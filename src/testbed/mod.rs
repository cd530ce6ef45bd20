//! Provider simulators and a throw-away OpenBao, for the demo and the tests.

pub mod openbao;
