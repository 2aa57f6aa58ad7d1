//! Names in a core: fact types, resources, aspects and labels.

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The longest label, aspect, resource type and custom type name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest resource name, in bytes.
pub const RESOURCE_NAME_BYTES_MAX: usize = 256;

/// Why text is not a name of its kind.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// Empty where a name must not be.
    #[error("a {0} must not be empty")]
    Empty(&'static str),
    /// Longer than its limit.
    #[error("a {what} of {actual} bytes, the limit is {limit}")]
    TooLong {
        /// What it names.
        what: &'static str,
        /// Its bytes.
        actual: usize,
        /// The most bytes.
        limit: usize,
    },
    /// Contains a control character, or a slash where none may be.
    #[error("a {what} must not contain {character:?}")]
    Character {
        /// What it names.
        what: &'static str,
        /// The character.
        character: char,
    },
    /// Not of the form `type/name`.
    #[error("a resource is written type/name")]
    NotAResource,
    /// Not a fact type.
    #[error("{0:?} is no fact type; expected one of {TYPE_NAMES} or custom:NAME")]
    UnknownType(String),
}

const TYPE_NAMES: &str = "state_change, operation, observation, transaction, cross_domain, validation, \
     retraction, resolution, erasure";

/// What kind of statement a fact is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum FactType {
    /// The state of a resource changed.
    StateChange,
    /// Something was done.
    Operation,
    /// Something was seen.
    Observation,
    /// Several changes as one.
    Transaction,
    /// Something between domains.
    CrossDomain,
    /// A statement about another fact's validity.
    Validation,
    /// The origin takes back what it said.
    Retraction,
    /// A decision of a conflict.
    Resolution,
    /// Content is to be erased.
    Erasure,
    /// A type of the users' own.
    Custom(CustomType),
}

const CUSTOM: u8 = 255;

impl FactType {
    const BUILT_IN: [Self; 9] = [
        Self::StateChange,
        Self::Operation,
        Self::Observation,
        Self::Transaction,
        Self::CrossDomain,
        Self::Validation,
        Self::Retraction,
        Self::Resolution,
        Self::Erasure,
    ];

    /// Its name in text: `state_change`, … or `custom:NAME`.
    pub fn name(&self) -> std::borrow::Cow<'static, str> {
        match self {
            Self::StateChange => "state_change".into(),
            Self::Operation => "operation".into(),
            Self::Observation => "observation".into(),
            Self::Transaction => "transaction".into(),
            Self::CrossDomain => "cross_domain".into(),
            Self::Validation => "validation".into(),
            Self::Retraction => "retraction".into(),
            Self::Resolution => "resolution".into(),
            Self::Erasure => "erasure".into(),
            Self::Custom(name) => format!("custom:{}", name.0).into(),
        }
    }

    pub(crate) fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Custom(name) => drop(to.u8(CUSTOM).string(&name.0)),
            built_in => {
                let code = Self::BUILT_IN.iter().position(|other| other == built_in);
                to.u8(code.expect("every other type is in the table") as u8);
            }
        }
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = from.at();
        match from.u8()? {
            CUSTOM => name_at(from, "custom type", NAME_BYTES_MAX)
                .map(CustomType)
                .map(Self::Custom),
            code => {
                Self::BUILT_IN
                    .get(usize::from(code))
                    .cloned()
                    .ok_or(DecodeError::UnknownCode {
                        at,
                        what: FACT_TYPE,
                        code,
                    })
            }
        }
    }
}

/// What [`DecodeError::UnknownCode`] says of an unknown type.
pub(crate) const FACT_TYPE: &str = "fact type";

impl fmt::Display for FactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl FromStr for FactType {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Some(name) = text.strip_prefix("custom:") {
            return CustomType::new(name).map(Self::Custom);
        }
        let built_in = Self::BUILT_IN.into_iter().find(|kind| kind.name() == text);
        built_in.ok_or_else(|| NameError::UnknownType(text.to_owned()))
    }
}

/// The name of a custom type: 1 to [`NAME_BYTES_MAX`] bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CustomType(String);

impl CustomType {
    /// Takes a name.
    ///
    /// # Errors
    ///
    /// When it is empty, too long, or has control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        checked(name.into(), "custom type", 1, NAME_BYTES_MAX).map(Self)
    }
}

