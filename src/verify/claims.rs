//! A file of claims, read and checked before anything runs.

use std::collections::BTreeSet;
use std::path::Path;

use figment::value::Tag;

use super::claim::ClaimSpec;
use crate::experiment::{Plan, plan, plan_document};
use crate::pipeline::check_models;
use crate::spec::document::Document;
use crate::spec::listing::{Listed, read_listing};
use crate::spec::location::Locate;
use crate::spec::outcome::Outcome;
use crate::spec::{Fields, Location, Request, Section, SectionInfo, Surroundings, Table, TaskKind};
use crate::{Error, Result};

/// The tables of the list, and what faults call the layer.
const CLAIM: &str = "claim";
/// What a claim's runs may differ in.
const SEED: &str = "seed";

/// A claim and the runs that it is about.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What is claimed.
    pub spec: ClaimSpec,
    /// One run, or one for each seed.
    pub plan: Plan,
}

/// Reads a file of claims. `overrides`: `KEY=VALUE` over the specs of all of them. What the environment sets is left
/// aside: a claim is about what its file says.
///
/// # Errors
/// Every fault of every claim and its spec, one line each.
pub fn read_claims(path: &Path, overrides: &[String]) -> Result<Vec<Claim>> {
    let mut outcome = Outcome::default();
    let listed = read_listing(path, CLAIM, &mut outcome).unwrap_or_default();
    let mut claims = Vec::new();
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for one in listed {
        let Some(spec) = read_claim(&one.table, &mut outcome) else {
            continue;
        };
        let at = |key: &str| one.table.location(key, CLAIM);
        if !names.insert(spec.name.clone()) {
            let message = format!("{:?} is the name of two claims", spec.name);
            outcome.fault(&at("name"), "name", &message);
        }
        match planned(path, &spec, one, overrides) {
            Ok(plan) => claims.push(Claim { spec, plan }),
            Err(error) => faults.push(error.to_string()),
        }
    }
    let mut lines = outcome.faults();
    for line in faults.iter().flat_map(|fault| fault.lines()) {
        // A fault of what specs have in common is one of each.
        if !lines.iter().any(|known| known == line) {
            lines.push(line.to_owned());
        }
    }
    match lines.is_empty() {
        true => Ok(claims),
        false => Err(Error::spec(lines.join("\n"))),
    }
}

fn read_claim(table: &Document, outcome: &mut Outcome) -> Option<ClaimSpec> {
    ClaimSpec::read(Fields {
        path: String::new(),
        keys: ClaimSpec::KEYS,
        tables: vec![Table::all_of(String::new(), &table.dict)],
        used: true,
        shared: false,
        around: &Alone,
        locations: &Within(table),
        outcome,
    })
}

/// The runs of a claim.
fn planned(path: &Path, claim: &ClaimSpec, listed: Listed, overrides: &[String]) -> Result<Plan> {
    let own = listed.table.location("spec", CLAIM);
    let seeds: Vec<String> = claim.seeds.iter().map(u64::to_string).collect();
    let mut request = Request {
        overrides: overrides.to_vec(),
        sweeps: match seeds.is_empty() {
            true => Vec::new(),
            false => vec![format!("{SEED}={}", seeds.join(","))],
        },
        ..Request::default()
    };
    let mut plan = match (&claim.spec, listed.spec) {
        (Some(file), _) => {
            request.spec = path.parent().unwrap_or(Path::new("")).join(file);
            plan(&request)
                .map_err(|error| error.each_line(|line| format!("{own}: spec: {line}")))?
        }
        (None, Some(document)) => plan_document(document, &request)?,
        (None, None) => return Err(Error::spec(format!("{own}: spec: missing"))),
    };
    let is_ours = |key: &str| key == SEED && !seeds.is_empty();
    if let Some(other) = plan.swept.iter().find(|key| !is_ours(key)) {
        return Err(Error::spec(format!(
            "{own}: spec: sweeps {other}; expected one run, or one for each of the claim's `seeds`"
        )));
    }
    let remarks = check_models(&plan.runs)
        .map_err(|error| error.each_line(|line| format!("{own}: spec: {line}")))?;
    plan.warn(remarks);
    Ok(plan)
}

/// Where the values of a claim stand.
struct Within<'a>(&'a Document);

impl Locate for Within<'_> {
    fn locate(&self, path: &str, _: Tag) -> Location {
        self.0.location(path, CLAIM)
    }

    fn locate_section(&self, path: &str) -> Location {
        self.0.location(path, CLAIM)
    }
}

/// What stands around a claim: no stage.
struct Alone;

impl Surroundings for Alone {
    fn task(&self) -> Option<TaskKind> {
        None
    }

