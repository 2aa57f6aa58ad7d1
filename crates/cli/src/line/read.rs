//! Reads an import line: text in, a draft and the names that it mentions out.

use std::collections::BTreeMap;

use causality_fact::{
    Aspect, FIELDS_MAX, FactType, Label, REQUIRES_MAX, SUPERSEDES_MAX, ValidTime, Value,
};
use causality_node::Draft;
use causality_strategy::suggest;

use super::json::{LineError, Reader};
use super::{PUBLIC, Said};
use crate::time;

/// The longest `ref`, in bytes.
const REF_BYTES_MAX: usize = 256;

/// What an import line says. The draft has neither references nor a mark yet: names are known to the stream only.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) draft: Draft,
    /// What the rest of the stream may call the fact.
    pub(crate) reference: Option<String>,
    pub(crate) compartment: String,
    pub(crate) requires: Vec<Name>,
    /// `None` for the own heads of the key, as it is for most lines.
    pub(crate) supersedes: Option<Vec<Name>>,
    /// The same for every way to write this line.
    pub(crate) canonical: Vec<u8>,
}

/// The name of another fact: the `ref` of an earlier line, or a fact's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) column: usize,
}

/// The types that a line may have.
const FACT_TYPES: &str = "state_change, operation, observation, transaction, cross_domain, validation, \
                                     retraction or custom:NAME";

const KEYS: [&str; 11] = [
    "ref",
    "type",
    "resource",
    "aspect",
    "valid_from",
    "valid_until",
    "requires",
    "supersedes",
    "label",
    "compartment",
    "content",
];

impl Line {
    /// Reads a line. `now_ms` starts the time of a fact that has an end only.
    pub(crate) fn read(text: &str, now_ms: i64) -> Result<Self, LineError> {
        let mut reader = Reader::new(text);
        let mut parts = Parts::default();
        let start = reader.start();
        reader.object(
            "an object, {\"type\": …, \"resource\": …, \"content\": …}",
            |reader, at, key| parts.member(reader, at, &key),
        )?;
        reader.end()?;
        parts
            .line(now_ms)
            .map_err(|(at, message)| reader.error(at.unwrap_or(start), message))
    }
}

/// The members of a line as they are read.
#[derive(Debug, Default)]
struct Parts {
    reference: Option<String>,
    fact_type: Option<FactType>,
    resource: Option<causality_fact::Resource>,
    aspect: Option<Aspect>,
    valid_from: Option<i64>,
    valid_until: Option<(usize, i64)>,
    requires: Option<Vec<Name>>,
    supersedes: Option<Vec<Name>>,
    label: Option<Label>,
    compartment: Option<String>,
    content: Option<BTreeMap<String, Value>>,
}

impl Parts {
    fn member(&mut self, reader: &mut Reader<'_>, at: usize, key: &str) -> Result<(), LineError> {
        let is_repeated = match key {
            "ref" => self.reference.replace(reference(reader)?).is_some(),
            "type" => self.fact_type.replace(fact_type(reader)?).is_some(),
            "resource" => self
                .resource
                .replace(parsed(reader, key, str::parse)?)
                .is_some(),
            "aspect" => self
                .aspect
                .replace(parsed(reader, key, |text| Aspect::new(text))?)
                .is_some(),
            "valid_from" => self.valid_from.replace(moment(reader, key)?).is_some(),
            "valid_until" => self
                .valid_until
                .replace((at, moment(reader, key)?))
                .is_some(),
            "requires" => self
                .requires
                .replace(names(reader, key, REQUIRES_MAX)?)
                .is_some(),
            "supersedes" => self
                .supersedes
                .replace(names(reader, key, SUPERSEDES_MAX)?)
                .is_some(),
            "label" => self
                .label
                .replace(parsed(reader, key, |text| Label::new(text))?)
                .is_some(),
            "compartment" => self.compartment.replace(string(reader, key)?).is_some(),
            "content" => self.content.replace(content(reader)?).is_some(),
            _ => return Err(reader.error(at, unknown_key(key))),
        };
        if is_repeated {
            return Err(reader.error(at, format_args!("{key:?} stands here twice")));
        }
        Ok(())
    }

