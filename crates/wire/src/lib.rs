//! Messages between domains: serialisation, frames and limits.
