//! The strategies of a policy file.

use causality_fact::FactFilter;
use causality_fact::FilterNode;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use toml::Spanned;

use super::Reader;
use super::duration;
use super::raw::List;
use super::raw::RawPolling;
use super::raw::RawRetry;
use super::raw::RawStrategy;
use super::raw::RawTrigger;
use super::raw::Text;
use crate::configured::Configured;
use crate::configured::ConfiguredStrategy;
use crate::context::SyncContextKey;
use crate::context::SyncMode;
use crate::domains::Domains;
use crate::expression::ExpressionError;
use crate::policy::error::InvalidPolicy;
use crate::policy::error::PolicyError;
use crate::policy::error::place;
use crate::retry::RetryPolicy;
use crate::strategies::BidirectionalSyncStrategy;
use crate::strategies::EventDrivenSyncStrategy;
use crate::strategies::EventTrigger;
use crate::strategies::Manner;
use crate::strategies::Polling;
use crate::strategies::PullSyncStrategy;
use crate::strategies::PushSyncStrategy;

/// The most facts of a batch that a file may ask for.
pub const BATCH_FACTS_MAX: u32 = 1_000_000;
/// The largest budget of retries.
pub const RETRIES_MAX: u32 = 1000;
/// What is repeated by itself waits at least so long in between.
pub const REPEAT_MS_MIN: u64 = 100;
/// The longest duration.
pub const DURATION_MS_MAX: u64 = 366 * 86_400_000;
/// The most triggers of a strategy.
pub const TRIGGERS_MAX: usize = 64;

// What a strategy is that does not say. The page on strategies names each.
const BATCH_FACTS: u32 = 10_000;
const RETRY_MS: u64 = 250;
const RETRY_MS_MAX: u64 = 60_000;
const RETRIES: u32 = 10;
const JITTER_PERCENT: u8 = 50;
const INTERVAL_MS: u64 = 5_000;
const INTERVAL_MS_MAX: u64 = 300_000;

const MODES: [(&str, SyncMode); 4] = [
    ("bidirectional", SyncMode::Bidirectional),
    ("event-driven", SyncMode::EventDriven),
    ("pull", SyncMode::Pull),
    ("push", SyncMode::Push),
];

