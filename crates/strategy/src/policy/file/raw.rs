//! The shape of a policy file, before anything of it is understood.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::value::Datetime;

pub(super) type Text = Spanned<String>;
pub(super) type List = Spanned<Vec<Text>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    #[serde(default)]
    pub(super) groups: BTreeMap<String, List>,
    #[serde(default)]
    pub(super) resource_types: BTreeMap<Text, Text>,
    #[serde(default)]
    pub(super) out: Vec<Spanned<RawRule>>,
    #[serde(default, rename = "in")]
    pub(super) inward: Vec<Spanned<RawRule>>,
    #[serde(default)]
    pub(super) security: Vec<Spanned<RawRule>>,
    #[serde(default)]
    pub(super) strategy: Vec<Spanned<RawStrategy>>,
}

/// A rule of any section; which keys belong to which is checked afterwards, where it can be said better.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) name: Option<Text>,
    pub(super) peers: Option<List>,
    pub(super) compartments: Option<List>,
    pub(super) fact_types: Option<List>,
    pub(super) resource_types: Option<List>,
    pub(super) labels: Option<List>,
    pub(super) onward: Option<List>,
    #[serde(default)]
    pub(super) valid: RawWindow,
    #[serde(default)]
    pub(super) known: RawWindow,
    #[serde(default)]
    pub(super) in_force: RawWindow,
    pub(super) r#where: Option<Text>,
    pub(super) volume: Option<Spanned<RawVolume>>,
    pub(super) refuse: Option<Spanned<bool>>,
    pub(super) withhold: Option<List>,
    pub(super) protection: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWindow {
    pub(super) from: Option<Spanned<Datetime>>,
    pub(super) until: Option<Spanned<Datetime>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVolume {
    pub(super) facts: u64,
    pub(super) bytes: u64,
    pub(super) seconds: u64,
}

/// A strategy of any mode; which keys belong to which is checked afterwards.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStrategy {
    pub(super) name: Option<Text>,
    pub(super) mode: Option<Text>,
    pub(super) source: Option<List>,
    pub(super) target: Option<List>,
    pub(super) fact_type: Option<Text>,
    pub(super) resource: Option<Text>,
    pub(super) label: Option<Text>,
    pub(super) r#where: Option<Text>,
    pub(super) batch: Option<Spanned<i64>>,
    pub(super) retry: Option<RawRetry>,
    pub(super) polling: Option<Spanned<RawPolling>>,
    pub(super) pause: Option<Text>,
    #[serde(default)]
    pub(super) trigger: Vec<Spanned<RawTrigger>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetry {
    pub(super) base: Option<Text>,
    pub(super) max: Option<Text>,
    pub(super) attempts: Option<Spanned<i64>>,
    pub(super) jitter_percent: Option<Spanned<i64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolling {
    pub(super) interval: Option<Text>,
    pub(super) max: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTrigger {
    pub(super) id: Option<Text>,
    pub(super) fact_type: Option<Text>,
    pub(super) resource: Option<Text>,
    pub(super) label: Option<Text>,
    pub(super) r#where: Option<Text>,
    pub(super) debounce: Option<Text>,
}
