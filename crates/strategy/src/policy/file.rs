//! Policy files: TOML to rules and strategies.

use causality_fact::DomainPattern;
use causality_fact::FactFilter;
use causality_fact::FactTypePattern;
use causality_fact::Onward;
use causality_fact::PATTERN_BYTES_MAX;
use causality_fact::Pattern;
use causality_fact::Resource;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::value::Datetime;

use crate::configured::ConfiguredStrategy;
use crate::domains::Domains;
use crate::expression::fact_type_pattern;
use crate::expression::parse_filter;
use crate::model::FactSynchronizationModel;
use crate::policy::LIST_MAX;
use crate::policy::MEANING_BYTES_MAX;
use crate::policy::POLICY_BYTES_MAX;
use crate::policy::Protection;
use crate::policy::RULE_NAME_BYTES_MAX;
use crate::policy::RULES_MAX;
use crate::policy::Rule;
use crate::policy::SecurityPolicy;
use crate::policy::SyncPolicies;
use crate::policy::SyncPolicy;
use crate::policy::check;
use crate::policy::check::Finding;
use crate::policy::check::Known;
use crate::policy::conditions::Conditions;
use crate::policy::conditions::SyncWindow;
use crate::policy::conditions::Window;
use crate::policy::conditions::onward_name;
use crate::policy::error::InvalidPolicy;
use crate::policy::error::PolicyError;
use crate::policy::error::place;
use crate::policy::error::suggest;
use crate::policy::moment;
use crate::policy::volume::Volume;
use crate::resources::ResourceRegistry;

mod duration;
mod raw;
mod strategy;

pub use strategy::BATCH_FACTS_MAX;
pub use strategy::DURATION_MS_MAX;
pub use strategy::REPEAT_MS_MIN;
pub use strategy::RETRIES_MAX;
pub use strategy::TRIGGERS_MAX;

use raw::List;
use raw::RawFile;
use raw::RawRule;
use raw::RawVolume;
use raw::RawWindow;
use raw::Text;

/// All that a policy file says. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "any parts are a file")]
pub struct PolicyFile {
    /// What is shared.
    pub policies: SyncPolicies,
    /// When and how, in the order of the file.
    pub strategies: Vec<ConfiguredStrategy>,
    /// Types of resources that are known.
    pub resource_types: ResourceRegistry,
}

impl PolicyFile {
    /// Reads the bytes of a policy file.
    ///
    /// # Errors
    ///
    /// When they are not UTF-8, and as [`parse`](Self::parse).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidPolicy> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(error) => {
                let (text, _) = bytes.split_at(error.valid_up_to());
                let text = String::from_utf8_lossy(text);
                let (line, column) = place(&text, text.len());
                Err(InvalidPolicy {
                    line,
                    column,
                    error: PolicyError::NotUtf8,
                    suggestion: None,
                })
            }
        }
    }

    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// When it is not TOML, or not as `docs/src/policies.md` and `docs/src/strategies.md` say: with line, column and, where
    /// one is near, what was probably meant.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        let mut reader = Reader {
            text,
            groups: BTreeMap::new(),
            names: BTreeSet::new(),
        };
        if text.len() > POLICY_BYTES_MAX {
            return Err(reader.wrong(0, PolicyError::FileTooLong(text.len())));
        }
        let file: RawFile = toml::from_str(text).map_err(|error| reader.not_toml(&error))?;
        let count = file.out.len() + file.inward.len() + file.security.len() + file.strategy.len();
        if count > RULES_MAX {
            return Err(reader.wrong(0, PolicyError::TooManyRules(count)));
        }
        reader.groups = file.groups;
        reader.check_groups()?;
        let resource_types = reader.resource_types(&file.resource_types)?;
        let grants = |section, rules: Vec<_>, reader: &mut Reader<'_>| {
            let grants = rules
                .into_iter()
                .map(|rule| reader.sync_policy(section, rule));
            grants.collect::<Result<_, _>>()
        };
        let policies = SyncPolicies {
            outward: grants("out", file.out, &mut reader)?,
            inward: grants("in", file.inward, &mut reader)?,
            security: file
                .security
                .into_iter()
                .map(|rule| reader.security_policy(rule))
                .collect::<Result<_, _>>()?,
        };
        let strategies = file.strategy.into_iter().map(|raw| reader.strategy(raw));
        Ok(Self {
            policies,
            strategies: strategies.collect::<Result<_, _>>()?,
            resource_types,
        })
    }

    /// A router that knows the strategies of the file.
    pub fn model(&self) -> FactSynchronizationModel {
        let mut model = FactSynchronizationModel::new();
        for strategy in &self.strategies {
            model.add(strategy.key.clone(), strategy.to_box());
        }
        model
    }

    /// Rules and strategies that decide nothing, given who and what is known here.
    pub fn check(&self, known: &Known<'_>) -> Vec<Finding> {
        check::file(self, known)
    }
}

