//! A world: domains on machines in one network, and what happens to them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use causality_judge::history::{Event, Header, Scope};
use causality_node::{Node, PeerConfig};
use causality_store::RedbStore;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::book::{Book, Circle};
use crate::clients::Clients;
use crate::clock::{Rate, SimClock};
use crate::disk::DiskState;
use crate::dump::{Dump, Owner, dump};
use crate::happening::Happening;
use crate::history::{HISTORY_VERSION, History, domain_id, extents};
use crate::machine::{Backup, Machine};
use crate::network::Network;
use crate::rules::Terms;
use crate::script::{Action, Index, Mode, Script};
use crate::trace::Trace;

/// Who knows whom in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the shapes that there are")]
pub enum Shape {
    /// Everybody knows everybody.
    Full,
    /// Each knows the next.
    Line,
    /// Each knows the next, and the last the first.
    Ring,
    /// All know the first only.
    Star,
}

/// Who gives what to whom in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the ways that there are")]
pub enum Sharing {
    /// Everybody gives everything to everybody he knows.
    Public,
    /// So, and some facts are for some domains only, which give them to each other.
    Circles,
    /// Likewise, but what of a fact is given and taken rules say, which change.
    Rules,
}

/// What a world is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct Plan {
    /// Everything random follows from it.
    pub seed: u64,
    /// How many domains there are.
    pub domains: usize,
    /// Who knows whom.
    pub shape: Shape,
    /// What may be expected of it.
    pub mode: Mode,
    /// Who gives what to whom.
    pub sharing: Sharing,
    /// Whether clients append and read by themselves.
    pub has_clients: bool,
}

/// Domains on machines in one network.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    network: Network,
    machines: Vec<Machine>,
    clients: Clients,
    /// Pairs that know each other now.
    acquainted: BTreeSet<(usize, usize)>,
    /// What is still to be done, and when; of what is due at once the first comes first.
    agenda: BTreeMap<(Duration, u64), Action>,
    scheduled: u64,
    lost_power: mpsc::UnboundedReceiver<usize>,
    power_lost: mpsc::UnboundedSender<usize>,
    folder: TempDir,
}

impl World {
    /// A world whose nodes all run, and which nothing has happened to yet. Must be made on a runtime with paused time.
    pub async fn new(plan: Plan, trace: Trace) -> Result<Self> {
        let header = Header {
            version: HISTORY_VERSION,
            seed: plan.seed,
            domains: u32::try_from(plan.domains)?,
            mode: match plan.mode {
                Mode::Liveness => causality_judge::history::Mode::Liveness,
                Mode::Safety => causality_judge::history::Mode::Safety,
            },
        };
        let machine = |index| Machine::new(index, plan.seed, &trace);
        let machines = (0..plan.domains).map(machine).collect::<Result<Vec<_>>>()?;
        let names = machines.iter().map(|one| (one.domain(), one.name));
        let book = Book::new(&plan, machines.iter().map(Machine::domain).collect());
        for (index, machine) in machines.iter().enumerate() {
            machine.join(&book.circles_of(index)).await?;
        }
        let (power_lost, lost_power) = mpsc::unbounded_channel();
        let mut world = Self {
            plan,
            network: Network::new(plan.seed, &trace),
            clients: Clients {
                history: History::new(header, &trace),
                book,
                names: Arc::new(names.collect()),
                is_quiet: Arc::new(AtomicBool::new(!plan.has_clients)),
                requests: Arc::default(),
                trace,
            },
            machines,
            acquainted: plan.shape.pairs(plan.domains),
            agenda: BTreeMap::new(),
            scheduled: 0,
            lost_power,
            power_lost,
            folder: tempfile::tempdir().context("no folder for backups")?,
        };
        for index in 0..plan.domains {
            world.boot(index).await?;
            ensure!(
                world.machines[index].running.is_some(),
                "a node does not start"
            );
        }
        Ok(world)
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.clients.trace
    }

    /// What was asked and said so far.
    pub fn history(&self) -> &History {
        &self.clients.history
    }

    /// A machine.
    pub fn machine(&self, index: Index) -> &Machine {
        &self.machines[index.0]
    }

