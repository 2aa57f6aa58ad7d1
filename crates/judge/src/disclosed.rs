//! What of a fact a row shows: who may pass it on, its label, and the fields that are not withheld.

use crate::codec::{DecodeError, Reader};
use crate::id::FactId;
use crate::row;

/// A fact as far as rows have shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disclosed {
    /// Whether nobody but its origin gives it to others.
    pub(crate) stays: bool,
    pub(crate) label: String,
    /// What it requires, as far as its core is known.
    pub(crate) requires: Vec<FactId>,
    pub(crate) content: Content,
}

/// The content of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// All fields in their order; none for one that is withheld.
    Fields(Vec<Option<Field>>),
    /// Of a core that version 0 does not know.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Its value, if that is an integer.
    pub(crate) integer: Option<i64>,
}

/// Which fields of a fact somebody has: bit i for the i-th in their order.
pub(crate) type Mask = u128;

impl Disclosed {
    /// Reads a row.
    ///
    /// # Errors
    ///
    /// When it is none; what [`row::read`] takes is one.
    pub(crate) fn read(row: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(row);
        match reader.code(2)? {
            0 => known(&mut reader, whole),
            1 => known(&mut reader, partial),
            _ => {
                let (stays, label) = header(&mut Reader::new(reader.bytes()?))?;
                Ok(Self {
                    stays,
                    label,
                    requires: Vec::new(),
                    content: Content::Unknown,
                })
            }
        }
    }

    /// The fields that are shown.
    pub(crate) fn mask(&self) -> Mask {
        self.mask_of(|_| true)
    }

    /// The fields of these names.
    pub(crate) fn named(&self, names: &[String]) -> Mask {
        self.mask_of(|field| names.contains(&field.name))
    }

    /// All fields that there are.
    pub(crate) fn all(&self) -> Mask {
        let count = u32::try_from(self.fields().len()).unwrap_or(Mask::BITS);
        Mask::MAX.unbounded_shr(Mask::BITS.saturating_sub(count))
    }

    /// The names of fields.
    pub(crate) fn names(&self, mask: Mask) -> Vec<&str> {
        let shown = self.shown().filter(|(bit, _)| mask & bit != 0);
        shown.map(|(_, field)| field.name.as_str()).collect()
    }

    /// Whether there may be a field of this name that no row has shown.
    pub(crate) fn may_hide(&self, name: &str) -> bool {
        let mut shown = self.shown();
        let is_shown = shown.any(|(_, field)| field.name == name);
        !is_shown && self.fields().iter().any(Option::is_none)
    }

    /// The integer in a field, for whoever has the fields of `mask`.
    pub(crate) fn integer(&self, name: &str, mask: Mask) -> Option<i64> {
        let mut shown = self.shown().filter(|(bit, _)| mask & bit != 0);
        let (_, field) = shown.find(|(_, field)| field.name == name)?;
        field.integer
    }

    /// Takes in what another row of the fact shows.
    pub(crate) fn merge(&mut self, other: Self) {
        let Content::Fields(mine) = &mut self.content else {
            return;
        };
        let Content::Fields(others) = other.content else {
            return;
        };
        for (mine, other) in mine.iter_mut().zip(others) {
            if mine.is_none() {
                *mine = other;
            }
        }
    }

    fn mask_of(&self, meant: impl Fn(&Field) -> bool) -> Mask {
        let meant = self.shown().filter(|(_, field)| meant(field));
        meant.fold(0, |mask, (bit, _)| mask | bit)
    }

    /// The fields that are shown, each with its bit.
    fn shown(&self) -> impl Iterator<Item = (Mask, &Field)> {
        let bits = (0..Mask::BITS).map(|bit| 1 << bit);
        let fields = bits.zip(self.fields());
        fields.filter_map(|(bit, field)| Some((bit, field.as_ref()?)))
    }

    fn fields(&self) -> &[Option<Field>] {
        match &self.content {
            Content::Fields(fields) => fields,
            Content::Unknown => &[],
        }
    }
}

/// Fields in their order; none for one that is withheld.
type Fields = Vec<Option<Field>>;

fn known(
    reader: &mut Reader<'_>,
    fields: fn(&mut Reader<'_>) -> Result<Fields, DecodeError>,
) -> Result<Disclosed, DecodeError> {
    let (stays, label) = header(reader)?;
    let requires = body(reader)?;
    let content = Content::Fields(fields(reader)?);
    Ok(Disclosed {
        stays,
        label,
        requires,
        content,
    })
}

/// The version, who may pass the fact on, and the label.
fn header(reader: &mut Reader<'_>) -> Result<(bool, String), DecodeError> {
    reader.byte()?;
    let stays = reader.code(2)? == 0;
    Ok((stays, reader.string()?.to_owned()))
}

/// The body of a core, of which the facts that it requires are kept.
fn body(reader: &mut Reader<'_>) -> Result<Vec<FactId>, DecodeError> {
    if reader.byte()? == CUSTOM {
        reader.string()?;
    }
    // The two parts of the resource, and the aspect.
    for _ in 0..3 {
        reader.string()?;
    }
    reader.u64()?;
    reader.int()?;
    reader.uint()?;
    let mut references = || {
        let count = reader.count(32)?;
        let ids = (0..count).map(|_| reader.array().map(FactId));
        ids.collect::<Result<Vec<_>, DecodeError>>()
    };
    let requires = references()?;
    let _supersedes = references()?;
    Ok(requires)
}

fn whole(reader: &mut Reader<'_>) -> Result<Fields, DecodeError> {
    let _seed: [u8; 16] = reader.array()?;
    let count = reader.count(2)?;
    (0..count).map(|_| field(reader).map(Some)).collect()
}

fn partial(reader: &mut Reader<'_>) -> Result<Fields, DecodeError> {
    let count = reader.count(33)?;
    let fields = (0..count).map(|_| {
        let is_shown = reader.code(1)? == 1;
        let _leaf_or_salt: [u8; 32] = reader.array()?;
        is_shown.then(|| field(reader)).transpose()
    });
    fields.collect()
}

fn field(reader: &mut Reader<'_>) -> Result<Field, DecodeError> {
    let name = reader.string()?.to_owned();
    let mut ahead = *reader;
    let integer = match ahead.byte()? {
        INTEGER => Some(ahead.int()?),
        _ => None,
    };
    row::value(reader, 0)?;
    Ok(Field { name, integer })
}

const CUSTOM: u8 = 255;
const INTEGER: u8 = 3;
