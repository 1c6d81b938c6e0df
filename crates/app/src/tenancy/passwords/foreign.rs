//! Password hashes of other systems, which come with imported people: bcrypt, scrypt and PBKDF2. They verify once; the
//! log-in then renews them with argon2id.

use argon2::password_hash::phc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pbkdf2::pbkdf2_hmac;
use pbkdf2::sha2::{Sha256, Sha512};
use tidegate_tenancy::HashError;

use super::internal;

/// The most work that a hash may ask for. An import that asks for more is refused; a log-in would take seconds.
const MAX_BCRYPT_COST: u32 = 14;
const MAX_PBKDF2_ROUNDS: u32 = 2_000_000;
/// 128 MiB at r = 8.
const MAX_SCRYPT_LOG_N: u8 = 17;
const MAX_SCRYPT_R: u32 = 16;
const MAX_SCRYPT_P: u32 = 4;

/// A hash of another system.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ForeignHash {
    /// bcrypt, in the format of its authors: `$2b$12$…`.
    Bcrypt(String),
    /// scrypt as a PHC string: `$scrypt$ln=15,r=8,p=1$…$…`.
    Scrypt { params: scrypt::Params, salt: Vec<u8>, output: phc::Output },
    /// PBKDF2 as a PHC string, `$pbkdf2-sha256$i=600000$…$…`, or as Django writes it, `pbkdf2_sha256$600000$…$…`.
    Pbkdf2 { digest: Pbkdf2Digest, rounds: u32, salt: Vec<u8>, output: phc::Output },
}

/// The hash function of PBKDF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pbkdf2Digest {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl ForeignHash {
    /// Reads a hash; `None` if its algorithm is none of these.
    ///
    /// # Errors
    /// [`HashError::Internal`] if the hash is malformed or asks for too much work.
    pub(super) fn read(text: &str) -> Result<Option<Self>, HashError> {
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let parts: bcrypt::HashParts = text.parse().map_err(internal)?;
            at_most(parts.get_cost(), MAX_BCRYPT_COST)?;
            return Ok(Some(Self::Bcrypt(text.to_owned())));
        }
        if let Some(rest) = text.strip_prefix("pbkdf2_sha256$") {
            return Self::django(rest).map(Some);
        }
        if !text.starts_with("$scrypt$") && !text.starts_with("$pbkdf2-") {
            return Ok(None);
        }
        let hash = phc::PasswordHash::new(text).map_err(internal)?;
        let number = |name: &str| hash.params.get_decimal(name).ok_or_else(|| internal(format!("{name} is missing")));
        let salt = hash.salt.as_ref().ok_or_else(|| internal("the hash has no salt"))?.to_vec();
        let output = hash.hash.ok_or_else(|| internal("the hash has no output"))?;
        if hash.algorithm.as_str() == "scrypt" {
            let log_n = u8::try_from(number("ln")?).map_err(internal)?;
            let (r, p) = (number("r")?, number("p")?);
            at_most(log_n, MAX_SCRYPT_LOG_N)?;
            at_most(r, MAX_SCRYPT_R)?;
            at_most(p, MAX_SCRYPT_P)?;
            return Ok(Some(Self::Scrypt {
                params: scrypt::Params::new(log_n, r, p).map_err(internal)?,
                salt,
                output,
            }));
        }
        let digest = match hash.algorithm.as_str() {
            "pbkdf2-sha256" => Pbkdf2Digest::Sha256,
            "pbkdf2-sha512" => Pbkdf2Digest::Sha512,
            other => return Err(internal(format!("{other} is not supported"))),
        };
        Self::pbkdf2(digest, number("i")?, salt, output).map(Some)
    }

    fn django(rest: &str) -> Result<Self, HashError> {
        let parts: Vec<&str> = rest.split('$').collect();
        let [rounds, salt, output] = parts.as_slice() else { return Err(internal("the hash has not three parts")) };
        let rounds = rounds.parse().map_err(internal)?;
        let output = phc::Output::new(&STANDARD.decode(output).map_err(internal)?).map_err(internal)?;
        Self::pbkdf2(Pbkdf2Digest::Sha256, rounds, salt.as_bytes().to_vec(), output)
    }

    fn pbkdf2(digest: Pbkdf2Digest, rounds: u32, salt: Vec<u8>, output: phc::Output) -> Result<Self, HashError> {
        at_most(rounds, MAX_PBKDF2_ROUNDS)?;
        if rounds == 0 || output.len() < 16 {
            return Err(internal("the hash is too short or has no rounds"));
        }
        Ok(Self::Pbkdf2 { digest, rounds, salt, output })
    }

    /// Whether the hash was made of this password.
    ///
    /// # Errors
    /// [`HashError::Internal`] if the library fails.
    pub(super) fn fits(&self, password: &[u8]) -> Result<bool, HashError> {
        let (output, made) = match self {
            Self::Bcrypt(hash) => return bcrypt::verify(password, hash).map_err(internal),
            Self::Scrypt { params, salt, output } => {
                let mut made = vec![0; output.len()];
                scrypt::scrypt(password, salt, params, &mut made).map_err(internal)?;
                (output, made)
            }
            Self::Pbkdf2 { digest, rounds, salt, output } => {
                let mut made = vec![0; output.len()];
                match digest {
                    Pbkdf2Digest::Sha256 => pbkdf2_hmac::<Sha256>(password, salt, *rounds, &mut made),
                    Pbkdf2Digest::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, *rounds, &mut made),
                }
                (output, made)
            }
        };
        // The outputs are compared in constant time.
        Ok(phc::Output::new(&made).map_err(internal)? == *output)
    }
}

