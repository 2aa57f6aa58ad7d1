//! Tests of several modules together.

mod vectors;
