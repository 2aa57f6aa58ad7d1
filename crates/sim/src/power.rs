//! The power of a machine between two starts. Once it is cut, disk and socket do nothing more for whoever still holds
//! them, so a node that is being dropped can touch nothing.

use std::sync::Arc;

use tokio::sync::watch;

/// The power of a machine since its last start; never comes back. A handle: clones are the same power.
#[derive(Clone, Debug)]
pub struct Power(Arc<watch::Sender<bool>>);

impl Default for Power {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }
}

impl Power {
    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Cuts it.
    pub fn cut(&self) {
        self.0.send_replace(false);
    }

    /// Waits until it is cut.
    pub async fn lost(&self) {
        let mut state = self.0.subscribe();
        // The sender lives as long as this handle.
        let _ = state.wait_for(|is_on| !is_on).await;
    }
}
