//! From text to [`raw`] tables: all syntax errors, then each table by itself.
//!
//! Every table is deserialized alone, so that one table's type error hides no other's.
//! The keys that a table knows are asked of its struct, so they cannot drift apart.
//! Never judges values.

use core::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::diagnostic::{Diagnostic, Sink};
use crate::{hints, raw, syntax};

/// A table that was read, and where its header is.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) span: Range<usize>,
    pub(crate) value: T,
}

/// A `[[node]]` with its own tables.
#[derive(Debug)]
pub(crate) struct NodeEntry {
    pub(crate) span: Range<usize>,
    pub(crate) table: Option<raw::Node>,
    pub(crate) nics: Vec<Entry<raw::Nic>>,
    pub(crate) serial: Vec<Entry<raw::Serial>>,
}

/// A recipe's own keys, and its `[probe]`.
pub(crate) type RecipeEntry = (Entry<raw::Recipe>, Option<Entry<raw::Probe>>);

/// Every table of the file that could be read. What could not has been told.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) general: Option<Entry<raw::General>>,
    pub(crate) witness: Option<Entry<raw::Witness>>,
    pub(crate) timing: Option<Entry<raw::Timing>>,
    pub(crate) admin: Option<(Entry<raw::Admin>, Vec<Entry<raw::Token>>)>,
    pub(crate) watchdog: Option<Entry<raw::Watchdog>>,
    pub(crate) nodes: Vec<NodeEntry>,
    pub(crate) services: Vec<(Entry<raw::Service>, Option<Entry<raw::Probe>>)>,
    pub(crate) vips: Vec<Entry<raw::Vip>>,
    pub(crate) groups: Vec<Entry<raw::Group>>,
    pub(crate) locations: Vec<Entry<raw::Location>>,
    pub(crate) colocations: Vec<Entry<raw::Colocation>>,
    pub(crate) orders: Vec<Entry<raw::Order>>,
}

/// The only version of the file's shape so far.
const SCHEMA: i64 = 1;

/// The file's tables, as their headers are written, and the keys that each knows.
pub(crate) fn vocabulary() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("[cluster]", fields::<raw::General>()),
        ("[witness]", fields::<raw::Witness>()),
        ("[timing]", fields::<raw::Timing>()),
        ("[admin]", fields::<raw::Admin>()),
        ("[[admin.token]]", fields::<raw::Token>()),
        ("[watchdog]", fields::<raw::Watchdog>()),
        ("[[node]]", fields::<raw::Node>()),
        ("[[node.nic]]", fields::<raw::Nic>()),
        ("[[node.serial]]", fields::<raw::Serial>()),
        ("[[service]]", fields::<raw::Service>()),
        ("[service.probe]", fields::<raw::Probe>()),
        ("[[vip]]", fields::<raw::Vip>()),
        ("[[group]]", fields::<raw::Group>()),
        ("[[location]]", fields::<raw::Location>()),
        ("[[colocation]]", fields::<raw::Colocation>()),
        ("[[order]]", fields::<raw::Order>()),
    ]
}

