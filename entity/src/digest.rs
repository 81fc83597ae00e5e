//! What is stored of a token: its digest, and nothing else.

use std::fmt;

use sea_orm::{
    ColIdx, ColumnType, DbErr, DeriveActiveEnum, EnumIter, QueryResult, TryGetError, TryGetable, Value,
    prelude::StringLen,
    sea_query::{ArrayType, Nullable, ValueType, ValueTypeErr},
};

/// How a digest was made, so that the algorithm can change without logging anyone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum DigestAlgorithm {
    /// SHA-256 of the whole token, as text.
    Sha256 = 1,
}

/// The 32 bytes that a token is recognised by.
///
/// Its `Debug` shows nothing: a digest in a log would tell which token a line is about to whoever holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Takes the digest's bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest as numbers, for a comparison in constant time.
    pub fn words(&self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks();
        std::array::from_fn(|at| u64::from_be_bytes(words[at]))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

impl From<TokenDigest> for Value {
    fn from(digest: TokenDigest) -> Self {
        Self::from(digest.0.to_vec())
    }
}

impl TryGetable for TokenDigest {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        let bytes = Vec::<u8>::try_get_by(row, index)?;
        <[u8; 32]>::try_from(bytes)
            .map(Self)
            .map_err(|_| TryGetError::DbErr(DbErr::Type("a stored digest is not 32 bytes long".to_owned())))
    }
}

impl ValueType for TokenDigest {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        let bytes = <Vec<u8> as ValueType>::try_from(value)?;
        <[u8; 32]>::try_from(bytes).map(Self).map_err(|_| ValueTypeErr)
    }

    fn type_name() -> String {
        "TokenDigest".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::Bytes
    }

    fn column_type() -> ColumnType {
        ColumnType::VarBinary(StringLen::N(32))
    }
}

impl Nullable for TokenDigest {
    fn null() -> Value {
        Value::Bytes(None)
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::ActiveEnum;

    use super::*;

    #[test]
    fn debug_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", TokenDigest::new([7; 32])), "TokenDigest(..)");
        assert_eq!(DigestAlgorithm::Sha256.to_value(), 1);
    }
}
