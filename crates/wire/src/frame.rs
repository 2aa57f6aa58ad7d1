//! Frames: how a stream of bytes is cut into bodies. What a body is, sealed or not, is not known here.

use std::fmt;

use thiserror::Error;

use crate::codec::MESSAGE_BYTES_MAX;

/// The most bytes of the body of a frame: the largest message and the tag that seals it.
pub const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 16;

/// How many bytes the length of a frame takes.
pub const FRAME_HEADER_BYTES: usize = 4;

/// How much is reserved on the word of a length alone; further room is made as bytes arrive.
const RESERVED_MAX: usize = 64 << 10;

/// Cuts the bytes of one stream into the bodies of its frames, however they are split on arrival. Holds at most one body.
pub struct FrameReader {
    limit: usize,
    header: [u8; FRAME_HEADER_BYTES],
    header_length: usize,
    body: Vec<u8>,
}

impl FrameReader {
    /// A reader of frames whose bodies have at most `limit` bytes, and never more than [`FRAME_BYTES_MAX`].
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.min(FRAME_BYTES_MAX),
            header: [0; FRAME_HEADER_BYTES],
            header_length: 0,
            body: Vec::new(),
        }
    }

    /// Takes bytes off the front of `input` up to the end of a frame, and returns its body. `None` when the input is used
    /// up before that. Call it until it returns `None`.
    ///
    /// # Errors
    ///
    /// [`FrameError::Empty`] or [`FrameError::TooLong`] as soon as the length has arrived, before anything is reserved for
    /// the body. The stream cannot be read any further: each later call returns the same error.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        let header = take(input, FRAME_HEADER_BYTES - self.header_length);
        let end = self.header_length + header.len();
        self.header[self.header_length..end].copy_from_slice(header);
        self.header_length = end;
        if end < FRAME_HEADER_BYTES {
            return Ok(None);
        }
        let length = self.checked_length()?;
        if self.body.capacity() == 0 {
            self.body.reserve_exact(length.min(RESERVED_MAX));
        }
        self.body
            .extend_from_slice(take(input, length - self.body.len()));
        if self.body.len() < length {
            return Ok(None);
        }
        self.header_length = 0;
        Ok(Some(std::mem::take(&mut self.body)))
    }

    /// Checks that the stream ends between two frames.
    ///
    /// # Errors
    ///
    /// [`FrameError::Truncated`] when it ends inside one.
    pub fn finish(&self) -> Result<(), FrameError> {
        let received = self.header_length + self.body.len();
        if received == 0 {
            Ok(())
        } else {
            Err(FrameError::Truncated { received })
        }
    }

    fn checked_length(&self) -> Result<usize, FrameError> {
        let length = u32::from_le_bytes(self.header);
        let limit = self.limit;
        match usize::try_from(length) {
            Ok(0) => Err(FrameError::Empty),
            Ok(length) if length <= limit => Ok(length),
            _ => Err(FrameError::TooLong {
                length: u64::from(length),
                limit,
            }),
        }
    }
}

/// Tells the number of bytes only: they may be content.
impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, body, .. } = self;
        write!(f, "FrameReader({} of at most {limit} bytes)", body.len())
    }
}

/// The first `count` bytes of the input, or all when there are fewer; they are gone from the input.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    taken
}

/// Appends the frame of a body to a stream.
///
/// # Errors
///
/// When the body is empty or has more than [`FRAME_BYTES_MAX`] bytes; nothing is appended.
pub fn write_frame(body: &[u8], to: &mut Vec<u8>) -> Result<(), FrameError> {
    let header = frame_header(body.len())?;
    to.reserve(header.len() + body.len());
    to.extend_from_slice(&header);
    to.extend_from_slice(body);
    Ok(())
}

/// What stands before a body of `length` bytes: the length, little endian.
///
/// # Errors
///
/// When it is 0 or above [`FRAME_BYTES_MAX`].
pub fn frame_header(length: usize) -> Result<[u8; FRAME_HEADER_BYTES], FrameError> {
    match u32::try_from(length) {
        Ok(0) => Err(FrameError::Empty),
        Ok(short) if length <= FRAME_BYTES_MAX => Ok(short.to_le_bytes()),
        _ => Err(FrameError::TooLong {
            length: length as u64,
            limit: FRAME_BYTES_MAX,
        }),
    }
}

