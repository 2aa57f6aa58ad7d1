//! Bytes of a fixed number: as they are in bincode, without a length; as hexadecimal digits in JSON.

/// Serialises an array of bytes.
pub(crate) mod bytes {
    use std::fmt;

    use data_encoding::HEXLOWER;
    use serde::Deserializer;
    use serde::Serializer;
    use serde::de::Error;
    use serde::de::SeqAccess;
    use serde::de::Visitor;
    use serde::ser::SerializeTuple as _;

    pub(crate) fn serialize<const LENGTH: usize, S: Serializer>(
        bytes: &[u8; LENGTH],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&HEXLOWER.encode(bytes));
        }
        let mut tuple = serializer.serialize_tuple(LENGTH)?;
        for byte in bytes {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }

    pub(crate) fn deserialize<'de, const LENGTH: usize, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; LENGTH], D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(ArrayVisitor)
        } else {
            deserializer.deserialize_tuple(LENGTH, ArrayVisitor)
        }
    }

    struct ArrayVisitor<const LENGTH: usize>;

    impl<'de, const LENGTH: usize> Visitor<'de> for ArrayVisitor<LENGTH> {
        type Value = [u8; LENGTH];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{LENGTH} bytes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut bytes = [0; LENGTH];
            for (at, byte) in bytes.iter_mut().enumerate() {
                let next = seq.next_element()?;
                *byte = next.ok_or_else(|| A::Error::invalid_length(at, &self))?;
            }
            Ok(bytes)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            if text.len() != 2 * LENGTH {
                return Err(E::invalid_length(text.len() / 2, &self));
            }
            let bytes = HEXLOWER.decode(text.as_bytes()).ok();
            let array = bytes.and_then(|bytes| bytes.try_into().ok());
            array.ok_or_else(|| E::custom("not lower-case hexadecimal"))
        }
    }
}

/// Serialises a [`LogId`](causality_fact::LogId) as its 64 bytes.
pub(crate) mod log_id {
    use causality_fact::Decoder;
    use causality_fact::LogId;
    use serde::Deserializer;
    use serde::Serializer;
    use serde::de::Error as _;

    pub(crate) fn serialize<S: Serializer>(log: &LogId, serializer: S) -> Result<S::Ok, S::Error> {
        super::bytes::serialize(&log.to_bytes(), serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<LogId, D::Error> {
        let bytes: [u8; LogId::LENGTH] = super::bytes::deserialize(deserializer)?;
        Decoder::exactly(&bytes, LogId::decode).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::Serialize;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Four(#[serde(with = "super::bytes")] [u8; 4]);

    #[test]
    fn an_array_is_hexadecimal_in_json() {
        let four = Four([0, 1, 0xab, 0xff]);
        let json = serde_json::to_string(&four).unwrap();
        assert_eq!(json, "\"0001abff\"");
        assert_eq!(serde_json::from_str::<Four>(&json).unwrap(), four);
    }

    #[test]
    fn other_texts_are_refused() {
        let refused = |json: &str| serde_json::from_str::<Four>(json).is_err();
        assert!(refused("\"0001abf\""));
        assert!(refused("\"0001abff0\""));
        assert!(refused("\"0001abff00\""));
        assert!(refused("\"0001ABFF\""));
        assert!(refused("\"0001abé\""));
        assert!(refused("[0, 1, 2, 3]"));
    }
}