/// What a fact is about: a type and a name, written `type/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    kind: String,
    name: String,
}

impl Resource {
    /// Takes a type, without slashes, and a name.
    ///
    /// # Errors
    ///
    /// When one is empty, too long, or has control characters.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Result<Self, NameError> {
        let kind = checked(kind.into(), "resource type", 1, NAME_BYTES_MAX)?;
        if kind.contains('/') {
            return Err(NameError::Character {
                what: "resource type",
                character: '/',
            });
        }
        let name = checked(name.into(), "resource name", 1, RESOURCE_NAME_BYTES_MAX)?;
        Ok(Self { kind, name })
    }

    /// The type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn encode(&self, to: &mut Encoder) {
        to.string(&self.kind).string(&self.name);
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = from.at();
        let kind = name_at(from, "resource type", NAME_BYTES_MAX)?;
        if kind.contains('/') {
            let rule = "a resource type has no slash";
            return Err(DecodeError::NotCanonical { at, rule });
        }
        let name = name_at(from, "resource name", RESOURCE_NAME_BYTES_MAX)?;
        Ok(Self { kind, name })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.kind, self.name))
    }
}

impl FromStr for Resource {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (kind, name) = text.split_once('/').ok_or(NameError::NotAResource)?;
        Self::new(kind, name)
    }
}

macro_rules! optional_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Takes text of at most [`NAME_BYTES_MAX`] bytes.
            ///
            /// # Errors
            ///
            /// When it is too long or has control characters.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                checked(text.into(), $what, 0, NAME_BYTES_MAX).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub(crate) fn encode(&self, to: &mut Encoder) {
                to.string(&self.0);
            }

            pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                text_at(from, $what, NAME_BYTES_MAX).map(Self)
            }
        }
    };
}

optional_name!(
    /// Which side of a resource a fact speaks of; empty where it has one only.
    Aspect,
    "aspect"
);
optional_name!(
    /// A handling label, such as `reviewed` or `erasable`; empty for none.
    Label,
    "label"
);

fn checked(
    text: String,
    what: &'static str,
    least: usize,
    limit: usize,
) -> Result<String, NameError> {
    if text.len() < least {
        return Err(NameError::Empty(what));
    }
    if text.len() > limit {
        return Err(NameError::TooLong {
            what,
            actual: text.len(),
            limit,
        });
    }
    if let Some(character) = text.chars().find(|c| c.is_control()) {
        return Err(NameError::Character { what, character });
    }
    Ok(text)
}

fn text_at(
    from: &mut Decoder<'_>,
    what: &'static str,
    limit: usize,
) -> Result<String, DecodeError> {
    let at = from.at();
    let text = from.string(what, limit)?;
    if text.chars().any(char::is_control) {
        return Err(DecodeError::NotCanonical {
            at,
            rule: "names have no control characters",
        });
    }
    Ok(text.to_owned())
}

fn name_at(
    from: &mut Decoder<'_>,
    what: &'static str,
    limit: usize,
) -> Result<String, DecodeError> {
    let at = from.at();
    let name = text_at(from, what, limit)?;
    if name.is_empty() {
        return Err(DecodeError::NotCanonical {
            at,
            rule: "a name is not empty",
        });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_at_their_limits() {
        assert!(Label::new("x".repeat(64)).is_ok());
        let error = NameError::TooLong {
            what: "label",
            actual: 65,
            limit: 64,
        };
        assert_eq!(Label::new("x".repeat(65)), Err(error));
        assert_eq!("nothing".parse::<Resource>(), Err(NameError::NotAResource));
        assert_eq!(
            "a/".parse::<Resource>(),
            Err(NameError::Empty("resource name"))
        );
        let error = NameError::Character {
            what: "aspect",
            character: '\n',
        };
        assert_eq!(Aspect::new("a\nb"), Err(error));
        assert_eq!(
            "odd".parse::<FactType>(),
            Err(NameError::UnknownType("odd".into()))
        );
        for name in ["state_change", "erasure", "custom:mine"] {
            assert_eq!(name.parse::<FactType>().unwrap().name(), name);
        }
    }
}