    fn tables(&self, _: &str) -> Vec<Table<'_>> {
        Vec::new()
    }

    fn sections(&self) -> &[SectionInfo] {
        &[]
    }

    fn may_use(&self, _: &str) -> bool {
        false
    }

    fn attacks_by_itself(&self) -> bool {
        false
    }

    fn stages(&self) -> &[String] {
        &[]
    }

    fn model_of(&self, _: &str) -> Vec<Table<'_>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str =
        "[spec]\ntask = \"evaluate\"\ndata.kind = \"digits\"\nmodel.arch = \"lenet5\"\n";

    /// What is wrong with a file of these lines after [`SPEC`], line numbers counted from theirs.
    fn faults(lines: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, format!("{SPEC}{lines}")).unwrap();
        let shown = format!("{}/", folder.path().display());
        match read_claims(&path, &[]) {
            Ok(_) => Vec::new(),
            Err(error) => {
                assert_eq!(error.exit_code(), 2);
                let text = error.to_string().replace(&shown, "");
                text.lines().map(str::to_owned).collect()
            }
        }
    }

    const SOUND: &str = "[[claim]]\nname = \"a\"\nspec = {}\nmetric = \"test_accuracy\"\nat_least = 0\nsource = \"x\"\n";

    #[test]
    fn claims_have_a_run_for_every_seed() {
        assert_eq!(faults(SOUND), [""; 0]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let seeds = format!("{SPEC}{SOUND}seeds = [4, 5]\n");
        std::fs::write(&path, seeds).unwrap();
        let claims = read_claims(&path, &["data.test_limit=20".to_owned()]).unwrap();
        let runs = &claims[0].plan.runs;
        let seeds: Vec<u64> = runs.iter().map(|run| run.spec.stages[0].seed).collect();
        assert_eq!((claims.len(), seeds), (1, vec![4, 5]));
        let data = runs[0].spec.stages[0].task.data().unwrap();
        assert_eq!(data.test_limit, Some(20));
        assert_eq!(claims[0].plan.name, "a");
    }

    #[test]
    fn each_fault_is_one_line_that_says_where() {
        for (change, line) in [
            (
                ("at_least = 0\n", ""),
                "a.toml:5: expected: missing; expected the figure claimed",
            ),
            (
                ("at_least = 0", "expected = 1"),
                "a.toml:5: tolerance: missing; ",
            ),
            (
                ("at_least = 0", "at_least = 0\nexpected = 1\ntolerance = 1"),
                "a.toml:10: expected: stands beside",
            ),
            (
                ("at_least = 0", "at_least = 0\ntolerance = 1"),
                "a.toml:10: tolerance: has no effect",
            ),
            (
                ("at_least = 0", "at_least = 2\nat_most = 1"),
                "a.toml:9: at_least: expected at most at_most, 1, found 2",
            ),
            (
                ("at_least = 0", "at_least = nan"),
                "a.toml:9: at_least: expected a finite number",
            ),
            (
                ("at_least = 0", "at_lest = 0\nat_most = 1"),
                "a.toml:9: at_lest: unknown key; did you mean \"at_least\"?",
            ),
            (
                ("\"a\"", "3"),
                "a.toml:6: name: expected a line of text in quotes, found 3",
            ),
            (("source = \"x\"\n", ""), "a.toml:5: source: missing; "),
            (
                ("spec = {}", "spec = 3"),
                "a.toml:7: spec: expected a table of the keys of a spec, or",
            ),
            (
                ("spec = {}", "spec = \"b.toml\""),
                "a.toml:7: spec: b.toml: cannot read",
            ),
            (
                ("spec = {}", "spec = { data.test_limit = 0 }"),
                "a.toml:7: data.test_limit: ",
            ),
            (
                ("spec = {}", "spec = { sweep = { seed = [1, 2] } }"),
                "a.toml:7: spec: sweeps seed; expected one run",
            ),
            (
                ("at_least", "seeds = [1, 1]\nat_least"),
                "a.toml:9: seeds: expected at least one seed, and none twice",
            ),
            (
                ("at_least", "seeds = [-1]\nat_least"),
                "a.toml:9: seeds: expected",
            ),
        ] {
            let text = SOUND.replace(change.0, change.1);
            assert_ne!(text, SOUND);
            let found = faults(&text);
            assert!(
                found.len() == 1 && found[0].starts_with(line),
                "{text}: {found:?}, expected {line}"
            );
        }
    }

    #[test]
    fn faults_of_all_claims_are_told_at_once() {
        let other = SOUND.replace("spec = {}", "spec = { data.kind = \"digit\" }");
        let found = faults(&format!("{SOUND}{SOUND}{other}"));
        let starts = [
            "a.toml:12: name: \"a\" is the name of two claims",
            "a.toml:18: name: ",
            "a.toml:19: data.kind: ",
        ];
        for start in starts {
            assert!(
                found.iter().any(|line| line.starts_with(start)),
                "{start}: {found:?}"
            );
        }
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