    /// An error comes with its place, where it has one.
    fn line(self, now_ms: i64) -> Result<Line, (Option<usize>, String)> {
        let missing = |key: &str| {
            (
                None,
                format!(
                    "the line has no {key:?}; \"type\", \"resource\" and \"content\" are needed"
                ),
            )
        };
        let mut draft = Draft::new(
            self.fact_type.ok_or_else(|| missing("type"))?,
            self.resource.ok_or_else(|| missing("resource"))?,
        );
        draft.content = self.content.ok_or_else(|| missing("content"))?;
        draft.aspect = self.aspect.unwrap_or_default();
        draft.label = self.label.unwrap_or_default();
        draft.valid = match (self.valid_from, self.valid_until) {
            (from, None) => from.map(ValidTime::since),
            (from, Some((at, until))) => {
                let valid = ValidTime::between(from.unwrap_or(now_ms), until);
                Some(valid.ok_or_else(|| {
                    let start = if from.is_some() {
                        "\"valid_from\""
                    } else {
                        "now, since there is no \"valid_from\""
                    };
                    (Some(at), format!("\"valid_until\" is not after {start}"))
                })?)
            }
        };
        let compartment = self.compartment.unwrap_or_else(|| PUBLIC.to_owned());
        let requires = self.requires.unwrap_or_default();
        let said = Said {
            reference: self.reference.as_deref(),
            fact_type: &draft.fact_type,
            resource: &draft.resource,
            aspect: &draft.aspect,
            valid_from: self.valid_from,
            valid_until: self.valid_until.map(|(_, until)| until),
            requires: sorted(&requires),
            supersedes: self.supersedes.as_deref().map(sorted),
            label: &draft.label,
            compartment: &compartment,
            content: draft
                .content
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
        };
        let canonical = said.to_bytes();
        let (reference, supersedes) = (self.reference, self.supersedes);
        Ok(Line {
            draft,
            reference,
            compartment,
            requires,
            supersedes,
            canonical,
        })
    }
}

fn sorted(names: &[Name]) -> Vec<String> {
    let mut texts: Vec<_> = names.iter().map(|name| name.text.clone()).collect();
    texts.sort_unstable();
    texts
}

fn string(reader: &mut Reader<'_>, key: &str) -> Result<String, LineError> {
    Ok(reader
        .string(format_args!("a string for {key:?}"))?
        .into_owned())
}

/// Reads a string that a function makes something of.
fn parsed<T, E: std::fmt::Display>(
    reader: &mut Reader<'_>,
    key: &str,
    parse: impl for<'t> FnOnce(&'t str) -> Result<T, E>,
) -> Result<T, LineError> {
    let at = reader.start();
    let text = reader.string(format_args!("a string for {key:?}"))?;
    parse(&text).map_err(|error| reader.error(at, format_args!("{key:?}: {error}")))
}

fn reference(reader: &mut Reader<'_>) -> Result<String, LineError> {
    let at = reader.start();
    let text = string(reader, "ref")?;
    if text.is_empty() || text.len() > REF_BYTES_MAX {
        let actual = text.len();
        return Err(reader.error(
            at,
            format_args!("\"ref\" has 1 to {REF_BYTES_MAX} bytes, not {actual}"),
        ));
    }
    Ok(text)
}

fn fact_type(reader: &mut Reader<'_>) -> Result<FactType, LineError> {
    let at = reader.start();
    let text = reader.string(format_args!("a string for \"type\": {FACT_TYPES}"))?;
    match text.parse() {
        Ok(FactType::Resolution | FactType::Erasure) => {
            let message = format!(
                "a {text} has rules of its own and is not imported; \"type\" is one of {FACT_TYPES}"
            );
            Err(reader.error(at, message))
        }
        Ok(fact_type) => Ok(fact_type),
        Err(_) if !text.starts_with("custom:") => Err(reader.error(
            at,
            format_args!("{text:?} is no fact type; \"type\" is one of {FACT_TYPES}"),
        )),
        Err(error) => Err(reader.error(at, format_args!("\"type\": {error}"))),
    }
}

