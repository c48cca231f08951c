//! Follows values of strangers through the steps of a job.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Label};
use crate::lint::{ActionResolution, ResolveAction, Settings, check_workflow};
use crate::read::ReadOptions;
use crate::source::SourceFile;

struct NoActions;

impl ResolveAction for NoActions {
    fn resolve(&self, _uses: &str) -> ActionResolution {
        ActionResolution::Unknown
    }
}

/// The findings about strangers, in a job whose steps are `steps`.
fn found(steps: &str) -> (SourceFile, Vec<Diagnostic>) {
    let text = format!("on: issues\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{steps}");
    let file = SourceFile::new("f.yml", text);
    let levels = HashMap::new();
    let settings = Settings { levels: &levels, runner_labels: &[], variables: None, actions: &NoActions };
    let mut found = check_workflow(&file, &ReadOptions::default(), &settings).diagnostics;
    found.retain(|finding| finding.message.contains("anyone can choose"));
    (file, found)
}

/// How many scripts take a value of strangers, in a job whose steps are `steps`.
fn check(steps: &str, expected: usize) {
    let (_, found) = found(steps);
    assert_eq!(found.len(), expected, "{found:#?}");
}

/// Steps that hand an output on, each taking that of the step before `width` times.
fn chain(length: usize, width: usize) -> String {
    let first = "      - id: s0\n        run: echo \"o=$TITLE\" >> $GITHUB_OUTPUT\n        env:\n          TITLE: ${{ github.event.issue.title }}\n";
    let next = |index: usize| {
        let value = format!("${{{{ steps.s{}.outputs.o }}}}", index - 1).repeat(width);
        format!(
            "      - id: s{index}\n        run: echo \"o=$V\" >> $GITHUB_OUTPUT\n        env:\n          V: {value}\n"
        )
    };
    let last = format!("      - run: echo ${{{{ steps.s{}.outputs.o }}}}\n", length - 1);
    first.to_owned() + &(1..length).map(next).collect::<String>() + &last
}

#[test]
fn each_hop_has_its_place() {
    let (file, found) = found(&chain(2, 1));
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(
        finding.message,
        "`steps.s1.outputs.o` holds `github.event.issue.title`, which anyone can choose, and becomes part of the script"
    );
    let label = |label: &Label| format!("{}: {}", file.position(label.span.start).line, label.message);
    let labels: Vec<String> = finding.labels.iter().map(label).collect();
    assert_eq!(
        labels,
        [
            "9: `github.event.issue.title` passes into `env.TITLE` here",
            "7: `env.TITLE` passes into `steps.s0.outputs.o` here",
            "13: `steps.s0.outputs.o` passes into `env.V` here",
            "11: `env.V` passes into `steps.s1.outputs.o` here",
            "14: `steps.s1.outputs.o` is expanded here",
        ]
    );
}

#[test]
fn the_way_is_followed_for_some_hops() {
    check(&chain(1, 1), 1);
    check(&chain(2, 1), 1);
    check(&chain(40, 1), 0);
}

#[test]
fn the_work_for_a_file_is_bounded() {
    check(&chain(40, 1000), 0);
    check(&"      - run: echo ${{ steps.no.outputs.o }}\n".repeat(2000), 0);
}

#[test]
fn the_newest_value_of_a_variable_counts() {
    let set = "      - run: echo \"V=$TITLE\" >> $GITHUB_ENV\n        env:\n          TITLE: ${{ github.event.issue.title }}\n";
    let fixed = "      - run: echo V=1 >> $GITHUB_ENV\n";
    let using = "      - run: echo ${{ env.V }}\n";
    // The first step also writes the environment.
    check(&format!("{set}{using}"), 2);
    check(&format!("{set}{fixed}{using}"), 1);
    check(&format!("{fixed}{using}"), 0);
}

#[test]
fn scripts_that_change_a_value_hand_it_on_no_more() {
    let step = |value: &str| {
        format!(
            "      - id: s\n        run: |\n          V={value}\n          echo \"o=$V\" >> $GITHUB_OUTPUT\n        env:\n          TITLE: ${{{{ github.event.issue.title }}}}\n      - run: echo ${{{{ steps.s.outputs.o }}}}\n"
        )
    };
    check(&step("\"$TITLE\""), 1);
    check(&step("${TITLE:-none}"), 1);
    check(&step("${TITLE//[^a-z]/}"), 0);
    check(&step("$(echo \"$TITLE\" | tr -cd a-z)"), 0);
}
#[test]
fn what_aliases_repeat_is_found_once() {
    check("      - &step\n        run: echo ${{ github.event.issue.title }}\n      - *step\n", 1);
}
