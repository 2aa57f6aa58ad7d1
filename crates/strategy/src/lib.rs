//! What is shared with whom, when and how.
mod context;
mod domains;
mod expression;
mod model;
mod policy;
mod retry;
mod strategies;

pub use context::{AuthContext, Specificity, SyncContext, SyncContextKey, SyncMode};
pub use domains::{Domains, Party};
pub use expression::{EXPRESSION_BYTES_MAX, ExpressionError, parse_filter};
pub use model::{FactSynchronizationModel, SyncPlan, SyncStrategy, SyncView, When};
pub use policy::{
    Decision, Finding, Flow, InvalidPolicy, Known, LIST_MAX, Meter, POLICY_BYTES_MAX, PeerPolicy,
    Pointless, PolicyDigest, PolicyError, Protection, RULE_NAME_BYTES_MAX, RULES_MAX, Refusal,
    SecurityPolicy, Share, Subject, SyncPolicies, SyncPolicy, SyncWindow, Volume, Window,
};
pub use retry::{BATCH_FACTS_FIRST, RetryPolicy, next_batch};
pub use strategies::{
    BidirectionalSyncStrategy, EventDrivenSyncStrategy, EventTrigger, Manner, Polling,
    PullSyncStrategy, PushSyncStrategy,
};