fn moment(reader: &mut Reader<'_>, key: &str) -> Result<i64, LineError> {
    let at = reader.start();
    match reader.peek() {
        Some(b'"') => parsed(reader, key, time::parse),
        Some(b'-' | b'0'..=b'9') => match reader.number()? {
            Value::Int(ms) => Ok(ms),
            _ => {
                let message =
                    format!("{key:?}: as a number a time is whole milliseconds since 1970");
                Err(reader.error(at, message))
            }
        },
        _ => {
            let expected = "RFC 3339 time in quotes or whole milliseconds since 1970";
            Err(reader.expected(format_args!("{expected} for {key:?}")))
        }
    }
}

/// Reads a list of names; repeated ones count once.
fn names(reader: &mut Reader<'_>, key: &str, limit: usize) -> Result<Vec<Name>, LineError> {
    let mut names: Vec<Name> = Vec::new();
    let expected = format_args!("a list of refs of earlier lines and ids of facts for {key:?}");
    reader.list(expected, |reader| {
        let at = reader.start();
        let text = reader
            .string("the ref of an earlier line or the id of a fact")?
            .into_owned();
        let LineError { column, .. } = reader.error(at, "");
        if !names.iter().any(|name| name.text == text) {
            names.push(Name { text, column });
        }
        if names.len() > limit {
            return Err(reader.error(at, format_args!("{key:?} names more than {limit} facts")));
        }
        Ok(())
    })?;
    Ok(names)
}

fn content(reader: &mut Reader<'_>) -> Result<BTreeMap<String, Value>, LineError> {
    let mut fields = BTreeMap::new();
    reader.object("an object of fields for \"content\"", |reader, at, name| {
        reader.name(at, &name, |name| fields.contains_key(name))?;
        fields.insert(name.into_owned(), reader.value()?);
        if fields.len() > FIELDS_MAX {
            return Err(reader.error(
                at,
                format_args!("\"content\" has more than {FIELDS_MAX} fields"),
            ));
        }
        Ok(())
    })?;
    Ok(fields)
}

