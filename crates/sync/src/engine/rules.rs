//! What changes when the rules about a peer do: set by the owner of the engine, or by themselves as time passes.

use std::collections::BTreeSet;
use std::sync::Arc;

use causality_fact::DomainId;
use causality_strategy::Flow;

use super::Engine;
use crate::effect::PeerPolicies;
use crate::peers::Remembered;
use crate::session::Session;

impl Engine {
    pub(super) fn set_policies(&mut self, peer: DomainId, policies: PeerPolicies) {
        for (flow, policy) in [(Flow::Out, &policies.outward), (Flow::In, &policies.inward)] {
            if let Some(meters) = self.meters.get_mut(&(peer, flow)) {
                meters.retain(policy);
            }
        }
        let edges =
            [&policies.outward, &policies.inward].map(|policy| policy.next_edge(self.now_ms));
        edges
            .into_iter()
            .flatten()
            .for_each(|edge| self.wake_at(edge, peer));
        let policies = Arc::new(policies);
        let before = self.policies.insert(peer, Arc::clone(&policies));
        if before == Some(policies) {
            return;
        }
        self.wake_for_volumes(peer);
        self.weigh_stubs();
        self.policies_changed(|session| session.peer() == peer);
    }

    /// What was put off since a volume was used up is due when that is over, also after a restart.
    fn wake_for_volumes(&mut self, peer: DomainId) {
        let is_of = |of: &DomainId| *of == peer;
        let declined = self.declined.iter().filter(|((of, _), _)| is_of(of));
        let settled = self.settlements.iter().filter(|((of, _), _)| is_of(of));
        let declined = declined.map(|(_, declined)| declined.until_ms());
        let settled = settled.map(|(_, settlement)| settlement.rules.until_ms());
        let due: BTreeSet<_> = declined.chain(settled).collect();
        due.into_iter()
            .for_each(|until_ms| self.wake_at(until_ms, peer));
    }

    /// Forgets what was put off from a peer where there is room again.
    fn make_room(&mut self, peer: DomainId) {
        let now_ms = self.now_ms;
        let all = self.declined.iter_mut();
        let of_peer = all.filter(|((of, _), _)| *of == peer);
        let made = of_peer.filter_map(|((_, log), declined)| {
            let has_room = declined.make_room(now_ms);
            has_room.then_some(*log)
        });
        let made: Vec<_> = made.collect();
        for log in made {
            self.remember(Remembered::Declined(peer, log));
        }
    }

    fn policies_changed(&mut self, concerns: impl Fn(&Session) -> bool) {
        let concerned = self
            .sessions
            .iter()
            .filter(|(_, session)| concerns(session));
        let ids: Vec<_> = concerned.map(|(id, _)| *id).collect();
        for id in ids {
            self.with_session(id, |session, engine| session.policies_changed(engine));
        }
    }

    /// The next time at which an input is wanted, whatever it is: what peers may have changes then by itself.
    pub fn wakes_at(&self) -> Option<u64> {
        // A gate that was restored goes on with the first input.
        let gate = (!self.gate.is_idle()).then_some(0);
        let wakes = self.wakes.first().map(|(time_ms, _)| *time_ms);
        let patient = self.patient.first().map(|(time_ms, ..)| *time_ms);
        [gate, wakes, patient].into_iter().flatten().min()
    }

    pub(crate) fn wake_at(&mut self, time_ms: u64, peer: DomainId) {
        if time_ms < u64::MAX {
            self.wakes.insert((time_ms, peer));
        }
    }

    /// A time has come at which rules change, or a volume is free again. Nobody else hears of it than those whom they are
    /// about: when others have something to expect is not theirs to know.
    pub(super) fn wake(&mut self) {
        let behind = (self.now_ms + 1, DomainId::new([0; 32]));
        let ahead = self.wakes.split_off(&behind);
        let due = std::mem::replace(&mut self.wakes, ahead);
        let peers: BTreeSet<_> = due.into_iter().map(|(_, peer)| peer).collect();
        for peer in &peers {
            self.make_room(*peer);
            let Some(policies) = self.policies(*peer) else {
                continue;
            };
            let both = [&policies.outward, &policies.inward];
            let edges = both.map(|policy| policy.next_edge(self.now_ms));
            let edges = edges.into_iter().flatten();
            edges.for_each(|edge| self.wake_at(edge, *peer));
        }
        self.policies_changed(|session| peers.contains(&session.peer()));
    }
}
