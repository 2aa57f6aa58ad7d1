//! The secrets of a domain: key files, signing, session keys and sealed frames.
