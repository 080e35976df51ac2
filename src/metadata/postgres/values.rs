//! Conversions between our types and columns.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::ids::{BlobId, GenerationId, JobId, LeaseId, UploadId, UserId};

/// Parameters of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

type BoxError = Box<dyn Error + Sync + Send>;

/// A non-negative number in a column of signed numbers. A number that doesn't fit is an error.
#[derive(Clone, Copy, Debug)]
pub(super) struct N(pub(super) u64);

/// Converts the number of a state or role.
pub(super) fn number(packed: i64) -> N {
    N(u64::try_from(packed).unwrap_or_default())
}

impl From<u32> for N {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl ToSql for N {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match *of {
            Type::INT2 => i16::try_from(self.0)?.to_sql(of, out),
            Type::INT4 => i32::try_from(self.0)?.to_sql(of, out),
            _ => i64::try_from(self.0)?.to_sql(of, out),
        }
    }

    fn accepts(of: &Type) -> bool {
        matches!(*of, Type::INT2 | Type::INT4 | Type::INT8)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for N {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let number = match *of {
            Type::INT2 => i16::from_sql(of, raw)?.into(),
            Type::INT4 => i32::from_sql(of, raw)?.into(),
            _ => i64::from_sql(of, raw)?,
        };
        Ok(Self(number.try_into()?))
    }

    fn accepts(of: &Type) -> bool {
        <Self as ToSql>::accepts(of)
    }
}

macro_rules! stored_as_uuids {
    ($($id:ident),*) => {
        $(impl ToSql for $id {
            fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
                Uuid::from_bytes(self.to_bytes()).to_sql(of, out)
            }

            fn accepts(of: &Type) -> bool {
                *of == Type::UUID
            }

            to_sql_checked!();
        }

        impl<'a> FromSql<'a> for $id {
            fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
                Uuid::from_sql(of, raw).map(|id| Self::from_bytes(id.into_bytes()))
            }

            fn accepts(of: &Type) -> bool {
                *of == Type::UUID
            }
        })*
    };
}
stored_as_uuids!(UploadId, BlobId, GenerationId, JobId, LeaseId);

impl ToSql for UserId {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        self.as_str().to_sql(of, out)
    }

    fn accepts(of: &Type) -> bool {
        <&str as ToSql>::accepts(of)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for UserId {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let name = <&str as FromSql>::from_sql(of, raw)?;
        Self::parse(name).ok_or_else(|| "invalid user id".into())
    }

    fn accepts(of: &Type) -> bool {
        <&str as FromSql>::accepts(of)
    }
}

/// Reads columns by name, converted to our types.
pub(super) trait Columns {
    /// Returns a number.
    fn number(&self, name: &str) -> Result<u64, tokio_postgres::Error>;
    /// Returns a number that may be NULL.
    fn maybe_number(&self, name: &str) -> Result<Option<u64>, tokio_postgres::Error>;
    /// Returns a number of 32 bits that may be NULL.
    fn maybe_small(&self, name: &str) -> Result<Option<u32>, tokio_postgres::Error>;
    /// Returns a number of 32 bits.
    fn small(&self, name: &str) -> Result<u32, tokio_postgres::Error>;
}

impl Columns for Row {
    fn number(&self, name: &str) -> Result<u64, tokio_postgres::Error> {
        Ok(self.try_get::<_, N>(name)?.0)
    }

    fn maybe_number(&self, name: &str) -> Result<Option<u64>, tokio_postgres::Error> {
        Ok(self.try_get::<_, Option<N>>(name)?.map(|number| number.0))
    }

    fn maybe_small(&self, name: &str) -> Result<Option<u32>, tokio_postgres::Error> {
        Ok(self.try_get::<_, Option<Small>>(name)?.map(|number| number.0))
    }

    fn small(&self, name: &str) -> Result<u32, tokio_postgres::Error> {
        Ok(self.try_get::<_, Small>(name)?.0)
    }
}

/// A number of 32 bits in a column of 64.
pub(super) struct Small(pub(super) u32);

impl<'a> FromSql<'a> for Small {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(N::from_sql(of, raw)?.0.try_into()?))
    }

    fn accepts(of: &Type) -> bool {
        <N as ToSql>::accepts(of)
    }
}