fn unknown_key(key: &str) -> String {
    match suggest(key, KEYS) {
        Some(known) => format!("unknown key {key:?}; is {known:?} meant?"),
        None => format!("unknown key {key:?}; a line has {}", KEYS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::IMPORT;

    const NOW: i64 = 1_000;

    fn read(line: &str) -> Result<Line, LineError> {
        Line::read(line, NOW)
    }

    /// A good line with more members.
    fn with(more: &str) -> String {
        format!(r#"{{"type":"observation","resource":"sensor/2","content":{{"a":1}}{more}}}"#)
    }

    fn refused(line: &str) -> (usize, String) {
        let error = read(line).expect_err(line);
        (error.column, error.message)
    }

    #[test]
    fn the_help_names_every_type_that_a_line_may_have() {
        for fact_type in FACT_TYPES.split([',', ' ']) {
            assert!(IMPORT.contains(fact_type), "no {fact_type:?}");
        }
    }

    #[test]
    fn a_line_says_everything_that_a_fact_can() {
        let line = read(
            r#"{"ref":"one","type":"custom:inspection","resource":"valve/7/b","aspect":"position","label":"reviewed",
                "valid_from":"2018-01-30T12:00:00.123Z","valid_until":1517313600124,"requires":["x","y","x"],
                "supersedes":[],"compartment":"partners","content":{"a":null}}"#,
        )
        .unwrap();
        assert_eq!(line.reference.as_deref(), Some("one"));
        assert_eq!(line.compartment, "partners");
        assert_eq!(line.draft.fact_type.to_string(), "custom:inspection");
        assert_eq!(line.draft.resource.to_string(), "valve/7/b");
        assert_eq!(
            (line.draft.aspect.as_str(), line.draft.label.as_str()),
            ("position", "reviewed")
        );
        assert_eq!(
            line.draft.valid,
            ValidTime::between(1_517_313_600_123, 1_517_313_600_124)
        );
        let requires: Vec<_> = line
            .requires
            .iter()
            .map(|name| name.text.as_str())
            .collect();
        assert_eq!(
            (requires, line.supersedes),
            (vec!["x", "y"], Some(Vec::new()))
        );
        assert_eq!(line.draft.content, [("a".to_owned(), Value::Null)].into());
    }

    #[test]
    fn what_a_line_leaves_out_has_a_meaning() {
        let line = read(&with("")).unwrap();
        assert_eq!(
            (line.reference, line.supersedes, line.draft.valid),
            (None, None, None)
        );
        assert_eq!(
            (line.compartment.as_str(), line.requires),
            (PUBLIC, Vec::new())
        );
        let until = read(&with(r#","valid_until":1001"#)).unwrap();
        assert_eq!(until.draft.valid, ValidTime::between(NOW, 1_001));
        assert_eq!(
            read(&with(r#","valid_from":-5"#)).unwrap().draft.valid,
            Some(ValidTime::since(-5))
        );
        assert_eq!(
            read(&with(r#","valid_from":1e3"#)).unwrap().draft.valid,
            Some(ValidTime::since(1_000))
        );
    }

    #[test]
    fn the_canonical_form_is_the_same_however_a_line_is_written() {
        let one = read(
            r#"{"type":"observation","resource":"a/b","valid_from":0,"requires":["x","y"],"content":{"n":10,"m":{}}}"#,
        );
        let other = read(
            r#" {"content" : {"m":{},"n":1.0e1}, "compartment":"public", "aspect":"", "requires":["y","x","y"],
               "valid_from":"1970-01-01T01:00:00.000+01:00", "resource":"a\/b", "type":"observation"} "#,
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.canonical, other.canonical);
        let expected = r#"{"type":"observation","resource":"a/b","valid_from":"1970-01-01T00:00:00Z","requires":["x","y"],"content":{"m":{},"n":10}}"#;
        assert_eq!(String::from_utf8(one.canonical).unwrap(), expected);
        let more = [
            "",
            r#","ref":"a""#,
            r#","aspect":"a""#,
            r#","valid_from":1"#,
            r#","valid_until":2000"#,
            r#","requires":["a"]"#,
            r#","supersedes":[]"#,
            r#","supersedes":["a"]"#,
            r#","label":"a""#,
            r#","compartment":"a""#,
        ];
        let mut forms: Vec<_> = more
            .iter()
            .map(|more| read(&with(more)).unwrap().canonical)
            .collect();
        forms.sort();
        forms.dedup();
        assert_eq!(forms.len(), more.len());
    }

    #[test]
    fn what_is_missing_unknown_or_repeated_is_named() {
        let (column, message) = refused("[]");
        assert!(
            column == 1 && message.starts_with("expected an object, {\"type\""),
            "{message}"
        );
        let cases = [
            ("type", r#"{"resource":"a/b","content":{}}"#),
            ("resource", r#"{"type":"operation","content":{}}"#),
            ("content", r#"{"type":"operation","resource":"a/b"}"#),
        ];
        for (key, line) in cases {
            let (column, message) = refused(line);
            assert!(
                column == 1 && message.contains(&format!("no {key:?}")),
                "{line}: {message}"
            );
        }
        assert_eq!(
            refused(r#"{"type":"observation","type":"operation"}"#),
            (23, "\"type\" stands here twice".to_owned())
        );
        assert_eq!(refused(r#"{"colour":1}"#).0, 2);
        assert!(
            refused(r#"{"colour":1}"#)
                .1
                .contains("a line has ref, type")
        );
        assert!(
            refused(r#"{"recource":1}"#)
                .1
                .contains("is \"resource\" meant?")
        );
        assert!(
            refused(&format!("{{\"{}\":1}}", "x".repeat(1_000)))
                .1
                .contains("a line has ref")
        );
    }

    #[test]
    fn wrong_members_are_refused_where_they_stand() {
        let behind = with("").len();
        let cases = [
            (r#""type":7"#, "a string for \"type\""),
            (r#""type":"opinion""#, "\"opinion\" is no fact type"),
            (r#""type":"custom:""#, "must not be empty"),
            (r#""type":"resolution""#, "not imported"),
            (r#""type":"erasure""#, "not imported"),
            (
                r#""resource":"sensor""#,
                "\"resource\": a resource is written type/name",
            ),
            (r#""resource":"/x""#, "must not be empty"),
            (
                r#""resource":null"#,
                "a string for \"resource\", but found null",
            ),
            (r#""ref":"""#, "1 to 256 bytes, not 0"),
            (r#""ref":1"#, "a string for \"ref\""),
            (r#""aspect":1"#, "a string for \"aspect\""),
            (r#""label":[]"#, "a string for \"label\""),
            (r#""compartment":1"#, "a string for \"compartment\""),
            (
                r#""valid_from":"yesterday""#,
                "\"valid_from\": a time is written as RFC 3339",
            ),
            (r#""valid_from":"2018-01-30T00:00:00.0001Z""#, "millisecond"),
            (
                r#""valid_from":0.5"#,
                "\"valid_from\": as a number a time is whole milliseconds",
            ),
            (r#""valid_from":true"#, "for \"valid_from\", but found true"),
            (r#""valid_until":999"#, "\"valid_until\" is not after now"),
            (r#""requires":"x""#, "for \"requires\", but found a string"),
            (r#""requires":[1]"#, "the ref of an earlier line"),
            (r#""supersedes":{}"#, "for \"supersedes\""),
            (
                r#""content":[1]"#,
                "an object of fields for \"content\", but found a list",
            ),
        ];
        for (member, expected) in cases {
            let key = member.split(':').next().unwrap();
            let line = match with("").find(key) {
                Some(_) => format!("{{{member}}}"),
                None => with(&format!(",{member}")),
            };
            let (column, message) = refused(&line);
            assert!(message.contains(expected), "{member}: {message}");
            assert!(
                column > 1 && column <= behind + member.len() + 1,
                "{member}: column {column}"
            );
        }
        assert!(
            refused(&with(r#","valid_from":10,"valid_until":10"#))
                .1
                .contains("not after \"valid_from\"")
        );
    }

    #[test]
    fn counts_and_lengths_have_limits() {
        let label = |length: usize| with(&format!(",\"ref\":\"{}\"", "r".repeat(length)));
        assert!(read(&label(REF_BYTES_MAX)).is_ok());
        assert!(refused(&label(REF_BYTES_MAX + 1)).1.contains("not 257"));
        let names = |key: &str, count: usize| {
            let names: Vec<_> = (0..count).map(|number| format!("\"{number}\"")).collect();
            with(&format!(",\"{key}\":[{}]", names.join(",")))
        };
        assert!(read(&names("requires", REQUIRES_MAX)).is_ok());
        assert!(
            refused(&names("requires", REQUIRES_MAX + 1))
                .1
                .contains("more than 16")
        );
        assert!(read(&names("supersedes", SUPERSEDES_MAX)).is_ok());
        assert!(
            refused(&names("supersedes", SUPERSEDES_MAX + 1))
                .1
                .contains("more than 256")
        );
        let fields = |count: usize| {
            let fields: Vec<_> = (0..count).map(|number| format!("\"{number}\":0")).collect();
            format!(
                r#"{{"type":"operation","resource":"a/b","content":{{{}}}}}"#,
                fields.join(",")
            )
        };
        assert!(read(&fields(FIELDS_MAX)).is_ok());
        assert!(
            refused(&fields(FIELDS_MAX + 1))
                .1
                .contains("more than 128 fields")
        );
    }
}
