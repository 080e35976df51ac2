//! The tables of both databases, column by column.

use rusqlite::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// The type of a column's values.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    Small,
    Flag,
    Text,
    Bytes,
    Id,
}

/// A column in SQLite and in PostgreSQL.
pub(super) struct Column {
    pub(super) from: &'static str,
    to: &'static str,
    kind: Kind,
}

impl Column {
    /// Reads its value as a parameter for PostgreSQL.
    pub(super) fn read(
        &self,
        row: &Row<'_>,
        at: usize,
    ) -> rusqlite::Result<Box<dyn ToSql + Sync + Send>> {
        Ok(match self.kind {
            Kind::Number => Box::new(row.get::<_, Option<i64>>(at)?),
            Kind::Small => Box::new(row.get::<_, Option<i16>>(at)?),
            Kind::Flag => Box::new(row.get::<_, Option<bool>>(at)?),
            Kind::Text => Box::new(row.get::<_, Option<String>>(at)?),
            Kind::Bytes => Box::new(row.get::<_, Option<Vec<u8>>>(at)?),
            Kind::Id => Box::new(row.get::<_, Option<[u8; 16]>>(at)?.map(Uuid::from_bytes)),
        })
    }
}

/// A table in both databases.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// An order of the rows in which new rows come last.
    pub(super) order: &'static str,
    pub(super) columns: &'static [Column],
    /// Further columns in PostgreSQL, and SQL expressions for their values.
    extra: &'static [(&'static str, &'static str)],
}

impl Table {
    /// Returns the statement that inserts a row.
    pub(super) fn insert(&self) -> String {
        let extra = self.extra.iter();
        let names: Vec<&str> = self
            .columns
            .iter()
            .map(|column| column.to)
            .chain(extra.clone().map(|(name, _)| *name))
            .collect();
        let placeholders = (1..=self.columns.len()).map(|at| format!("${at}"));
        let values: Vec<String> =
            placeholders.chain(extra.map(|(_, value)| (*value).to_owned())).collect();
        format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            self.name,
            names.join(", "),
            values.join(", ")
        )
    }
}

const fn same(name: &'static str, kind: Kind) -> Column {
    Column { from: name, to: name, kind }
}

const fn as_name(from: &'static str, to: &'static str, kind: Kind) -> Column {
    Column { from, to, kind }
}

use Kind::{Bytes, Flag, Id, Number, Small, Text};

/// All tables with records. The database itself counts the use of quotas.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "store",
        order: "rowid",
        columns: &[same("id", Id), same("boot", Text)],
        extra: &[],
    },
    Table {
        name: "uploads",
        order: "seq",
        columns: &[
            same("seq", Number),
            same("id", Id),
            same("user_id", Text),
            same("state", Small),
            same("role", Small),
            same("generation", Id),
            same("epoch", Number),
            same("blob", Id),
            same("parent", Id),
            same("thumbnail", Id),
            same("append", Flag),
            same("wanted_md5", Bytes),
            same("partials", Bytes),
            same("total_parts", Number),
            same("total_size", Number),
            same("even_size", Number),
            same("reserved", Number),
            same("filename", Text),
            same("named", Flag),
            same("declared_type", Text),
            same("media_type", Text),
            same("duration_secs", Number),
            same("width", Number),
            same("height", Number),
            same("size", Number),
            same("crc32", Number),
            same("embedded", Small),
            as_name("received", "received_parts", Bytes),
            same("received_md5", Bytes),
            same("patches", Bytes),
            same("suspect", Flag),
            same("unsynced", Flag),
            same("attached", Flag),
            same("created_at", Number),
            same("changed_at", Number),
            as_name(
                "max(created_at, coalesce((SELECT max(stored_at) FROM parts WHERE upload = seq), 0))",
                "touched_at",
                Number,
            ),
        ],
        extra: &[],
    },
    Table {
        name: "parts",
        order: "upload, idx",
        columns: &[
            same("upload", Number),
            same("idx", Number),
            as_name("offset", "off", Number),
            same("size", Number),
            same("crc32", Number),
        ],
        extra: &[("attempt", "gen_random_uuid()")],
    },
    Table {
        name: "extents",
        order: "upload, at",
        columns: &[
            same("upload", Number),
            same("at", Number),
            same("size", Number),
            same("blob", Id),
            as_name("offset", "off", Number),
        ],
        extra: &[],
    },
    Table {
        name: "jobs",
        order: "n",
        columns: &[
            same("n", Number),
            same("id", Id),
            same("kind", Text),
            same("subject", Id),
            same("user_id", Text),
            same("payload", Bytes),
            same("run_at", Number),
            same("round", Number),
            same("lease", Id),
            as_name("CASE WHEN lease IS NOT NULL THEN 0 END", "leased_until", Number),
            same("deaths", Number),
            same("failures", Number),
            same("error", Text),
            same("set_aside", Flag),
        ],
        extra: &[],
    },
    Table {
        name: "link_keys",
        order: "id",
        columns: &[
            as_name("id AS n", "n", Number),
            same("id", Number),
            same("secret", Bytes),
            same("created_at", Number),
            same("accepted_until", Number),
        ],
        extra: &[],
    },
    Table { name: "erased", order: "id", columns: &[same("id", Id)], extra: &[] },
];

/// Computes what follows from the rows: the sums of unfinished uploads, and the next numbers of sequences.
pub(super) const SUMS: &str = "
    UPDATE uploads u
    SET parts = sums.parts, received = sums.received, max_end = sums.max_end, min_even = sums.min_even,
        max_even = sums.max_even
    FROM (SELECT upload, count(*) AS parts, sum(p.size)::bigint AS received, max(off + p.size) AS max_end,
                 min(p.size) FILTER (WHERE idx < total_parts - 1) AS min_even,
                 max(p.size) FILTER (WHERE idx < total_parts - 1) AS max_even
          FROM parts p JOIN uploads ON seq = upload WHERE state = 0 GROUP BY upload) sums
    WHERE u.seq = sums.upload;
    SELECT setval(pg_get_serial_sequence('uploads', 'seq'), greatest((SELECT max(seq) FROM uploads),
                                                                    (SELECT max(upload) FROM parts), 1));
    SELECT setval(pg_get_serial_sequence('jobs', 'n'), coalesce((SELECT max(n) FROM jobs), 1));
    SELECT setval(pg_get_serial_sequence('link_keys', 'n'), coalesce((SELECT max(n) FROM link_keys), 1));
    ANALYZE";

/// Sums that must be equal on both sides.
pub(super) const COMPARED: &[(&str, &str)] = &[
    ("bytes of files", "SELECT coalesce(sum(size), 0)::bigint FROM uploads WHERE state = 1"),
    ("checksums of files", "SELECT coalesce(sum(crc32), 0)::bigint FROM uploads WHERE state = 1"),
    ("states", "SELECT coalesce(sum(state * seq), 0)::bigint FROM uploads"),
    ("bytes of parts", "SELECT coalesce(sum(size), 0)::bigint FROM parts"),
    ("checksums of parts", "SELECT coalesce(sum(crc32), 0)::bigint FROM parts"),
    ("bytes of extents", "SELECT coalesce(sum(size), 0)::bigint FROM extents"),
    ("bytes that count against quotas", "SELECT coalesce(sum(bytes), 0)::bigint FROM total_usage"),
    ("files that count against quotas", "SELECT coalesce(sum(files), 0)::bigint FROM usage"),
];