    /// The node of a machine that runs.
    pub fn node(&self, index: Index) -> Result<&Node> {
        let machine = &self.machines[index.0];
        let running = machine.running.as_ref();
        let running = running.with_context(|| format!("{} does not run", machine.name))?;
        Ok(&running.node)
    }

    /// The clients of its nodes, for one request more.
    pub fn clients(&self) -> Clients {
        self.clients.clone()
    }

    /// Lets the actions of a script happen when their time has come, counted from now.
    pub fn follow(&mut self, script: Script) {
        for (after, action) in script.into_actions() {
            self.schedule(after, action);
        }
    }

    /// Lets an action happen after so long.
    pub fn schedule(&mut self, after: Duration, action: Action) {
        let key = (self.clients.trace.now() + after, self.scheduled);
        self.scheduled += 1;
        self.agenda.insert(key, action);
    }

    /// Lets so much time pass, with all that happens in it.
    pub async fn run(&mut self, length: Duration) -> Result<()> {
        let end = self.clients.trace.now() + length;
        loop {
            let next = self.agenda.first_key_value().map(|(key, _)| key.0);
            let until = next.map_or(end, |next| next.min(end));
            let wait = until.saturating_sub(self.clients.trace.now());
            tokio::select! {
                biased;
                Some(index) = self.lost_power.recv() => self.lost_power(index),
                () = sleep(wait) => {
                    let due = next.is_some_and(|next| next <= self.clients.trace.now());
                    let due = if due { self.agenda.pop_first() } else { None };
                    match due {
                        Some((_, action)) => self.perform(action).await?,
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    /// Does something to the world now.
    pub async fn perform(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Backup(Index(index)) => self.back_up(index).await?,
            Action::Boot(Index(index)) => self.boot(index).await?,
            Action::ClockRate(Index(index), rate) => {
                self.tell(index, &format!("its clock runs at {} ppm", rate.0));
                self.set_clock(index, |clock| clock.set_rate(rate));
                match rate {
                    Rate::RIGHT => {}
                    Rate::STOPPED => self.fired(Happening::ClockStopped),
                    _ => self.fired(Happening::ClockDrifted),
                }
            }
            Action::ClockJump(Index(index), by_ms) => {
                self.tell(index, &format!("its clock jumps by {by_ms} ms"));
                self.set_clock(index, |clock| clock.jump(by_ms));
                self.fired(Happening::ClockJumped);
            }
            Action::ChangeRules(Index(from), Index(to), seed) => {
                self.change_rules(from, to, |terms, circles| {
                    terms.changed(circles, &mut ChaCha8Rng::seed_from_u64(seed))
                })
                .await?;
            }
            Action::CutPower(Index(index), Some(operations)) => {
                self.machines[index].disk.cut_after(Some(operations));
            }
            Action::CutPower(Index(index), None) => {
                if self.machines[index].running.is_some() {
                    self.fired(Happening::PowerCutIdle);
                    self.lost_power(index);
                }
            }
            Action::Disk(Index(index), state) => {
                self.tell(index, &format!("its disk is {state:?}"));
                self.machines[index].disk.set_state(state);
                if state == DiskState::Good {
                    self.boot(index).await?;
                }
            }
            Action::Dump(Index(index)) => {
                let name = self.machines[index].name;
                let is_written = self.dump(index, false).await?;
                let what = if is_written { "is" } else { "cannot be" };
                self.clients
                    .trace
                    .tell(name, &format!("{what} looked into"));
            }
            Action::DropPeers(Index(a), Index(b)) => {
                if self.acquainted.remove(&(a.min(b), a.max(b))) {
                    self.tell(
                        a,
                        &format!("and {} know each other no more", self.machines[b].name),
                    );
                    self.fired(Happening::PeerDropped);
                    self.introduce(a).await;
                    self.introduce(b).await;
                }
            }
            Action::KnowPeers(Index(a), Index(b)) => {
                let pair = (a.min(b), a.max(b));
                let may = self.plan.shape.pairs(self.plan.domains).contains(&pair);
                if may && self.acquainted.insert(pair) {
                    self.tell(a, &format!("and {} know each other", self.machines[b].name));
                    self.introduce(a).await;
                    self.introduce(b).await;
                }
            }
            Action::Link(Index(from), Index(to), conditions) => {
                let what = match (
                    conditions.is_cut,
                    conditions == crate::link::Conditions::GOOD,
                ) {
                    (true, _) => "is cut",
                    (_, true) => "is good",
                    _ => "is bad",
                };
                self.tell(
                    from,
                    &format!("the link to {} {what}", self.machines[to].name),
                );
                let link = (self.machines[from].address, self.machines[to].address);
                self.network.change(link, |now| *now = conditions);
            }
            Action::RepeatFrames(Index(index)) => {
                self.tell(index, "somebody repeats its next frames");
                self.machines[index].meddler.repeat_next();
            }
            Action::Restore(Index(index)) => self.restore(index).await?,
            Action::SlipIn(Index(index)) => self.slip_in(index).await?,
            Action::SlowDisk(Index(index), delay) => {
                self.tell(index, &format!("its disk takes {delay:?} longer"));
                self.machines[index].slowness.set(delay);
            }
            Action::Stop(Index(index)) => self.stop(index).await,
        }
        Ok(())
    }

    /// Changes the rules of a machine about another. A node that runs is told, and asked whether it has heard.
    pub(crate) async fn change_rules(
        &mut self,
        from: usize,
        to: usize,
        change: impl FnOnce(Terms, &[Circle]) -> Terms,
    ) -> Result<()> {
        let Clients { book, history, .. } = &self.clients;
        let before = book.changes();
        book.change(from, to, change);
        if book.changes() == before {
            return Ok(());
        }
        self.fired(Happening::RulesChanged);
        let (name, of) = (self.machines[from].name, self.machines[to].name);
        self.tell(from, &format!("has other rules about {of}"));
        let told = book.told(from);
        told.into_iter().for_each(|told| history.write(name, told));
        let policies = book.policies(from)?;
        if let Some(running) = &self.machines[from].running {
            let node = running.node.clone();
            // It may have lost its power. If it answers, it has taken up what it was told before.
            if node.set_policies(policies).await.is_ok() && node.status().await.is_ok() {
                history.write(name, Event::Obeys {});
            }
        }
        Ok(())
    }

    fn set_clock(&self, index: usize, set: impl FnOnce(&SimClock)) {
        let machine = &self.machines[index];
        set(&machine.clock);
        let (shows, rate) = machine.clock.shows();
        let clock = Event::Clock {
            shows,
            rate: rate.0,
        };
        self.clients.history.write(machine.name, clock);
    }

    /// Starts a node, unless it runs or its disk does not let it.
    async fn boot(&mut self, index: usize) -> Result<()> {
        let (peers, policies) = (self.peers(index), self.clients.book.policies(index)?);
        let machine = &mut self.machines[index];
        if machine.running.is_some() {
            return Ok(());
        }
        let (name, disk) = (machine.name, machine.disk.clone());
        let is_first = machine.starts == 0;
        let trace = self.clients.trace.clone();
        if let Err(error) = machine
            .start(&self.network, (peers, policies), &trace)
            .await
        {
            let excused = disk.state() != DiskState::Good;
            if excused || disk.take_cut() {
                trace.tell(name, &format!("does not start: {error:#}"));
                disk.lose_power();
                self.schedule(BOOT_PAUSE, Action::Boot(Index(index)));
                return Ok(());
            }
            bail!("{name} does not start although its disk is good: {error:#}");
        }
        trace.tell(name, if is_first { "starts" } else { "starts again" });
        let history = &self.clients.history;
        if is_first {
            let domain = domain_id(machine.domain());
            history.write(name, Event::Started { domain });
            let all = |circle: Circle| Scope {
                origin: None,
                compartment: circle.id,
            };
            let circles = self.clients.book.circles_of(index).into_iter();
            let to = circles.map(all).collect();
            if !self.clients.book.has_rules() {
                history.write(name, Event::Entitled { to });
            }
            let (shows, Rate(rate)) = machine.clock.shows();
            history.write(name, Event::Clock { shows, rate });
            let rules = self.clients.book.told(index);
            rules.into_iter().for_each(|told| history.write(name, told));
        } else {
            history.write(name, Event::Restarted {});
        }
        self.attend(index);
        Ok(())
    }

    /// Gives a node that has just started its clients.
    fn attend(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        let (name, seed) = (machine.name, machine.seed ^ (machine.starts << 48));
        let domain = machine.domain();
        let Some(running) = &mut machine.running else {
            return;
        };
        let node = running.node.clone();
        if let Some(events) = node.events() {
            let clients = self.clients.clone();
            running
                .tasks
                .spawn(async move { clients.watch((name, domain), events).await });
        }
        let (power, power_lost) = (running.power.clone(), self.power_lost.clone());
        running.tasks.spawn(async move {
            power.lost().await;
            // The world outlives its machines.
            let _ = power_lost.send(index);
        });
        if self.plan.has_clients {
            let random = |purpose| ChaCha8Rng::seed_from_u64(seed ^ purpose);
            let (clients, of) = (self.clients.clone(), (node.clone(), machine.memory.clone()));
            let (appends, circles) = (random(APPENDER), clients.book.circles_of(index));
            running.tasks.spawn(async move {
                clients
                    .append_now_and_then((name, circles), of, appends)
                    .await
            });
            let (clients, of, memory) =
                (self.clients.clone(), node.clone(), machine.memory.clone());
            let reads = random(READER);
            running
                .tasks
                .spawn(async move { clients.read_now_and_then(name, of, memory, reads).await });
        }
        running.tasks.spawn(async move { node.serve().await });
    }

    /// The power of a machine is gone. It comes back by itself.
    fn lost_power(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        if machine.lose_power() {
            let name = machine.name;
            self.clients.trace.tell(name, "loses power");
            self.clients.history.write(name, Event::Crashed {});
            self.schedule(BOOT_PAUSE, Action::Boot(Index(index)));
        }
    }

    async fn stop(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        if machine.stop().await {
            let name = machine.name;
            self.clients.trace.tell(name, "stops");
            self.clients.history.write(name, Event::Stopped {});
            self.fired(Happening::Stopped);
        }
    }

    /// Copies the store of a node that runs, with the program's own means.
    async fn back_up(&mut self, index: usize) -> Result<()> {
        let taken_at = u64::try_from(self.clients.trace.now().as_millis())?;
        let to = self.folder.path().join("backup");
        let machine = &mut self.machines[index];
        let Some(running) = &machine.running else {
            return Ok(());
        };
        let store = running.store.store();
        if let Err(error) = store.backup(&to).await {
            // Where it would have been is another place in each run.
            let folder = self.folder.path().display().to_string();
            let error = error.to_string().replace(&folder, "the world's folder");
            let what = format!("could not be backed up: {error}");
            self.clients.trace.tell(machine.name, &what);
            ensure!(!to.exists(), "a backup that failed left a file behind");
            return Ok(());
        }
        let logs = extents(store).await?;
        let bytes = std::fs::read(&to)?;
        std::fs::remove_file(&to)?;
        self.clients.trace.tell(machine.name, "is backed up");
        machine.backup = Some(Backup {
            taken_at,
            bytes,
            logs,
        });
        Ok(())
    }

    /// Puts the last backup in place of the store as the program does, so that the store knows.
    async fn restore(&mut self, index: usize) -> Result<()> {
        let Some(backup) = self.machines[index].backup.clone() else {
            return Ok(());
        };
        let (from, to) = (
            self.folder.path().join("from"),
            self.folder.path().join("to"),
        );
        std::fs::write(&from, &backup.bytes)?;
        RedbStore::restore(&from, &to)?;
        let bytes = std::fs::read(&to)?;
        std::fs::remove_file(&from)?;
        std::fs::remove_file(&to)?;
        self.replace(index, Backup { bytes, ..backup }, true).await;
        self.fired(Happening::BackupRestored);
        self.boot(index).await
    }

    /// Puts the file of the last backup in place of the store behind the program's back.
    async fn slip_in(&mut self, index: usize) -> Result<()> {
        let Some(backup) = self.machines[index].backup.clone() else {
            return Ok(());
        };
        self.replace(index, backup, false).await;
        self.fired(Happening::BackupSlippedIn);
        self.boot(index).await
    }

    async fn replace(&mut self, index: usize, backup: Backup, marked: bool) {
        self.stop(index).await;
        let machine = &self.machines[index];
        machine.disk.replace(backup.bytes);
        machine.memory.forget();
        let how = if marked { "restored" } else { "slipped in" };
        let what = format!("a backup of {} ms is {how}", backup.taken_at);
        self.clients.trace.tell(machine.name, &what);
        let (taken_at, logs) = (backup.taken_at, backup.logs);
        let restored = Event::Restored {
            taken_at,
            marked,
            logs,
        };
        self.clients.history.write(machine.name, restored);
    }

    /// From now on everything works, and everybody runs and knows those whom he should.
    pub async fn heal(&mut self) -> Result<()> {
        self.agenda.clear();
        self.network.heal();
        self.clients.is_quiet.store(true, Ordering::Relaxed);
        for index in 0..self.machines.len() {
            let machine = &self.machines[index];
            machine.disk.set_state(DiskState::Good);
            machine.disk.cut_after(None);
            machine.slowness.set(Duration::ZERO);
            self.set_clock(index, |clock| clock.set_rate(Rate::RIGHT));
        }
        // Power that has just gone off is noticed before machines are counted as running.
        self.run(Duration::ZERO).await?;
        self.acquainted = self.plan.shape.pairs(self.plan.domains);
        for index in 0..self.machines.len() {
            self.boot(index).await?;
            self.introduce(index).await;
        }
        // Requests that are under way get their answers.
        self.run(PATIENCE).await?;
        self.clients.trace.tell("world", "everything works again");
        self.clients.history.write_of_all(Event::Healed {});
        Ok(())
    }

    /// Waits until nothing more becomes durable; how long it took until the last did.
    ///
    /// # Errors
    ///
    /// When that takes longer than `most`.
    pub async fn settle(&mut self, most: Duration) -> Result<Duration> {
        let start = self.clients.trace.now();
        loop {
            let last = self.clients.trace.last_commit().max(start);
            let quiet = self.clients.trace.now() - last;
            if quiet >= QUIET {
                return Ok(last - start);
            }
            ensure!(
                last - start <= most,
                "after {most:?} there is always something new"
            );
            self.run(QUIET - quiet).await?;
        }
    }

    /// Waits until all nodes hold the same of what they share.
    ///
    /// # Errors
    ///
    /// When that takes longer than `most`.
    pub async fn converge(&mut self, most: Duration) -> Result<()> {
        let start = self.clients.trace.now();
        loop {
            let mut digests = Vec::new();
            for index in 0..self.machines.len() {
                let registry = self.node(Index(index))?.registry();
                digests.push(registry.digest(None).await?.logs);
            }
            let took = self.clients.trace.now() - start;
            let agree = |circle: &Circle| {
                let of_it = |index: &usize| {
                    let logs = digests[*index].iter();
                    logs.filter(|log| log.compartment.as_bytes() == &circle.id.0)
                };
                let members: Vec<_> = circle.members.iter().collect();
                let mut pairs = members.windows(2);
                pairs.all(|pair| of_it(pair[0]).eq(of_it(pair[1])))
            };
            if self.clients.book.circles().iter().all(agree) {
                return Ok(());
            }
            if took >= most {
                let held = |(machine, logs): (&Machine, &Vec<causality_node::LogDigest>)| {
                    let sum: u64 = logs.iter().map(|log| log.held).sum();
                    format!("{} holds {sum} facts of {} lanes", machine.name, logs.len())
                };
                let held: Vec<_> = self.machines.iter().zip(&digests).map(held).collect();
                bail!("no agreement within {most:?}: {}", held.join(", "));
            }
            self.run(CONVERGENCE_STEP).await?;
        }
    }

    /// Writes down what a node holds, and what it says of that. Returns whether it runs, and is not busy.
    pub(crate) async fn dump(&mut self, index: usize, is_final: bool) -> Result<bool> {
        let machine = &self.machines[index];
        let Some(running) = &machine.running else {
            return Ok(false);
        };
        let Ok(holdings) = running.node.holdings().await else {
            return Ok(false);
        };
        let pairs = self.plan.shape.pairs(self.plan.domains).into_iter();
        let met = pairs.filter_map(|(a, b)| match index {
            index if index == a => Some(b),
            index if index == b => Some(a),
            _ => None,
        });
        let met: Vec<_> = met.map(|other| self.machines[other].domain()).collect();
        let owner = Owner {
            keys: machine.keys.key_log(),
            met: &met,
        };
        let dump = dump(owner, running.store.store(), &holdings).await;
        let dump = match dump {
            Ok(dump) => dump.filter(|_| running.power.is_on()),
            // Its disk may let it down.
            Err(_) if !is_final => None,
            Err(error) => return Err(error),
        };
        let Some(Dump { lines, happened }) = dump else {
            return Ok(false);
        };
        let Clients { history, trace, .. } = &self.clients;
        let lines = lines.into_iter().chain([Event::Dumped { is_final }]);
        lines.for_each(|line| history.write(machine.name, line));
        for (what, count) in happened {
            trace.fired_times(what, count);
        }
        Ok(true)
    }

    /// Ends the world: everybody stops; then each, with nobody there to talk to, says once more what it holds.
    pub async fn end(mut self) -> Result<(History, Trace)> {
        self.agenda.clear();
        self.clients.is_quiet.store(true, Ordering::Relaxed);
        for index in 0..self.machines.len() {
            let machine = &mut self.machines[index];
            machine.disk.set_state(DiskState::Good);
            machine.disk.cut_after(None);
            machine.slowness.set(Duration::ZERO);
            self.stop(index).await;
        }
        for index in 0..self.machines.len() {
            self.boot(index).await?;
            let name = self.machines[index].name;
            let running = self.machines[index].running.as_ref();
            let running = running.with_context(|| format!("{name} does not start any more"))?;
            let report = running.store.store().check().await?;
            if let Some(finding) = report.findings.first() {
                bail!("the store of {name} is damaged: {finding}");
            }
            let is_written = self.dump(index, true).await?;
            ensure!(is_written, "{name} says that it holds what it does not");
            // Of this nobody is told any more.
            self.machines[index].stop().await;
        }
        self.clients.history.write_of_all(Event::End {});
        Ok((self.clients.history, self.clients.trace))
    }

    fn peers(&self, index: usize) -> Vec<PeerConfig> {
        let other = |(a, b): &(usize, usize)| match index {
            index if index == *a => Some(*b),
            index if index == *b => Some(*a),
            _ => None,
        };
        let others = self.acquainted.iter().filter_map(other);
        let as_peer = |other| {
            let (send, receive) = self.clients.book.granted(index, other);
            self.machines[other].as_peer(send, receive)
        };
        others.map(as_peer).collect()
    }

    /// Tells a node that runs whom it knows now.
    async fn introduce(&self, index: usize) {
        if let Some(running) = &self.machines[index].running {
            // It may have lost its power.
            let _ = running.node.set_peers(self.peers(index)).await;
        }
    }

    fn tell(&self, index: usize, what: &str) {
        self.clients.trace.tell(self.machines[index].name, what);
    }

    fn fired(&self, fault: Happening) {
        self.clients.trace.fired(fault);
    }
}

impl Shape {
    /// The pairs that know each other.
    pub fn pairs(self, count: usize) -> BTreeSet<(usize, usize)> {
        let mut pairs = BTreeSet::new();
        for b in 1..count {
            match self {
                Self::Full => pairs.extend((0..b).map(|a| (a, b))),
                Self::Line | Self::Ring => drop(pairs.insert((b - 1, b))),
                Self::Star => drop(pairs.insert((0, b))),
            }
        }
        if self == Self::Ring && count > 2 {
            pairs.insert((0, count - 1));
        }
        pairs
    }
}

/// How long a request may wait at a node that works.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a machine is without power.
const BOOT_PAUSE: Duration = Duration::from_millis(1_500);

/// When nothing becomes durable for so long nothing more will: whoever has lost a session has another one by then.
const QUIET: Duration = Duration::from_secs(10);

/// How often it is looked whether all agree.
const CONVERGENCE_STEP: Duration = Duration::from_millis(250);

/// Clients draw from different seeds.
const APPENDER: u64 = 0xa99e_0000;
const READER: u64 = 0x5eed_0000;
