//! Temporal facts: the model, its canonical bytes, and the verification of signed logs.
