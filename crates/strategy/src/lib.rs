//! What is shared with whom, when and how.
mod context;
mod domains;
mod expression;
mod model;
mod retry;
mod strategies;

pub use context::{AuthContext, Specificity, SyncContext, SyncContextKey, SyncMode};
pub use domains::{Domains, Party};
pub use expression::{EXPRESSION_BYTES_MAX, ExpressionError, parse_filter};
pub use model::{FactSynchronizationModel, SyncPlan, SyncStrategy, SyncView, When};
pub use retry::{BATCH_FACTS_FIRST, RetryPolicy, next_batch};
pub use strategies::{
    BidirectionalSyncStrategy, EventDrivenSyncStrategy, EventTrigger, Manner, Polling,
    PullSyncStrategy, PushSyncStrategy,
};
