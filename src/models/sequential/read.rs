//! Reads `model.layers` from a spec, noting the faults of all its texts.

use figment::value::{Dict, Value};

use super::layer::Layer;
use crate::spec::fields::{Fields, join};

const BLOCK: [&str; 2] = ["residual", "shortcut"];

/// Reads the layers, each a text or the table of a residual block.
pub(in crate::models) fn read_layers(
    fields: &mut Fields,
    key: &'static str,
) -> Option<Option<Vec<Layer>>> {
    let list = fields.optional_list(key, "a list of layers", |fields, path, item| {
        read_layer(fields, &path, item)
    })?;
    if list.as_ref().is_some_and(Vec::is_empty) {
        fields.fault(key, "expected at least one layer, found []");
        return None;
    }
    Some(list)
}

fn read_layer(fields: &mut Fields, path: &str, item: &Value) -> Option<Layer> {
    match item {
        Value::Dict(_, block) => read_block(fields, path, item, block),
        _ => match Layer::parse(item.as_str().unwrap_or_default()) {
            Ok(layer) => Some(layer),
            Err(expected) => fields.refuse_item(path, item, &expected),
        },
    }
}

fn read_block(fields: &mut Fields, path: &str, item: &Value, block: &Dict) -> Option<Layer> {
    let mut sound = true;
    for (key, value) in block {
        if !BLOCK.contains(&key.as_str()) {
            let expected = "no other key than residual and shortcut";
            let _: Option<()> = fields.refuse_item(&join(path, key), value, expected);
            sound = false;
        }
    }
    let mut part = |key: &str| match block.get(key) {
        None => Some(Vec::new()),
        Some(Value::Array(_, items)) => {
            let items = items.iter().enumerate().map(|(number, item)| {
                read_layer(fields, &format!("{}[{number}]", join(path, key)), item)
            });
            // All of them are read: each may have a fault of its own.
            let items: Vec<Option<Layer>> = items.collect();
            items.into_iter().collect()
        }
        Some(other) => fields.refuse_item(&join(path, key), other, "a list of layers"),
    };
    let (body, shortcut) = (part(BLOCK[0]), part(BLOCK[1]));
    let (body, shortcut) = (body?, shortcut?);
    if body.is_empty() {
        let expected = "{ residual = [...] } with at least one layer in the branch";
        return fields.refuse_item(path, item, expected);
    }
    sound.then_some(Layer::Residual { body, shortcut })
}