/// Reads the whole text. `None` after a syntax error: what follows one is guesswork.
pub(crate) fn file(sink: &mut Sink<'_>) -> Option<File> {
    let (document, errors) = DeTable::parse_recoverable(sink.whole());
    if !errors.is_empty() {
        syntax::tell(sink, &document, &errors);
        return None;
    }
    let mut root = Table {
        header: "the file",
        span: 0..0,
        keys: document.into_inner(),
    };
    let mut file = File::default();
    schema(sink, &mut root);

    let general = root.keys.contains_key("cluster");
    if let Some(table) = root.table(sink, "cluster", "[cluster]") {
        file.general = table.read(sink, &[]);
    } else if !general {
        sink.push(
            Diagnostic::error(0..0, "the file has no `[cluster]` table")
                .help("begin with `[cluster]`: the cluster's `name`, its `key` or `key_file`, and `split_brain`"),
        );
    }
    if let Some(table) = root.table(sink, "witness", "[witness]") {
        file.witness = table.read(sink, &[]);
    }
    if let Some(table) = root.table(sink, "timing", "[timing]") {
        file.timing = table.read(sink, &[]);
    }
    if let Some(mut table) = root.table(sink, "admin", "[admin]") {
        let tokens = table.list(sink, "token", "[[admin.token]]");
        let tokens = tokens
            .into_iter()
            .filter_map(|token| token.read(sink, &[]))
            .collect();
        file.admin = table.read(sink, &["token"]).map(|table| (table, tokens));
    }
    if let Some(table) = root.table(sink, "watchdog", "[watchdog]") {
        file.watchdog = table.read(sink, &[]);
    }
    for mut table in root.list(sink, "node", "[[node]]") {
        let nics = table.list(sink, "nic", "[[node.nic]]");
        let nics = nics
            .into_iter()
            .filter_map(|nic| nic.read(sink, &[]))
            .collect();
        let serial = table.list(sink, "serial", "[[node.serial]]");
        let serial = serial
            .into_iter()
            .filter_map(|line| line.read(sink, &[]))
            .collect();
        let span = table.span.clone();
        let table = table
            .read(sink, &["nic", "serial"])
            .map(|entry| entry.value);
        file.nodes.push(NodeEntry {
            span,
            table,
            nics,
            serial,
        });
    }
    for mut table in root.list(sink, "service", "[[service]]") {
        let probe = table
            .table(sink, "probe", "[service.probe]")
            .and_then(|probe| probe.read(sink, &[]));
        if let Some(table) = table.read(sink, &["probe"]) {
            file.services.push((table, probe));
        }
    }
    for table in root.list(sink, "vip", "[[vip]]") {
        file.vips.extend(table.read(sink, &[]));
    }
    for table in root.list(sink, "group", "[[group]]") {
        file.groups.extend(table.read(sink, &[]));
    }
    for table in root.list(sink, "location", "[[location]]") {
        file.locations.extend(table.read(sink, &[]));
    }
    for table in root.list(sink, "colocation", "[[colocation]]") {
        file.colocations.extend(table.read(sink, &[]));
    }
    for table in root.list(sink, "order", "[[order]]") {
        file.orders.extend(table.read(sink, &[]));
    }
    let known = [
        "schema",
        "cluster",
        "witness",
        "timing",
        "admin",
        "watchdog",
        "node",
        "service",
        "vip",
        "group",
        "location",
        "colocation",
        "order",
    ];
    for (key, value) in &root.keys {
        sink.push(hints::unknown_key(key, is_table(value), "the file", &known));
    }
    Some(file)
}

/// Reads a whole recipe; the same tables as a service's, without its header.
pub(crate) fn recipe(sink: &mut Sink<'_>) -> Option<RecipeEntry> {
    let (document, errors) = DeTable::parse_recoverable(sink.whole());
    if !errors.is_empty() {
        syntax::tell(sink, &document, &errors);
        return None;
    }
    let mut root = Table {
        header: "the recipe",
        span: 0..0,
        keys: document.into_inner(),
    };
    let probe = root
        .table(sink, "probe", "[probe]")
        .and_then(|probe| probe.read(sink, &[]));
    Some((root.read(sink, &["probe"])?, probe))
}

fn schema(sink: &mut Sink<'_>, root: &mut Table<'_>) {
    let help = format!("write `schema = {SCHEMA}` as the first line");
    match root.keys.remove("schema") {
        None => sink.push(Diagnostic::error(0..0, "the file does not say its `schema`").help(help).because(
            "it names the version of the file's shape, so that a later kodo reads an old file right",
        )),
        Some(value) => match i64::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(SCHEMA) => {}
            _ => sink.push(
                Diagnostic::error(value.span(), format!("this kodo reads schema {SCHEMA} only"))
                    .help("use the kodo that belongs to the file, or change the file to this version's shape"),
            ),
        },
    }
}

