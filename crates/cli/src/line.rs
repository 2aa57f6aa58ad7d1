//! Import lines: a fact as one line of JSON, read exactly and written canonically.

mod json;
mod read;

use causality_fact::{Aspect, Content, FactId, FactType, Label, Resource, TemporalFact, Value};
use data_encoding::BASE64;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::time;

pub(crate) use read::{Line, Name};

/// The longest import line, in bytes: every fact has a shorter one.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 19;

/// The compartment of lines that name none.
pub(crate) const PUBLIC: &str = "public";

/// What a line says, to be written: keys in a fixed order, what is empty left out.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) reference: Option<&'a str>,
    pub(crate) fact_type: &'a FactType,
    pub(crate) resource: &'a Resource,
    pub(crate) aspect: &'a Aspect,
    /// In milliseconds since 1970.
    pub(crate) valid_from: Option<i64>,
    pub(crate) valid_until: Option<i64>,
    pub(crate) requires: Vec<String>,
    /// `None` for the heads that the own domain has when the line is imported.
    pub(crate) supersedes: Option<Vec<String>>,
    pub(crate) label: &'a Label,
    pub(crate) compartment: &'a str,
    /// In order of their names.
    pub(crate) content: Vec<(&'a str, &'a Value)>,
}

/// Why a fact cannot be said by an import line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsayable {
    /// So many of its fields are withheld.
    Withheld(usize),
    /// An object in its content looks as bytes do.
    BytesKey,
}

/// The fact as a line, with its id as `ref`. References are in the order that `order` gives them, then in that of their
/// ids, which differs between domains that say the same.
pub(crate) fn line_of(
    fact: &TemporalFact,
    compartment: &str,
    order: impl Fn(&FactId) -> u64,
) -> Result<Vec<u8>, Unsayable> {
    if let Content::Partial(partial) = fact.content() {
        return Err(Unsayable::Withheld(partial.withheld()));
    }
    if fact
        .content()
        .disclosed()
        .any(|(_, value)| looks_as_bytes(value))
    {
        return Err(Unsayable::BytesKey);
    }
    let core = fact.core();
    let texts = |ids: &[FactId]| {
        let mut ids = ids.to_vec();
        ids.sort_by_key(&order);
        ids.iter().map(ToString::to_string).collect()
    };
    let said = Said {
        reference: Some(&fact.id().to_string()),
        fact_type: &core.fact_type,
        resource: &core.resource,
        aspect: &core.aspect,
        valid_from: Some(core.valid.from()),
        valid_until: core.valid.until(),
        requires: texts(core.requires.as_slice()),
        supersedes: Some(texts(core.supersedes.as_slice())),
        label: &core.label,
        compartment,
        content: fact.content().disclosed().collect(),
    };
    Ok(said.to_bytes())
}

impl Said<'_> {
    /// The line, without its end.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text, numbers and maps with text keys are JSON")
    }
}

impl Serialize for Said<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut text = |key: &str, text: &str| match text {
            "" => Ok(()),
            text => map.serialize_entry(key, text),
        };
        text("ref", self.reference.unwrap_or_default())?;
        text("type", &self.fact_type.name())?;
        text("resource", &self.resource.to_string())?;
        text("aspect", self.aspect.as_str())?;
        for (key, moment) in [
            ("valid_from", self.valid_from),
            ("valid_until", self.valid_until),
        ] {
            if let Some(moment) = moment {
                map.serialize_entry(key, &Moment(moment))?;
            }
        }
        if !self.requires.is_empty() {
            map.serialize_entry("requires", &self.requires)?;
        }
        if let Some(supersedes) = &self.supersedes {
            map.serialize_entry("supersedes", supersedes)?;
        }
        if !self.label.as_str().is_empty() {
            map.serialize_entry("label", self.label.as_str())?;
        }
        if self.compartment != PUBLIC {
            map.serialize_entry("compartment", self.compartment)?;
        }
        map.serialize_entry("content", &Members(&self.content))?;
        map.end()
    }
}

/// A time: RFC 3339, or the number where the calendar ends.
struct Moment(i64);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = time::format(self.0);
        match text.parse::<i64>() {
            Ok(number) => serializer.serialize_i64(number),
            Err(_) => serializer.serialize_str(&text),
        }
    }
}

/// Fields as an object.
struct Members<'a>(&'a [(&'a str, &'a Value)]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Json(value))))
    }
}

/// A value of the content as JSON.
#[derive(Debug)]
pub(crate) struct Json<'a>(pub(crate) &'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(value.get()),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(value) => {
                serializer.collect_map([(json::BYTES_KEY, BASE64.encode(value))])
            }
            Value::List(items) => serializer.collect_seq(items.iter().map(Json)),
            Value::Map(entries) => {
                serializer.collect_map(entries.iter().map(|(key, value)| (key, Json(value))))
            }
        }
    }
}

// The recursion is bounded by the depth of values.
fn looks_as_bytes(value: &Value) -> bool {
    match value {
        Value::Map(entries) => {
            entries.contains_key(json::BYTES_KEY) || entries.values().any(looks_as_bytes)
        }
        Value::List(items) => items.iter().any(looks_as_bytes),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tests::{content, fact, fact_with};

    #[test]
    fn a_fact_is_one_line_with_fixed_keys() {
        let fact = fact();
        let line = String::from_utf8(line_of(&fact, "partners", |_| 0).unwrap()).unwrap();
        insta::assert_snapshot!(line, @r#"{"ref":"d14a54caff2de509f117e9d310fb1d4fb7d4c13ae818cbe36e9a38d2a38538c1","type":"custom:report","resource":"event/ak18247005","aspect":"magnitude","valid_from":"2018-01-31T02:18:21.235Z","valid_until":9223372036854775807,"requires":["0202020202020202020202020202020202020202020202020202020202020202"],"supersedes":[],"label":"reviewed","compartment":"partners","content":{"count":9223372036854775807,"list":[null,true,{"k":{"$bytes":"AP8="}}],"mag":-0.1,"place":"\"ä\"\n🌋"}}"#);
    }

    #[test]
    fn a_line_that_was_written_reads_as_the_same_fact() {
        let fact = fact();
        let line = line_of(&fact, PUBLIC, |_| 0).unwrap();
        let line = Line::read(std::str::from_utf8(&line).unwrap(), 0).unwrap();
        let (draft, core) = (&line.draft, fact.core());
        assert_eq!(draft.content, content());
        assert_eq!(
            (&draft.fact_type, &draft.resource),
            (&core.fact_type, &core.resource)
        );
        assert_eq!((&draft.aspect, &draft.label), (&core.aspect, &core.label));
        assert_eq!(draft.valid, Some(core.valid));
        assert_eq!(line.compartment, PUBLIC);
    }

    #[test]
    fn what_a_line_cannot_say_is_told() {
        let redacted = fact().redact(|field| field == "mag");
        assert_eq!(
            line_of(&redacted, PUBLIC, |_| 0),
            Err(Unsayable::Withheld(3))
        );
        let odd = BTreeMap::from([(json::BYTES_KEY.to_owned(), Value::Null)]);
        let inside = Value::List(vec![Value::Map(odd.clone())]);
        let odd_inside = fact_with(BTreeMap::from([("a".to_owned(), inside)]));
        assert_eq!(
            line_of(&odd_inside, PUBLIC, |_| 0),
            Err(Unsayable::BytesKey)
        );
        // As the name of a field it is only a name.
        assert!(line_of(&fact_with(odd), PUBLIC, |_| 0).is_ok());
    }
}
