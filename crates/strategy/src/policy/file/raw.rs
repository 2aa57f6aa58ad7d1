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
    pub(super) out: Vec<Spanned<RawRule>>,
    #[serde(default, rename = "in")]
    pub(super) inward: Vec<Spanned<RawRule>>,
    #[serde(default)]
    pub(super) security: Vec<Spanned<RawRule>>,
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