/// What reading a rule needs to know of the rest of the file.
struct Reader<'a> {
    text: &'a str,
    groups: BTreeMap<String, List>,
    names: BTreeSet<String>,
}

impl Reader<'_> {
    fn resource_types(
        &self,
        raw: &BTreeMap<Text, Text>,
    ) -> Result<ResourceRegistry, InvalidPolicy> {
        if raw.len() > LIST_MAX {
            return Err(self.wrong(0, PolicyError::ListTooLong(raw.len())));
        }
        let types = raw.iter().map(|(name, meaning)| {
            let resource = Resource::new(name.get_ref(), "any");
            resource
                .map_err(|error| self.wrong(name.span().start, PolicyError::ResourceType(error)))?;
            if !is_printable(meaning.get_ref(), MEANING_BYTES_MAX) {
                return Err(self.wrong(meaning.span().start, PolicyError::Meaning));
            }
            Ok((name.get_ref().clone(), meaning.get_ref().clone()))
        });
        Ok(ResourceRegistry::new(types.collect::<Result<Vec<_>, _>>()?))
    }

    /// No name begins with `@`, so a group within a group would mean nobody, and a restriction of it would restrict nobody.
    fn check_groups(&self) -> Result<(), InvalidPolicy> {
        let mut members = self.groups.values().flat_map(|list| list.get_ref());
        let nested = members.find(|member| member.get_ref().starts_with('@'));
        nested.map_or(Ok(()), |member| {
            let error = PolicyError::NestedGroup(member.get_ref().clone());
            Err(self.wrong(member.span().start, error))
        })
    }

    fn sync_policy(
        &mut self,
        section: &'static str,
        raw: Spanned<RawRule>,
    ) -> Result<Arc<SyncPolicy>, InvalidPolicy> {
        let span = raw.span();
        let raw = raw.into_inner();
        let foreign = [
            ("refuse", raw.refuse.as_ref().map(Spanned::span)),
            ("withhold", raw.withhold.as_ref().map(Spanned::span)),
            ("protection", raw.protection.as_ref().map(Spanned::span)),
        ];
        let hint = "it belongs into a rule of [[security]]";
        self.refuse_foreign(section, foreign, hint)?;
        if raw.compartments.is_none() {
            let key = "compartments";
            return Err(self.wrong(span.start, PolicyError::Missing { key, section }));
        }
        let volume = raw.volume.as_ref().map(|raw| {
            let RawVolume {
                facts,
                bytes,
                seconds,
            } = *raw.get_ref();
            let volume = Volume::new(facts, bytes, seconds);
            volume.ok_or_else(|| self.wrong(raw.span().start, PolicyError::ZeroVolume))
        });
        let volume = volume.transpose()?;
        let rule = self.rule(section, span, raw)?;
        Ok(Arc::new(SyncPolicy { rule, volume }))
    }

    fn security_policy(
        &mut self,
        raw: Spanned<RawRule>,
    ) -> Result<Arc<SecurityPolicy>, InvalidPolicy> {
        let span = raw.span();
        let raw = raw.into_inner();
        let foreign = [("volume", raw.volume.as_ref().map(Spanned::span))];
        let hint = "it belongs into a rule of [[out]] or [[in]]";
        self.refuse_foreign("security", foreign, hint)?;
        let refuses = raw.refuse.as_ref().is_some_and(|refuse| *refuse.get_ref());
        let withholds = self
            .patterns("withhold", raw.withhold.as_ref())?
            .unwrap_or_default();
        let protection = self.optional(&raw.protection, |word| self.protection(word))?;
        for raw in [&raw.valid, &raw.known, &raw.in_force] {
            let is_empty = self.window(raw)?.is_empty();
            if let Some(from) = raw.from.as_ref().filter(|_| is_empty) {
                return Err(self.wrong(from.span().start, PolicyError::EmptyWindow));
            }
        }
        if !refuses && withholds.is_empty() && protection.is_none() {
            return Err(self.wrong(span.start, PolicyError::NoEffect));
        }
        Ok(Arc::new(SecurityPolicy {
            rule: self.rule("security", span, raw)?,
            refuses,
            withholds,
            protection: protection.unwrap_or_default(),
        }))
    }

    fn rule(
        &mut self,
        section: &'static str,
        span: Range<usize>,
        raw: RawRule,
    ) -> Result<Rule, InvalidPolicy> {
        let missing = |key| self.wrong(span.start, PolicyError::Missing { key, section });
        let name = raw.name.ok_or_else(|| missing("name"))?;
        let peers = raw.peers.ok_or_else(|| missing("peers"))?;
        let conditions = Conditions {
            compartments: self.patterns("compartments", raw.compartments.as_ref())?,
            fact_types: self.fact_types(raw.fact_types.as_ref())?,
            resource_types: self.patterns("resource_types", raw.resource_types.as_ref())?,
            labels: self.patterns("labels", raw.labels.as_ref())?,
            onward: self.onward(raw.onward.as_ref())?,
            window: SyncWindow {
                valid: self.window(&raw.valid)?,
                known: self.window(&raw.known)?,
                in_force: self.window(&raw.in_force)?,
            },
            filter: self.optional(&raw.r#where, |text| self.filter(text))?,
        };
        let peers = self.domains("peers", &peers)?;
        Ok(Rule {
            line: place(self.text, span.start).0,
            name: self.name(&name)?,
            peers,
            conditions,
            filter: raw.r#where.map(Spanned::into_inner),
        })
    }

    fn name(&mut self, text: &Text) -> Result<String, InvalidPolicy> {
        let name = self.printable(text)?;
        if !self.names.insert(name.clone()) {
            return Err(self.wrong(text.span().start, PolicyError::DuplicateName(name)));
        }
        Ok(name)
    }

    /// A name, of whatever it is one.
    fn printable(&self, text: &Text) -> Result<String, InvalidPolicy> {
        let name = text.get_ref();
        if !is_printable(name, RULE_NAME_BYTES_MAX) {
            return Err(self.wrong(text.span().start, PolicyError::RuleName));
        }
        Ok(name.clone())
    }

    /// The domains of a list, with `@group` spelled out. A group names no groups, so nothing goes round in circles.
    fn domains(&self, key: &'static str, list: &List) -> Result<Domains, InvalidPolicy> {
        let mut patterns = BTreeSet::new();
        for entry in self.entries(key, list)? {
            let Some(group) = entry.get_ref().strip_prefix('@') else {
                patterns.insert(self.domain(entry)?);
                continue;
            };
            let members = self.groups.get(group).ok_or_else(|| {
                let error = PolicyError::UnknownGroup(group.to_owned());
                let known = suggest(group, self.groups.keys().map(String::as_str));
                let suggestion = known.map(|group| format!("@{group}"));
                InvalidPolicy {
                    suggestion,
                    ..self.wrong(entry.span().start, error)
                }
            })?;
            for member in self.entries("groups", members)? {
                patterns.insert(self.domain(member)?);
            }
        }
        if patterns.len() > LIST_MAX {
            return Err(self.wrong(list.span().start, PolicyError::ListTooLong(patterns.len())));
        }
        Ok(Domains::new(patterns))
    }

    fn domain(&self, text: &Text) -> Result<DomainPattern, InvalidPolicy> {
        let pattern = self.pattern(text)?;
        match DomainPattern::new(pattern.as_str()) {
            DomainPattern::Named(name) if is_like_id(name.as_str()) => {
                let id = name.as_str().to_ascii_lowercase();
                let is_id = matches!(DomainPattern::new(&id), DomainPattern::Id(_));
                Err(InvalidPolicy {
                    suggestion: is_id.then_some(id),
                    ..self.wrong(text.span().start, PolicyError::Id(text.get_ref().clone()))
                })
            }
            meant => Ok(meant),
        }
    }

    fn patterns(
        &self,
        key: &'static str,
        list: Option<&List>,
    ) -> Result<Option<BTreeSet<Pattern>>, InvalidPolicy> {
        self.each(key, list, |text| self.pattern(text))
    }

    fn pattern(&self, text: &Text) -> Result<Pattern, InvalidPolicy> {
        match text.get_ref().len() {
            length if length > PATTERN_BYTES_MAX => {
                Err(self.wrong(text.span().start, PolicyError::PatternTooLong(length)))
            }
            _ => Ok(Pattern::new(text.get_ref())),
        }
    }

    fn fact_types(
        &self,
        list: Option<&List>,
    ) -> Result<Option<BTreeMap<String, FactTypePattern>>, InvalidPolicy> {
        self.each("fact_types", list, |text| self.fact_type(text))
    }

    /// Which types are meant, and the text that says so.
    fn fact_type(&self, text: &Text) -> Result<(String, FactTypePattern), InvalidPolicy> {
        let pattern = self.pattern(text)?;
        let types = fact_type_pattern(pattern.as_str()).map_err(|error| InvalidPolicy {
            suggestion: suggest(pattern.as_str(), FACT_TYPES),
            ..self.wrong(text.span().start, PolicyError::FactType(error))
        })?;
        Ok((pattern.as_str().to_owned(), types))
    }

    fn onward(&self, list: Option<&List>) -> Result<Option<BTreeSet<Onward>>, InvalidPolicy> {
        let known = [Onward::None, Onward::Audience, Onward::Any];
        let known = known.map(|onward| (onward_name(onward), onward));
        self.each("onward", list, |text| self.word("onward", text, &known))
    }

    fn protection(&self, text: &Text) -> Result<Protection, InvalidPolicy> {
        let known = [
            ("sealed", Protection::Sealed),
            ("session", Protection::Session),
        ];
        self.word("protection", text, &known)
    }

    /// What a word stands for.
    fn word<T: Copy>(
        &self,
        key: &'static str,
        text: &Text,
        known: &[(&str, T)],
    ) -> Result<T, InvalidPolicy> {
        let word = text.get_ref();
        let found = known.iter().find(|(known, _)| known == word);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words = known.iter().map(|(known, _)| *known);
            let error = PolicyError::UnknownWord {
                key,
                word: word.clone(),
                known: words.clone().collect::<Vec<_>>().join(", "),
            };
            InvalidPolicy {
                suggestion: suggest(word, words),
                ..self.wrong(text.span().start, error)
            }
        })
    }

    fn window(&self, raw: &RawWindow) -> Result<Window, InvalidPolicy> {
        let moment = |time: &Option<Spanned<Datetime>>| {
            let moment = time.as_ref().map(|time| {
                let moment = moment::of(time.get_ref());
                moment.ok_or_else(|| {
                    let error = PolicyError::Moment(time.get_ref().to_string());
                    self.wrong(time.span().start, error)
                })
            });
            moment.transpose()
        };
        Ok(Window {
            from: moment(&raw.from)?,
            until: moment(&raw.until)?,
        })
    }

    fn filter(&self, text: &Text) -> Result<FactFilter, InvalidPolicy> {
        parse_filter(text.get_ref()).map_err(|error| {
            let span = text.span();
            // Where no character is escaped, the text stands in the file as it is.
            let inside = self
                .text
                .get(span.clone())
                .and_then(|raw| raw.find(text.get_ref()));
            let at = inside.map_or(0, |start| start + error.at());
            self.wrong(span.start + at, error.into())
        })
    }

    /// The entries of a list: at least one, and not too many.
    fn entries<'l>(&self, key: &'static str, list: &'l List) -> Result<&'l [Text], InvalidPolicy> {
        let at = list.span().start;
        match list.get_ref().len() {
            0 => Err(self.wrong(at, PolicyError::EmptyList(key))),
            many if many > LIST_MAX => Err(self.wrong(at, PolicyError::ListTooLong(many))),
            _ => Ok(list.get_ref()),
        }
    }

    fn optional<T>(
        &self,
        text: &Option<Text>,
        read: impl Fn(&Text) -> Result<T, InvalidPolicy>,
    ) -> Result<Option<T>, InvalidPolicy> {
        text.as_ref().map(read).transpose()
    }

    fn each<T, C: FromIterator<T>>(
        &self,
        key: &'static str,
        list: Option<&List>,
        read: impl Fn(&Text) -> Result<T, InvalidPolicy>,
    ) -> Result<Option<C>, InvalidPolicy> {
        let list = list.map(|list| self.entries(key, list)?.iter().map(read).collect());
        list.transpose()
    }

    fn refuse_foreign<const N: usize>(
        &self,
        section: &'static str,
        keys: [(&'static str, Option<Range<usize>>); N],
        hint: &'static str,
    ) -> Result<(), InvalidPolicy> {
        let mut present = keys
            .into_iter()
            .filter_map(|(key, span)| Some((key, span?)));
        present.next().map_or(Ok(()), |(key, span)| {
            Err(self.wrong(span.start, PolicyError::Misplaced { key, section, hint }))
        })
    }

    fn wrong(&self, at: usize, error: PolicyError) -> InvalidPolicy {
        let (line, column) = place(self.text, at);
        InvalidPolicy {
            line,
            column,
            error,
            suggestion: None,
        }
    }

    /// What the parser of TOML says, in the words of this project. It puts an unknown key, and then those that it knows, between
    /// backticks, and takes a date for a table with a key of its own.
    fn not_toml(&self, error: &toml::de::Error) -> InvalidPolicy {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message();
        let mut quoted = message.split('`').skip(1).step_by(2);
        match quoted.next() {
            Some(key) if key.starts_with("$__toml") => {
                let message = "a moment stands in a window, such as { from = 2018-01-30 }";
                self.wrong(at, PolicyError::Toml(message.to_owned()))
            }
            Some(key) if message.starts_with("unknown field") => InvalidPolicy {
                suggestion: suggest(key, quoted),
                ..self.wrong(at, PolicyError::UnknownKey(key.to_owned()))
            },
            _ => {
                let message = message.trim().replace('\n', ", ");
                let plain = PLAIN_WORDS.iter();
                let message = plain.fold(message, |text, (their, ours)| text.replace(their, ours));
                self.wrong(at, PolicyError::Toml(message))
            }
        }
    }
}

/// Whether nobody would call a peer so: what was meant is an id.
fn is_like_id(text: &str) -> bool {
    text.len() >= ID_DIGITS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_printable(text: &str, bytes_max: usize) -> bool {
    !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control)
}

/// So many hexadecimal digits and nothing else are an id, or a part of one.
const ID_DIGITS_MIN: usize = 32;
/// What the parser of TOML calls things, and what somebody who writes a policy does. The longer ones come first.
const PLAIN_WORDS: [(&str, &str); 5] = [
    (
        "map, expected a sequence",
        "one table, expected a list of them: a section stands in double brackets, such as [[out]]",
    ),
    ("a sequence", "a list, which stands in brackets"),
    ("a TOML datetime", "a moment, which stands without quotes"),
    ("a string", "a text in quotes"),
    ("u64", "a whole number"),
];

const FACT_TYPES: [&str; 9] = [
    "cross_domain",
    "erasure",
    "observation",
    "operation",
    "resolution",
    "retraction",
    "state_change",
    "transaction",
    "validation",
];

#[cfg(test)]
mod tests;
