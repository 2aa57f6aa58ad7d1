//! A running domain: drives the protocol over store, network, clock and randomness.
