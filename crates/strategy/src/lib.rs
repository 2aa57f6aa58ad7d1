//! What is shared with whom, when and how.
//!
//! *Policies* say what: [`SyncPolicies`] decide, for a peer and a fact, whether it is shared, without which fields, and by
//! which rule. *Strategies* say when and how: a [`SyncStrategy`] makes a [`SyncPlan`] of what it may look at, and the
//! [`FactSynchronizationModel`] finds the strategy for a context. Both are read from one [`PolicyFile`]
//! (`docs/src/policies.md`, `docs/src/strategies.md`).
//!
//! What this crate deliberately does not do: it performs nothing. It sends, stores and remembers no fact, reads no clock,
//! draws no randomness and does no I/O; time and random bits are arguments, and the text of a policy file is one too.
//!
//! An engine asks [`PeerPolicy::shares_compartment`] before it names a log, [`PeerPolicy::shares_whole`] before it looks at
//! single facts, [`PeerPolicy::should_synchronize_fact`] for each of those otherwise, and [`PeerPolicy::digest`] with
//! [`PeerPolicy::next_edge`] to know how long its answers hold. [`Meters`] count what a rule limits. Of what is not shared,
//! [`PeerPolicy::opens_at`] says when it will be, and [`PeerPolicy::explain`] says why in words.
//!
//! ```
//! use causality_fact::{DomainId, FactType};
//! use causality_strategy::{Flow, Party, SyncPolicies};
//!
//! let policies = SyncPolicies::parse(
//!     r#"
//!         [groups]
//!         readers = ["press.*"]
//!
//!         [[out]]
//!         name = "strong and reviewed"
//!         peers = ["@readers"]
//!         compartments = ["public"]
//!         fact_types = ["observation"]
//!         labels = ["reviewed"]
//!         where = 'mag >= 2.5'
//!
//!         [[security]]
//!         name = "no internals"
//!         peers = ["*"]
//!         withhold = ["sig", "felt"]
//!     "#,
//! )?;
//! let (own, press) = (DomainId::new([1; 32]), DomainId::new([2; 32]));
//! let press = Party { domain: press, name: Some("press.herald") };
//! let policy = policies.get_policy_for_domain(Flow::Out, own, &press);
//! assert!(policy.shares_compartment("public", 0));
//! assert!(!policy.shares_compartment("ops", 0));
//! assert!(policies.sync_policies(Flow::Out)[0].allows_fact_type(&FactType::Observation));
//!
//! // A slip is found where it is, and the policy that was in force stays so.
//! let error = SyncPolicies::parse("[[out]]\nlabel = [\"reviewed\"]").unwrap_err();
//! let said = "line 2, column 1: there is no key `label` here; did you mean `labels`?";
//! assert_eq!(error.to_string(), said);
//! # Ok::<(), causality_strategy::InvalidPolicy>(())
//! ```

mod domains;
mod expression;
mod policy;
mod resources;

mod configured;
mod context;
mod model;
mod retry;
mod strategies;

pub use configured::ConfiguredStrategy;
pub use context::{AuthContext, Specificity, SyncContext, SyncContextKey, SyncMode};
pub use domains::{Domains, Party};
pub use expression::{EXPRESSION_BYTES_MAX, ExpressionError, parse_filter};
pub use model::{FactSynchronizationModel, SyncPlan, SyncStrategy, SyncView, When};
pub use policy::{
    BATCH_FACTS_MAX, DURATION_MS_MAX, DecidingRule, Decision, Finding, Flow, InvalidPolicy, Known,
    LIST_MAX, MEANING_BYTES_MAX, Meter, Meters, POLICY_BYTES_MAX, PeerPolicy, Pointless,
    PolicyDigest, PolicyError, PolicyFile, Protection, REPEAT_MS_MIN, RETRIES_MAX,
    RULE_NAME_BYTES_MAX, RULES_MAX, Refusal, SecurityPolicy, Share, Subject, SyncPolicies,
    SyncPolicy, SyncWindow, TRIGGERS_MAX, Terms, Volume, Window, suggest,
};
pub use resources::ResourceRegistry;
pub use retry::{BATCH_FACTS_FIRST, RetryPolicy, next_batch};
pub use strategies::{
    BidirectionalSyncStrategy, EventDrivenSyncStrategy, EventTrigger, Manner, Polling,
    PullSyncStrategy, PushSyncStrategy,
};
