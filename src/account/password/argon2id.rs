//! Argon2id (RFC 9106), with the memory it needs lent by the caller.

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt},
};
use entity::PasswordHash;
use subtle::ConstantTimeEq;

use super::Password;

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes; they are computed one after the other.
    pub parallelism: u32,
}

/// Why a stored hash could not be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverifiable {
    /// It is no hash that we know.
    #[error("the stored password hash is not one that can be read")]
    Unreadable,
    /// It asks for more than any cost of ours: whoever can write a hash must not be able to stop the service with it.
    #[error("the stored password hash asks for too much memory or time")]
    TooCostly,
}

/// The most that a stored hash may ask for: 1 GiB, 16 passes, 16 lanes.
const CAP: Cost = Cost { memory_kib: 1 << 20, iterations: 16, parallelism: 16 };
const SALT: usize = 16;
const HASH: usize = 32;

/// Reusable memory: allocating it anew for each hash makes the allocator keep several times as much.
pub type Memory = Vec<Block>;

/// Hashes a password with a salt of its own.
pub fn hash(password: &Password, cost: Cost, memory: &mut Memory) -> Result<PasswordHash, argon2::Error> {
    let salt = random::<SALT>()?;
    let params = params(cost, HASH)?;
    let digest = compute(password, &salt, params.clone(), memory)?;
    phc_string(&params, &salt, &digest)
}

/// A hash that nobody's password has, made without hashing: to compare with what is given for a user who is not there.
pub fn dummy(cost: Cost) -> Result<PasswordHash, argon2::Error> {
    phc_string(&params(cost, HASH)?, &random::<SALT>()?, &random::<HASH>()?)
}

fn random<const N: usize>() -> Result<[u8; N], argon2::Error> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|_| argon2::Error::OutOfMemory)?;
    Ok(bytes)
}

fn phc_string(params: &Params, salt: &[u8], digest: &[u8]) -> Result<PasswordHash, argon2::Error> {
    let phc = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(|_| argon2::Error::VersionInvalid)?,
        salt: Some(Salt::new(salt).map_err(|_| argon2::Error::SaltTooLong)?),
        hash: Some(Output::new(digest).map_err(|_| argon2::Error::OutputTooLong)?),
    };
    Ok(PasswordHash::new(phc.to_string()))
}

/// Compares a password with a stored hash, at the hash's own cost; tells also whether that is below `wanted`. A wrong password
/// takes as long for a hash that costs less: else whoever measures would learn that a user is there.
pub fn verify(
    password: &Password,
    stored: &PasswordHash,
    wanted: Cost,
    memory: &mut Memory,
) -> Result<(bool, bool), Unverifiable> {
    let phc = Phc::new(stored.as_str()).map_err(|_| Unverifiable::Unreadable)?;
    let argon2id = phc.algorithm == Algorithm::Argon2id.ident() && phc.version == Some(Version::V0x13.into());
    let (Some(salt), Some(expected), true) = (phc.salt.as_ref(), phc.hash.as_ref(), argon2id) else {
        return Err(Unverifiable::Unreadable);
    };
    let params = Params::try_from(&phc).map_err(|_| Unverifiable::Unreadable)?;
    let cost = Cost { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() };
    if cost.memory_kib > CAP.memory_kib || cost.iterations > CAP.iterations || cost.parallelism > CAP.parallelism {
        return Err(Unverifiable::TooCostly);
    }
    let digest = compute(password, salt.as_ref(), params, memory).map_err(|_| Unverifiable::Unreadable)?;
    let matches = bool::from(digest.as_slice().ct_eq(expected.as_bytes()));
    let is_cheap = cost.memory_kib < wanted.memory_kib || cost.iterations < wanted.iterations;
    if is_cheap && !matches {
        spend_the_rest(password, salt.as_ref(), cost, wanted, memory);
    }
    Ok((matches, is_cheap))
}

