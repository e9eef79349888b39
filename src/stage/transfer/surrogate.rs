//! What images are made on: a model, or several at once.

use super::entrant::Entrant;
use crate::attacks::Victim;
use crate::nn::{BackwardPlan, Network};
use crate::run::interrupt;
use crate::stage::ensemble_section::Mean;
use crate::stage::transfer_section::TransferSpec;
use crate::{Error, Result};

/// A model of a transfer that images are made on, or an ensemble of some.
pub(super) struct Surrogate<'a> {
    pub name: &'a str,
    /// The model, or those of the ensemble.
    pub members: Vec<&'a Entrant<'a>>,
    /// The mean of several members, and what an attack gets of them.
    mean: Option<(Network, Mean)>,
}

impl<'a> Surrogate<'a> {
    /// Those of a section, models first.
    pub fn all(spec: &'a TransferSpec, entrants: &'a [Entrant<'a>]) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = entrants
            .iter()
            .map(|entrant| Self {
                name: entrant.name,
                members: vec![entrant],
                mean: None,
            })
            .collect();
        for (name, ensemble) in &spec.ensembles {
            let named = |member: &String| {
                let found = entrants.iter().find(|entrant| entrant.name == member);
                found.ok_or_else(|| {
                    Error::spec(format!("transfer.ensembles.{name}: no model {member}"))
                })
            };
            let members = ensemble.models.iter().map(named);
            let members = members.collect::<Result<Vec<_>>>()?;
            let networks = members.iter().map(|member| (member.name, &member.network));
            all.push(Self {
                name,
                mean: Some((Network::mean(&networks.collect::<Vec<_>>())?, ensemble.mean)),
                members,
            });
        }
        let surrogates = spec.surrogates.as_ref();
        all.retain(|one| surrogates.is_none_or(|names| names.iter().any(|name| name == one.name)));
        Ok(all)
    }

    /// It as the victim of an attack whose gradients follow the members' plans.
    pub fn victim(&self, plans: Vec<BackwardPlan>) -> Victim<'_> {
        let of_members = || self.members.iter().zip(plans.iter().cloned());
        let Some((network, mean)) = &self.mean else {
            let plan = plans.into_iter().next();
            return self.members[0].victim(plan.unwrap_or_default());
        };
        let counted = of_members().map(|(member, plan)| (plan, member.network.activations().len()));
        let members = match mean {
            Mean::Logits => Vec::new(),
            Mean::Losses => of_members()
                .map(|(member, plan)| member.victim(plan))
                .collect(),
        };
        Victim {
            name: format!("transfer.ensembles.{}", self.name),
            check: interrupt::check,
            members,
            ..Victim::new(network, BackwardPlan::joined(&counted.collect::<Vec<_>>()))
        }
    }
}