impl Reader<'_> {
    pub(super) fn strategy(
        &mut self,
        raw: Spanned<RawStrategy>,
    ) -> Result<ConfiguredStrategy, InvalidPolicy> {
        let (at, raw) = (raw.span().start, raw.into_inner());
        let section = "strategy";
        let missing = |key| self.wrong(at, PolicyError::Missing { key, section });
        let name = raw.name.as_ref().ok_or_else(|| missing("name"))?;
        let mode = raw.mode.as_ref().ok_or_else(|| missing("mode"))?;
        let mode = self.word("mode", mode, &MODES)?;
        self.refuse_keys_of_other_modes(mode, &raw)?;
        let key = SyncContextKey {
            source: self.party("source", raw.source.as_ref())?,
            target: self.party("target", raw.target.as_ref())?,
            fact_type: self.optional(&raw.fact_type, |text| Ok(self.fact_type(text)?.1))?,
            resource: self.optional(&raw.resource, |text| self.pattern(text))?,
            label: self.optional(&raw.label, |text| self.pattern(text))?,
        };
        let manner = Manner {
            scope: self.optional(&raw.r#where, |text| self.filter(text))?,
            batch_facts_max: self.number(
                "batch",
                raw.batch.as_ref(),
                BATCH_FACTS,
                1..=BATCH_FACTS_MAX,
            )?,
            retry: self.retry(raw.retry.unwrap_or_default())?,
            id: self.name(name)?,
        };
        let polling = self.polling(raw.polling.map(Spanned::into_inner).unwrap_or_default())?;
        let strategy = match mode {
            SyncMode::Bidirectional => {
                Configured::Bidirectional(BidirectionalSyncStrategy { manner, polling })
            }
            SyncMode::EventDriven => Configured::EventDriven(EventDrivenSyncStrategy {
                manner,
                triggers: self.triggers(raw.trigger)?,
                pause_ms: self.pause("pause", raw.pause.as_ref())?,
            }),
            SyncMode::Pull => Configured::Pull(PullSyncStrategy { manner, polling }),
            SyncMode::Push => Configured::Push(PushSyncStrategy { manner }),
        };
        Ok(ConfiguredStrategy {
            line: place(self.text, at).0,
            key,
            strategy,
        })
    }

    fn refuse_keys_of_other_modes(
        &self,
        mode: SyncMode,
        raw: &RawStrategy,
    ) -> Result<(), InvalidPolicy> {
        let is_polling = matches!(mode, SyncMode::Bidirectional | SyncMode::Pull);
        let on_events = mode == SyncMode::EventDriven;
        let (polling, events) = ("pull or bidirectional", "event-driven");
        let keys = [
            (
                "polling",
                raw.polling.as_ref().map(Spanned::span),
                is_polling,
                polling,
            ),
            (
                "pause",
                raw.pause.as_ref().map(Spanned::span),
                on_events,
                events,
            ),
            (
                "trigger",
                raw.trigger.first().map(Spanned::span),
                on_events,
                events,
            ),
        ];
        let mut foreign = keys.into_iter().filter(|(.., belongs, _)| !belongs);
        let first = foreign.find_map(|(key, span, _, modes)| Some((key, span?, modes)));
        first.map_or(Ok(()), |(key, span, modes)| {
            Err(self.wrong(span.start, PolicyError::WrongMode { key, modes }))
        })
    }

    fn party(
        &self,
        key: &'static str,
        list: Option<&List>,
    ) -> Result<Option<Domains>, InvalidPolicy> {
        list.map(|list| self.domains(key, list)).transpose()
    }

    fn retry(&self, raw: RawRetry) -> Result<RetryPolicy, InvalidPolicy> {
        let (first, max) = self.pair(
            ["base", "max"],
            [raw.base, raw.max],
            [RETRY_MS, RETRY_MS_MAX],
        )?;
        let attempts = raw.attempts.as_ref();
        let jitter = raw.jitter_percent.as_ref();
        Ok(RetryPolicy {
            delay_ms_first: first,
            delay_ms_max: max,
            retries_max: self.number("attempts", attempts, RETRIES, 0..=RETRIES_MAX)?,
            jitter_percent: self.number("jitter_percent", jitter, JITTER_PERCENT, 0..=100)?,
        })
    }

    fn polling(&self, raw: RawPolling) -> Result<Polling, InvalidPolicy> {
        let texts = [raw.interval, raw.max];
        let (interval_ms, interval_ms_max) =
            self.pair(["interval", "max"], texts, [INTERVAL_MS, INTERVAL_MS_MAX])?;
        Ok(Polling {
            interval_ms,
            interval_ms_max,
        })
    }

    /// Two durations of which the first grows up to the second. One that is not given is as usual, but fits the other.
    fn pair(
        &self,
        keys: [&'static str; 2],
        [first, max]: [Option<Text>; 2],
        [usual, usual_max]: [u64; 2],
    ) -> Result<(u64, u64), InvalidPolicy> {
        let read = |key, text: &Option<Text>| {
            let read = |text| self.duration(key, text, REPEAT_MS_MIN..=DURATION_MS_MAX);
            text.as_ref().map(read).transpose()
        };
        let (first_ms, max_ms) = (read(keys[0], &first)?, read(keys[1], &max)?);
        match (first_ms, max_ms, max) {
            (Some(first), Some(max), Some(text)) if max < first => {
                Err(self.wrong(text.span().start, PolicyError::MaxTooShort(keys[0])))
            }
            (Some(first), None, _) => Ok((first, usual_max.max(first))),
            (None, Some(max), _) => Ok((usual.min(max), max)),
            (first, max, _) => Ok((first.unwrap_or(usual), max.unwrap_or(usual_max))),
        }
    }

    /// A duration that may be none at all, as it is if it is not given.
    fn pause(&self, key: &'static str, text: Option<&Text>) -> Result<u64, InvalidPolicy> {
        text.map_or(Ok(0), |text| self.duration(key, text, 0..=DURATION_MS_MAX))
    }

    fn duration(
        &self,
        key: &'static str,
        text: &Text,
        allowed: RangeInclusive<u64>,
    ) -> Result<u64, InvalidPolicy> {
        let written = text.get_ref();
        let Some(ms) = duration::of(written) else {
            return Err(InvalidPolicy {
                suggestion: duration::meant(written),
                ..self.wrong(text.span().start, PolicyError::Duration(written.clone()))
            });
        };
        if allowed.contains(&ms) {
            return Ok(ms);
        }
        let [least, most] = [allowed.start(), allowed.end()].map(|ms| duration::text(*ms));
        let error = PolicyError::OutOfRange {
            key,
            value: written.clone(),
            allowed: format!("{least} to {most}"),
        };
        Err(self.wrong(text.span().start, error))
    }

    fn number<T: TryFrom<i64> + PartialOrd + Display>(
        &self,
        key: &'static str,
        value: Option<&Spanned<i64>>,
        usual: T,
        allowed: RangeInclusive<T>,
    ) -> Result<T, InvalidPolicy> {
        let Some(value) = value else {
            return Ok(usual);
        };
        let number = T::try_from(*value.get_ref()).ok();
        number
            .filter(|number| allowed.contains(number))
            .ok_or_else(|| {
                let error = PolicyError::OutOfRange {
                    key,
                    value: value.get_ref().to_string(),
                    allowed: format!("{} to {}", allowed.start(), allowed.end()),
                };
                self.wrong(value.span().start, error)
            })
    }

    fn triggers(&self, raw: Vec<Spanned<RawTrigger>>) -> Result<Vec<EventTrigger>, InvalidPolicy> {
        if let Some(first) = raw.first().filter(|_| raw.len() > TRIGGERS_MAX) {
            return Err(self.wrong(first.span().start, PolicyError::TooManyTriggers(raw.len())));
        }
        let mut ids = BTreeSet::new();
        let triggers = raw.into_iter().map(|raw| self.trigger(raw, &mut ids));
        triggers.collect()
    }

    fn trigger(
        &self,
        raw: Spanned<RawTrigger>,
        ids: &mut BTreeSet<String>,
    ) -> Result<EventTrigger, InvalidPolicy> {
        let (at, raw) = (raw.span().start, raw.into_inner());
        let (key, section) = ("id", "strategy.trigger");
        let id = raw.id.as_ref();
        let id = id.ok_or_else(|| self.wrong(at, PolicyError::Missing { key, section }))?;
        let name = self.printable(id)?;
        if !ids.insert(name.clone()) {
            return Err(self.wrong(id.span().start, PolicyError::DuplicateTrigger(name)));
        }
        let fact_type = self.optional(&raw.fact_type, |text| Ok(self.fact_type(text)?.1))?;
        let resource = self.optional(&raw.resource, |text| self.pattern(text))?;
        let label = self.optional(&raw.label, |text| self.pattern(text))?;
        let conditions = [
            fact_type.map(FilterNode::Type),
            resource.map(FilterNode::Resource),
            label.map(FilterNode::Label),
        ];
        let mut nodes: Vec<_> = conditions.into_iter().flatten().collect();
        let mut operands = nodes.len();
        if let Some(filter) = self.optional(&raw.r#where, |text| self.filter(text))? {
            nodes.extend_from_slice(filter.nodes());
            operands += 1;
        }
        match operands {
            0 => nodes.push(FilterNode::True),
            1 => {}
            // There are four conditions at most.
            many => nodes.push(FilterNode::And(many as u8)),
        }
        let on = FactFilter::new(nodes).map_err(ExpressionError::Filter);
        Ok(EventTrigger {
            id: name,
            on: on.map_err(|error| self.wrong(at, error.into()))?,
            debounce_ms: self.pause("debounce", raw.debounce.as_ref())?,
        })
    }
}

#[cfg(test)]
mod tests;
