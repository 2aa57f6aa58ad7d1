//! The one HPKE suite (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode. Only the exporter
//! is used.

use hpke::aead::{AeadCtxR, AeadCtxS, ChaCha20Poly1305};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{
    Deserializable as _, HpkeError, Kem, OpModeR, OpModeS, Serializable as _, setup_receiver,
    setup_sender_with_rng,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// A key pair for one handshake: `DeriveKeyPair` (RFC 9180, section 7.1.3) of 32 random bytes.
pub(crate) struct Ephemeral {
    secret: <X25519HkdfSha256 as Kem>::PrivateKey,
    pub(crate) public: [u8; 32],
}

impl Ephemeral {
    pub(crate) fn draw(rng: &mut impl CryptoRng) -> Self {
        let (secret, public) = X25519HkdfSha256::gen_keypair_with_rng(rng);
        let public = public.to_bytes().into();
        Self { secret, public }
    }
}

/// One HPKE context, from which both ends export the same secrets. It wipes itself.
pub(crate) enum Exporter {
    Receiver(AeadCtxR<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>),
    Sender(AeadCtxS<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>),
}

impl Exporter {
    /// `SetupBaseS`: the context and what the receiver needs to set up the same. Fails for a receiver's key of small
    /// order.
    pub(crate) fn sender(
        receiver: &[u8; 32],
        info: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<([u8; 32], Self), HpkeError> {
        let receiver = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(receiver)?;
        let (encapsulated, context) =
            setup_sender_with_rng::<_, _, X25519HkdfSha256>(&OpModeS::Base, &receiver, info, rng)?;
        Ok((encapsulated.to_bytes().into(), Self::Sender(context)))
    }

    /// `SetupBaseR`. Fails for an encapsulated key of small order.
    pub(crate) fn receiver(
        own: &Ephemeral,
        encapsulated: &[u8; 32],
        info: &[u8],
    ) -> Result<Self, HpkeError> {
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated)?;
        let context = setup_receiver(&OpModeR::Base, &own.secret, &encapsulated, info)?;
        Ok(Self::Receiver(context))
    }

    /// `Context.Export(context, 32)`.
    pub(crate) fn export(&self, context: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        match self {
            Self::Receiver(receiver) => receiver.export(context, secret.as_mut()),
            Self::Sender(sender) => sender.export(context, secret.as_mut()),
        }
        .expect("32 bytes are below the 255 blocks that HKDF can expand");
        secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::Tape;
    use data_encoding::HEXLOWER;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    /// RFC 9180, appendix A.2.1.
    #[test]
    fn the_vectors_of_the_standard_hold() {
        let info = bytes("4f6465206f6e2061204772656369616e2055726e");
        let ikm_r = "1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df";
        let ikm_e = "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b";
        let own = Ephemeral::draw(&mut Tape::new(bytes(ikm_r)));
        let public = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
        assert_eq!(HEXLOWER.encode(&own.public), public);
        let (enc, sender) =
            Exporter::sender(&own.public, &info, &mut Tape::new(bytes(ikm_e))).unwrap();
        let expected = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
        assert_eq!(HEXLOWER.encode(&enc), expected);
        let receiver = Exporter::receiver(&own, &enc, &info).unwrap();
        let exports = [
            (
                "",
                "4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e",
            ),
            (
                "00",
                "8c1df14732580e5501b00f82b10a1647b40713191b7c1240ac80e2b68808ba69",
            ),
            (
                "54657374436f6e74657874",
                "5acb09211139c43b3090489a9da433e8a30ee7188ba8b0a9a1ccf0c229283e53",
            ),
        ];
        for (context, expected) in exports {
            for end in [&sender, &receiver] {
                let exported = end.export(&bytes(context));
                assert_eq!(HEXLOWER.encode(&*exported), expected);
            }
        }
    }
}
