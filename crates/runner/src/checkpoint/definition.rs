//! Steps without their places in a file: two are the same where these are.

use serde_json::Value;
use workflow::model::Step;

/// Keys that say where something stands in its file.
const PLACES: [&str; 2] = ["span", "key_span"];

/// The definition of a step, whatever stands before it in its file.
#[must_use]
pub fn without_places(step: &Step) -> Value {
    let mut definition = serde_json::to_value(step).expect("a step can be written as JSON");
    strip(&mut definition);
    definition
}

/// Any part of a workflow's model without its places in the file.
pub(crate) fn strip(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            PLACES.iter().for_each(|place| drop(entries.shift_remove(*place)));
            entries.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use workflow::model::{JobKind, Step};
    use workflow::read::{ReadOptions, parse};
    use workflow::source::SourceFile;

    use super::without_places;

    fn step(before: &str, step: &str) -> Step {
        let text = format!("{before}on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {step}\n");
        let parsed = parse(&SourceFile::new("x.yml", text), &ReadOptions::default());
        let workflow = parsed.value.expect("the workflow can be read");
        let JobKind::Steps(steps) = &workflow.jobs[0].kind else { panic!("a job with steps") };
        steps.steps[0].clone()
    }

    fn check(left: Step, right: Step, same: bool) {
        assert_eq!(without_places(&left) == without_places(&right), same);
    }

    #[test]
    fn places_do_not_count() {
        let same = "{run: 'echo ${{ github.sha }}', env: {A: 1}, if: always()}";
        check(step("", same), step("# above\n\n", same), true);
        check(step("", "{run: a}"), step("", "{run:   a}"), true);
    }

    #[test]
    fn what_a_step_does_counts() {
        check(step("", "{run: a}"), step("", "{run: b}"), false);
        check(step("", "{run: a}"), step("", "{run: a, if: always()}"), false);
        check(step("", "{run: a, env: {A: 1}}"), step("", "{run: a, env: {A: 2}}"), false);
        check(step("", "{run: '${{ 1 }}'}"), step("", "{run: '${{ 2 }}'}"), false);
    }
}