/// Why bytes are no frames.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame without a body.
    #[error("a frame has no body")]
    Empty,
    /// A body above the limit.
    #[error("a frame has {length} bytes, the limit is {limit}")]
    TooLong {
        /// How many bytes it has.
        length: u64,
        /// How many it may have.
        limit: usize,
    },
    /// The stream ends inside a frame.
    #[error("the stream ends inside a frame, of which {received} bytes have arrived")]
    Truncated {
        /// How many bytes of the frame, with its length, have arrived.
        received: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(length: u32) -> [u8; 4] {
        length.to_le_bytes()
    }

    fn first(limit: usize, mut stream: &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        FrameReader::new(limit).read(&mut stream)
    }

    #[test]
    fn the_largest_length_is_refused_before_anything_is_reserved() {
        let mut reader = FrameReader::new(FRAME_BYTES_MAX);
        let error = FrameError::TooLong {
            length: u64::from(u32::MAX),
            limit: FRAME_BYTES_MAX,
        };
        assert_eq!(reader.read(&mut &header(u32::MAX)[..]), Err(error.clone()));
        assert_eq!(reader.body.capacity(), 0);
        assert_eq!(reader.read(&mut &header(1)[..]), Err(error));
    }

    #[test]
    fn an_empty_frame_is_refused() {
        assert_eq!(first(FRAME_BYTES_MAX, &header(0)), Err(FrameError::Empty));
        assert_eq!(frame_header(0), Err(FrameError::Empty));
        assert_eq!(write_frame(&[], &mut Vec::new()), Err(FrameError::Empty));
    }

    #[test]
    fn limits_hold_at_and_above_them() {
        let body = vec![7; FRAME_BYTES_MAX + 1];
        let mut stream = Vec::new();
        write_frame(&body[1..], &mut stream).unwrap();
        assert_eq!(first(usize::MAX, &stream).unwrap().unwrap(), body[1..]);
        let (length, limit) = (body.len() as u64, FRAME_BYTES_MAX);
        let too_long = FrameError::TooLong { length, limit };
        stream.clear();
        assert_eq!(write_frame(&body, &mut stream), Err(too_long.clone()));
        assert!(stream.is_empty());
        assert_eq!(frame_header(usize::MAX).map_err(|_| ()), Err(()));
        assert_eq!(first(usize::MAX, &header(length as u32)), Err(too_long));

        assert_eq!(first(3, &[3, 0, 0, 0, 7, 8, 9]), Ok(Some(vec![7, 8, 9])));
        let (length, limit) = (4, 3);
        assert_eq!(
            first(3, &header(4)),
            Err(FrameError::TooLong { length, limit })
        );
    }

    #[test]
    fn a_length_alone_reserves_little() {
        let mut reader = FrameReader::new(FRAME_BYTES_MAX);
        let length = header(FRAME_BYTES_MAX as u32);
        assert_eq!(reader.read(&mut &length[..]), Ok(None));
        assert!(reader.body.capacity() <= RESERVED_MAX);
        let text = format!("FrameReader(0 of at most {FRAME_BYTES_MAX} bytes)");
        assert_eq!(format!("{reader:?}"), text);
    }

    #[test]
    fn the_end_of_a_stream_is_between_two_frames() {
        let mut stream = Vec::new();
        write_frame(b"abc", &mut stream).unwrap();
        for received in 1..stream.len() {
            let mut reader = FrameReader::new(FRAME_BYTES_MAX);
            assert_eq!(reader.read(&mut &stream[..received]), Ok(None));
            assert_eq!(reader.finish(), Err(FrameError::Truncated { received }));
        }
        let mut reader = FrameReader::new(FRAME_BYTES_MAX);
        assert_eq!(reader.finish(), Ok(()));
        reader.read(&mut &stream[..]).unwrap();
        assert_eq!(reader.finish(), Ok(()));
    }

    proptest! {
        #[test]
        fn bodies_do_not_depend_on_how_a_stream_is_split(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..10),
            pieces in prop::collection::vec(1_usize..50, 1..20),
        ) {
            let mut stream = Vec::new();
            for body in &bodies {
                write_frame(body, &mut stream).unwrap();
            }
            let mut reader = FrameReader::new(FRAME_BYTES_MAX);
            let (mut rest, mut sizes, mut read) = (&stream[..], pieces.iter().cycle(), Vec::new());
            while !rest.is_empty() {
                let mut piece = take(&mut rest, *sizes.next().unwrap());
                while let Some(body) = reader.read(&mut piece).unwrap() {
                    read.push(body);
                }
                prop_assert!(piece.is_empty());
            }
            prop_assert_eq!(read, bodies);
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }
}
