//! What a stage refers to: the results of others.

use figment::value::Value;

use super::{Scope, StageReader};
use crate::experiment::references::{Link, Wants};
use crate::models::WeightsRef;
use crate::spec::StageRef;
use crate::spec::fields::join;

/// The stage that a value refers to, where it refers to one.
fn target(value: &Value, wants: Wants) -> Option<String> {
    match wants {
        Wants::Weights => match value.deserialize().ok()? {
            WeightsRef::Stage(id, _) => Some(id),
            WeightsRef::File(_) => None,
        },
        Wants::Images => value.deserialize().ok().map(|StageRef(id)| id),
    }
}

impl<'a> StageReader<'a> {
    /// The stage's references to others, also where the stage is faulty otherwise.
    pub(crate) fn links(&self, scope: &Scope<'a>) -> Vec<Link> {
        let used = |name| scope.task.is_none_or(|task| task.uses(name, true));
        let mut links = Vec::new();
        for (name, key, wants) in [
            ("model", "weights", Wants::Weights),
            ("data", "adversarial", Wants::Images),
        ] {
            let tables = scope.chain(scope.id, name, &mut Vec::new());
            let own = tables.iter().filter(|table| table.only.is_empty());
            let mut values =
                own.filter_map(|table| Some((join(&table.path, key), table.dict.get(key)?)));
            let Some((written, value)) = values.next().filter(|_| used(name)) else {
                continue;
            };
            if let Some(target) = target(value, wants) {
                links.push(Link {
                    from: scope.id.to_owned(),
                    location: self.locations.locate(&written, value.tag()),
                    key: written,
                    target,
                    wants,
                });
            }
        }
        if used("transfer") {
            links.extend(self.transfer_links(scope));
        }
        links
    }

    /// The references among the models of a transfer and the images that it judges.
    fn transfer_links(&self, scope: &Scope<'a>) -> Vec<Link> {
        let mut links = Vec::new();
        let mut seen = Vec::new();
        for table in scope.chain(scope.id, "transfer", &mut Vec::new()) {
            let named = |key| {
                let named = table.dict.get(key).and_then(|named| named.as_dict());
                named.into_iter().flatten()
            };
            let weights = named("models").filter_map(|(name, model)| {
                let weights = model.as_dict()?.get("weights")?;
                Some((format!("models.{name}.weights"), weights, Wants::Weights))
            });
            let images = named("adversarial")
                .map(|(name, images)| (format!("adversarial.{name}"), images, Wants::Images));
            for (key, value, wants) in weights.chain(images) {
                if seen.contains(&key) {
                    continue;
                }
                if let Some(target) = target(value, wants) {
                    let key = join(&table.path, &key);
                    links.push(Link {
                        from: scope.id.to_owned(),
                        location: self.locations.locate(&key, value.tag()),
                        key,
                        target,
                        wants,
                    });
                }
                seen.push(key);
            }
        }
        links
    }
}
