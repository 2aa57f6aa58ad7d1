//! Rows of facts, as `docs/src/spec/fact.md` has them: what they say of the id and the time of a fact.

use crate::codec::{DecodeError, Reader, ascends, tagged_hash, uint_bytes};
use crate::id::{DomainId, FactId};

/// What a row says, as far as a judge needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowFacts {
    /// The id, computed from core and content.
    pub id: FactId,
    /// The time of the fact; none of a core that version 0 does not know.
    pub time: Option<u64>,
}

/// Reads a row of a log of `origin`.
///
/// # Errors
///
/// When the bytes are not the one spelling of a row.
pub fn read(origin: &DomainId, row: &[u8]) -> Result<RowFacts, DecodeError> {
    let mut reader = Reader::new(row);
    match reader.code(2)? {
        0 => {
            limit(row, ROW_BYTES_MAX)?;
            known(origin, reader, whole_root)
        }
        1 => {
            limit(row, PARTIAL_ROW_BYTES_MAX)?;
            known(origin, reader, partial_root)
        }
        _ => {
            limit(row, ROW_BYTES_MAX)?;
            raw(reader)
        }
    }
}

fn limit(row: &[u8], bytes_max: usize) -> Result<(), DecodeError> {
    if row.len() > bytes_max {
        return Err(DecodeError::LimitExceeded);
    }
    Ok(())
}

/// Header and body, then content that `root` reads; the core is put together from what the log and hashing say.
fn known(
    origin: &DomainId,
    mut reader: Reader<'_>,
    root: fn(&mut Reader<'_>) -> Result<[u8; 32], DecodeError>,
) -> Result<RowFacts, DecodeError> {
    let start = reader;
    if header(&mut reader)? != 0 {
        return Err(DecodeError::UnknownCode);
    }
    let header = reader.since(start);
    let start = reader;
    let time = body(&mut reader)?.ok_or(DecodeError::UnknownCode)?;
    let body = reader.since(start);
    let root = root(&mut reader)?;
    reader.finish()?;
    Ok(RowFacts {
        id: FactId(tagged_hash(
            "causality/0/fact",
            &[header, &origin.0, body, &root],
        )),
        time: Some(time),
    })
}

fn raw(mut reader: Reader<'_>) -> Result<RowFacts, DecodeError> {
    let core = reader.bytes()?;
    let _content = reader.bytes()?;
    reader.finish()?;
    if core_time(core)?.is_some() {
        return Err(DecodeError::NotCanonical);
    }
    Ok(RowFacts {
        id: FactId(tagged_hash("causality/0/fact", &[core])),
        time: None,
    })
}

/// The time of a whole core; none if version 0 does not know such cores.
pub(crate) fn core_time(core: &[u8]) -> Result<Option<u64>, DecodeError> {
    let mut reader = Reader::new(core);
    if header(&mut reader)? != 0 {
        return Ok(None);
    }
    let _origin: [u8; 32] = reader.array()?;
    let Some(time) = body(&mut reader)? else {
        return Ok(None);
    };
    let _root: [u8; 32] = reader.array()?;
    reader.finish()?;
    Ok(Some(time))
}

/// The version.
fn header(reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
    let version = reader.byte()?;
    reader.code(2)?;
    reader.name_at_most(NAME_BYTES_MAX)?;
    Ok(version)
}

/// The time; none for a type that version 0 does not know, and then the reader stands somewhere.
fn body(reader: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    match reader.byte()? {
        0..=8 => {}
        CUSTOM => {
            filled_name(reader, NAME_BYTES_MAX)?;
        }
        _ => return Ok(None),
    }
    let resource_type = filled_name(reader, NAME_BYTES_MAX)?;
    if resource_type.contains('/') {
        return Err(DecodeError::NotCanonical);
    }
    filled_name(reader, RESOURCE_NAME_BYTES_MAX)?;
    reader.name_at_most(NAME_BYTES_MAX)?;
    let time = reader.u64()?;
    let (from, length) = (reader.int()?, reader.uint()?);
    if from.checked_add_unsigned(length).is_none() {
        return Err(DecodeError::NotCanonical);
    }
    references(reader, REQUIRES_MAX)?;
    references(reader, SUPERSEDES_MAX)?;
    Ok(Some(time))
}

fn filled_name<'b>(reader: &mut Reader<'b>, limit: u64) -> Result<&'b str, DecodeError> {
    let name = reader.name_at_most(limit)?;
    if name.is_empty() {
        return Err(DecodeError::NotCanonical);
    }
    Ok(name)
}