fn at_most<T: PartialOrd + std::fmt::Display + Copy>(given: T, most: T) -> Result<(), HashError> {
    if given > most { Err(internal(format!("the hash asks for more work than {most} allows"))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with Python's hashlib and bcrypt from "an umbrella in march".
    const HASHES: &[&str] = &[
        "$2b$05$45XjaZcKMI1l92FjteZjaueUwmqkQY1ZxOo0NJtBkYzdNqdlKg3QG",
        "$2y$05$45XjaZcKMI1l92FjteZjaueUwmqkQY1ZxOo0NJtBkYzdNqdlKg3QG",
        "$scrypt$ln=10,r=8,p=1$c2FsdCBhbmQgcGVwcGVyIQ$xl8AJokR9sSIsFlnXkGHmWecKj7Z4oA39JMlPAVvOQY",
        "$pbkdf2-sha256$i=1000$c2FsdCBhbmQgcGVwcGVyIQ$5y9vUs4pwl80MPdqEbLOML4OBzHwhWMboPu9/gCzW1Q",
        "$pbkdf2-sha512$i=1000,l=64$c2FsdCBhbmQgcGVwcGVyIQ$WqSXiIxYIvvjDq7sn7xd+mD2E2XNRYOGnpPVwt8OoVTL3mvMXnUCnui5PY3bDVXCHiMLNNA10GBi+rGl6jTfmA",
        "pbkdf2_sha256$1000$q8Zk3fQ1$3lLNJiPetJOOXxs7/M2ytZZd0sPXcMH2BCrxKd9RtZg=",
    ];

    #[test]
    fn a_hash_of_another_system_knows_its_password() {
        for text in HASHES {
            let hash = ForeignHash::read(text).unwrap().unwrap_or_else(|| panic!("{text}"));
            assert!(hash.fits(b"an umbrella in march").unwrap(), "{text}");
            assert!(!hash.fits(b"an umbrella in april").unwrap(), "{text}");
        }
    }

    #[test]
    fn a_hash_that_asks_for_too_much_or_is_broken_is_refused() {
        for bad in [
            "$2b$31$abcdefghijklmnopqrstuuxyz0123456789abcdefghijklmnopqrst",
            "$2b$12$short",
            "$scrypt$ln=30,r=8,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$scrypt$ln=15,r=8,p=1$c2FsdHNhbHQ",
            "$pbkdf2-sha256$i=4000000000$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$pbkdf2-md5$i=1000$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "pbkdf2_sha256$0$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "pbkdf2_sha256$1000$salt$",
        ] {
            assert!(ForeignHash::read(bad).is_err(), "{bad}");
        }
        assert_eq!(ForeignHash::read("$argon2id$v=19$m=64,t=1,p=1$c2FsdA$AAAA").unwrap(), None);
    }
}