/// Takes the time by which a hash of `wanted` takes longer than one of `cost`: in as many passes, over so much less memory.
fn spend_the_rest(password: &Password, salt: &[u8], cost: Cost, wanted: Cost, memory: &mut Memory) {
    let work = |cost: Cost| u64::from(cost.memory_kib) * u64::from(cost.iterations);
    let rest = work(wanted).saturating_sub(work(cost)) / u64::from(wanted.iterations);
    let rest = Cost { memory_kib: u32::try_from(rest).unwrap_or(wanted.memory_kib), ..wanted };
    // Less than argon2 can do takes no time that could be measured.
    if let Ok(params) = params(rest, HASH) {
        drop(compute(password, salt, params, memory));
    }
}

fn params(cost: Cost, output: usize) -> Result<Params, argon2::Error> {
    Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(output))
}

fn compute(password: &Password, salt: &[u8], params: Params, memory: &mut Memory) -> argon2::Result<Vec<u8>> {
    let mut digest = vec![0; params.output_len().unwrap_or(HASH)];
    memory.resize(params.block_count(), Block::default());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        password.as_bytes(),
        salt,
        &mut digest,
        memory.as_mut_slice(),
    )?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    fn stored(text: &str) -> PasswordHash {
        hash(&password(text), CHEAP, &mut Memory::new()).unwrap()
    }

    fn matches(text: &str, stored: &PasswordHash) -> bool {
        verify(&password(text), stored, CHEAP, &mut Memory::new()).unwrap().0
    }

    #[test]
    fn a_hash_says_what_it_cost() {
        let stored = stored("secret");
        assert!(stored.as_str().starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", stored.as_str());
        assert!(matches("secret", &stored) && !matches("Secret", &stored));
    }

    #[test]
    fn the_dummy_is_compared_with_like_any_other() {
        let dummy = dummy(CHEAP).unwrap();
        assert_eq!(verify(&password("secret"), &dummy, CHEAP, &mut Memory::new()), Ok((false, false)));
    }

    #[test]
    fn every_byte_counts() {
        let long = "x".repeat(999) + "y";
        let stored = stored(&long);
        assert!(matches(&long, &stored));
        assert!(!matches(&"x".repeat(1000), &stored) && !matches(&long[..999], &stored));
        // What looks the same, composed and decomposed, is not: nothing is normalised (ASVS 6.2.8).
        assert!(!matches(
            "caf\u{e9} au lait",
            &super::hash(&password("cafe\u{301} au lait"), CHEAP, &mut Memory::new()).unwrap()
        ));
        assert!(!matches("nul\0a", &super::hash(&password("nul\0b"), CHEAP, &mut Memory::new()).unwrap()));
    }

    #[test]
    fn a_cheaper_hash_is_told() {
        let stored = stored("secret");
        for (memory_kib, iterations, told) in [(64, 1, false), (65, 1, true), (64, 2, true), (32, 1, false)] {
            let wanted = Cost { memory_kib, iterations, parallelism: 1 };
            assert_eq!(verify(&password("secret"), &stored, wanted, &mut Memory::new()), Ok((true, told)));
        }
    }

    #[test]
    fn a_hash_that_would_stop_the_service_is_refused() {
        let stored = stored("secret");
        for (cheap, costly) in [("m=64", "m=1048577"), ("t=1", "t=17"), ("m=64,t=1,p=1", "m=1024,t=1,p=17")] {
            let stored = PasswordHash::new(stored.as_str().replace(cheap, costly));
            let result = verify(&password("secret"), &stored, CHEAP, &mut Memory::new());
            assert!(matches!(result, Err(Unverifiable::TooCostly)), "{costly}: {result:?}");
        }
        for nonsense in ["", "secret", "$2b$12$abc", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2g"] {
            let result = verify(&password("x"), &PasswordHash::new(nonsense.to_owned()), CHEAP, &mut Memory::new());
            assert_eq!(result, Err(Unverifiable::Unreadable), "{nonsense}");
        }
    }
}
