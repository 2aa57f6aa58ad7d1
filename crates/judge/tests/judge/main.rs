//! The judge against small worlds: honest ones pass, and each rule sees the violation that is planted for it.

mod planted;
mod world;