fn references(reader: &mut Reader<'_>, limit: u64) -> Result<(), DecodeError> {
    let mut before = None;
    for _ in 0..reader.uint_at_most(limit)? {
        ascends(&mut before, reader.array::<32>()?)?;
    }
    Ok(())
}

pub(crate) fn whole_root(reader: &mut Reader<'_>) -> Result<[u8; 32], DecodeError> {
    let seed: [u8; 16] = reader.array()?;
    let count = reader.uint_at_most(FIELDS_MAX)?;
    let mut leaves = uint_bytes(count);
    let mut before = None;
    for i in 0..count {
        let start = *reader;
        ascends(&mut before, reader.string_at_most(NAME_BYTES_MAX)?)?;
        value(reader, 0)?;
        let salt = tagged_hash("causality/0/salt", &[&seed, &uint_bytes(i)]);
        leaves.extend(leaf(&salt, reader.since(start)));
    }
    Ok(tagged_hash("causality/0/content", &[&leaves]))
}

pub(crate) fn partial_root(reader: &mut Reader<'_>) -> Result<[u8; 32], DecodeError> {
    let count = reader.uint_at_most(FIELDS_MAX)?;
    if count == 0 {
        return Err(DecodeError::NotCanonical);
    }
    let mut leaves = uint_bytes(count);
    let mut before = None;
    for _ in 0..count {
        if reader.code(1)? == 0 {
            leaves.extend(reader.array::<32>()?);
            continue;
        }
        let salt: [u8; 32] = reader.array()?;
        let start = *reader;
        ascends(&mut before, reader.string_at_most(NAME_BYTES_MAX)?)?;
        value(reader, 0)?;
        leaves.extend(leaf(&salt, reader.since(start)));
    }
    Ok(tagged_hash("causality/0/content", &[&leaves]))
}

/// `field` is name and value as they are encoded.
fn leaf(salt: &[u8; 32], field: &[u8]) -> [u8; 32] {
    tagged_hash("causality/0/field", &[salt, field])
}

/// A value inside of so many lists and maps. Calls itself at most as often as those nest.
pub(crate) fn value(reader: &mut Reader<'_>, depth: u8) -> Result<(), DecodeError> {
    let code = reader.code(8)?;
    if code >= LIST && depth == DEPTH_MAX {
        return Err(DecodeError::NotCanonical);
    }
    match code {
        0..=2 => {}
        3 => {
            reader.int()?;
        }
        4 => {
            let float = f64::from_bits(reader.u64()?);
            if !float.is_finite() || float.fract() == 0.0 {
                return Err(DecodeError::NotCanonical);
            }
        }
        5 => {
            reader.string()?;
        }
        6 => {
            reader.bytes()?;
        }
        LIST => {
            for _ in 0..reader.count(1)? {
                value(reader, depth + 1)?;
            }
        }
        _ => {
            let mut before = None;
            // A key and a value take two bytes at least.
            for _ in 0..reader.count(2)? {
                ascends(&mut before, reader.string_at_most(NAME_BYTES_MAX)?)?;
                value(reader, depth + 1)?;
            }
        }
    }
    Ok(())
}

const CUSTOM: u8 = 255;
const LIST: u8 = 7;
const DEPTH_MAX: u8 = 4;
const FIELDS_MAX: u64 = 128;
const NAME_BYTES_MAX: u64 = 64;
const RESOURCE_NAME_BYTES_MAX: u64 = 256;
const REQUIRES_MAX: u64 = 16;
const SUPERSEDES_MAX: u64 = 256;
const ROW_BYTES_MAX: usize = 60_000;
const PARTIAL_ROW_BYTES_MAX: usize = 65_000;
