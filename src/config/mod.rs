//! The configuration file: parsed, checked as a whole, turned into what the engine needs.
