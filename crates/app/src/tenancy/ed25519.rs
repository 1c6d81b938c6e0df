//! Ed25519 (RFC 8032) from ring as the only algorithm for JWT: tokens cannot be signed or verified by another.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // The library never converts keys from or to JWK.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes this the cryptography of JWT in this process.
pub(super) fn install() {
    // A second call finds the provider already installed.
    let _ = PROVIDER.install_default();
}

/// A signing key. The library keeps the seed unchanged, for [`signer`].
pub(super) fn private_key(seed: &[u8; 32]) -> EncodingKey {
    EncodingKey::from_ed_der(seed)
}

/// The public key of a seed; `None` if the seed is not valid.
pub(super) fn public_key(seed: &[u8]) -> Option<[u8; 32]> {
    Ed25519KeyPair::from_seed_unchecked(seed).ok()?.public_key().as_ref().try_into().ok()
}

struct Ed25519Signer(Ed25519KeyPair);

struct Ed25519Verifier(UnparsedPublicKey<Vec<u8>>);

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::EdDSA {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let pair = Ed25519KeyPair::from_seed_unchecked(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(Ed25519Signer(pair)))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if *algorithm != Algorithm::EdDSA {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Ed25519Verifier(UnparsedPublicKey::new(&ED25519, key.try_get_as_bytes()?.to_vec()))))
}

impl Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

impl Verifier<Vec<u8>> for Ed25519Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        self.0.verify(message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    /// The key and the token of RFC 8037, appendix A.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const MESSAGE: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const SIGNATURE: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    #[test]
    fn it_signs_and_checks_as_the_standard_says() {
        install();
        let seed: [u8; 32] = URL_SAFE_NO_PAD.decode(SEED).unwrap().try_into().unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(public_key(&seed).unwrap()), PUBLIC);
        let (private, public) = (private_key(&seed), DecodingKey::from_ed_components(PUBLIC).unwrap());
        let signed = jsonwebtoken::crypto::sign(MESSAGE.as_bytes(), &private, Algorithm::EdDSA).unwrap();
        assert_eq!(signed, SIGNATURE);
        let good = |message: &str| {
            jsonwebtoken::crypto::verify(SIGNATURE, message.as_bytes(), &public, Algorithm::EdDSA).unwrap()
        };
        assert!(good(MESSAGE) && !good(&MESSAGE[1..]));
    }

    #[test]
    fn no_other_algorithm_is_known() {
        install();
        let secret = (EncodingKey::from_secret(b"key"), DecodingKey::from_secret(b"key"));
        assert!(jsonwebtoken::crypto::sign(b"text", &secret.0, Algorithm::HS256).is_err());
        assert!(jsonwebtoken::crypto::verify("", b"text", &secret.1, Algorithm::HS256).is_err());
        assert!(jsonwebtoken::crypto::sign(b"text", &secret.0, Algorithm::EdDSA).is_err(), "the secret is no seed");
    }
}