/// Whether a value was written with a header of its own.
fn is_table(value: &Spanned<DeValue<'_>>) -> bool {
    match value.get_ref() {
        DeValue::Table(_) => true,
        DeValue::Array(values) => values
            .iter()
            .any(|value| matches!(value.get_ref(), DeValue::Table(_))),
        _ => false,
    }
}

/// A table on its way to a struct.
struct Table<'a> {
    header: &'static str,
    span: Range<usize>,
    keys: DeTable<'a>,
}

impl<'a> Table<'a> {
    /// Takes a sub-table out.
    fn table(&mut self, sink: &mut Sink<'_>, key: &str, header: &'static str) -> Option<Self> {
        let value = self.keys.remove(key)?;
        let span = value.span();
        let item = match value.into_inner() {
            DeValue::Table(keys) => return Some(Self { header, span, keys }),
            DeValue::Array(_) => Diagnostic::error(span, format!("there is only one `{header}`"))
                .help(format!("write `{header}` with single brackets, once")),
            _ => Diagnostic::error(span, format!("`{key}` is a table")).help(format!(
                "write `{header}` on a line of its own, and its keys below"
            )),
        };
        sink.push(item);
        None
    }

    /// Takes a list of sub-tables out; empty when there is none.
    fn list(&mut self, sink: &mut Sink<'_>, key: &str, header: &'static str) -> Vec<Self> {
        let Some(value) = self.keys.remove(key) else {
            return Vec::new();
        };
        let span = value.span();
        let mut tables = Vec::new();
        let values = match value.into_inner() {
            DeValue::Array(values) => values,
            DeValue::Table(_) => {
                sink.push(
                    Diagnostic::error(span, format!("`{key}` is a list of tables"))
                        .because(
                            "there can be several of them, so each begins with double brackets",
                        )
                        .help(format!(
                            "write `{header}` above its keys and before its own sub-tables"
                        )),
                );
                return tables;
            }
            _ => {
                sink.push(
                    Diagnostic::error(span, format!("`{key}` is a list of tables")).help(format!(
                        "write `{header}` on a line of its own, and its keys below"
                    )),
                );
                return tables;
            }
        };
        for value in values {
            let span = value.span();
            match value.into_inner() {
                DeValue::Table(keys) => tables.push(Self { header, span, keys }),
                _ => sink.push(
                    Diagnostic::error(span, format!("`{key}` is a list of tables")).help(format!(
                        "write `{header}` on a line of its own, and its keys below"
                    )),
                ),
            }
        }
        tables
    }

    /// Reads what is left: tells every unknown key, then the first type error.
    /// `inner` names its sub-tables, for suggestions only.
    fn read<T: Deserialize<'a>>(mut self, sink: &mut Sink<'_>, inner: &[&str]) -> Option<Entry<T>> {
        let known = fields::<T>();
        let all: Vec<&str> = known.iter().chain(inner).copied().collect();
        let (keys, strange): (Vec<_>, Vec<_>) = core::mem::take(&mut self.keys)
            .into_iter()
            .partition(|(key, _)| known.contains(&key.get_ref().as_ref()));
        for (key, value) in &strange {
            sink.push(hints::unknown_key(key, is_table(value), self.header, &all));
        }
        let places: Vec<_> = keys
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), value.span()))
            .collect();
        let value = Spanned::new(
            self.span.clone(),
            DeValue::Table(keys.into_iter().collect()),
        );
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(Entry {
                span: self.span,
                value,
            }),
            Err(error) => {
                // A misspelt key explains a missing one: the suggestion was just made.
                if strange.is_empty() || !error.message().starts_with("missing field") {
                    let item = hints::wrong_type(sink, &error, self.header, &self.span, &places);
                    sink.push(item);
                }
                None
            }
        }
    }
}

/// The keys of a struct, asked of its own `Deserialize`.
fn fields<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    // Always fails: the question is answered before any value is wanted.
    let _ = T::deserialize(Ask(&mut found));
    found
}

struct Ask<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Ask<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("asked for its keys only"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
