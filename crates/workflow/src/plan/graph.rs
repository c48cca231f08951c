//! Plans as a graph: a node for each leg, a group for each matrix, called workflow and workflow, and what needs what.
//!
//! Shared by the formats that draw it; nodes and groups are numbered in the order in which they are drawn.

use super::{JobOutline, Outline};

/// Characters of a label's line; longer text is cut.
const MAX_LINE: usize = 120;

/// One workflow of a drawing.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// Its name and file.
    pub title: &'a str,
    /// Its jobs, or why it does not start.
    pub content: Result<&'a Outline, &'a str>,
}

/// Something that is drawn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Node(Node),
    Group(Group),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) number: usize,
    /// The lines of its label.
    pub(super) label: Vec<String>,
    /// Whether it does not run.
    pub(super) is_skipped: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) number: usize,
    pub(super) label: String,
    /// At least one.
    pub(super) parts: Vec<Part>,
    /// What leads from part to part of this group.
    pub(super) edges: Vec<Edge>,
}

/// The second needs the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: End,
    pub(super) to: End,
}

/// The end of an edge: a node, which is its own first and last, or a group and the nodes that are its first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) group: Option<usize>,
    pub(super) first: usize,
    pub(super) last: usize,
}

impl Part {
    fn end(&self) -> End {
        match self {
            Self::Node(node) => End { group: None, first: node.number, last: node.number },
            Self::Group(group) => {
                let first = group.parts.first().map_or(0, |part| part.end().first);
                let last = group.parts.last().map_or(0, |part| part.end().last);
                End { group: Some(group.number), first, last }
            }
        }
    }
}

/// Draws the workflows, a group for each.
pub(super) fn draw(sheets: &[Sheet<'_>]) -> Vec<Group> {
    let mut drawing = Drawing { nodes: 0, groups: 0 };
    sheets.iter().map(|sheet| drawing.sheet(sheet)).collect()
}

struct Drawing {
    nodes: usize,
    groups: usize,
}

impl Drawing {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Group {
        let number = self.group();
        let (mut parts, edges) = match sheet.content {
            Ok(outline) => self.jobs(&outline.jobs),
            Err(reason) => (vec![self.node(vec![format!("not started: {reason}")], true)], Vec::new()),
        };
        if parts.is_empty() {
            parts.push(self.node(vec!["no jobs".to_owned()], true));
        }
        Group { number, label: cut(sheet.title), parts, edges }
    }

    fn group(&mut self) -> usize {
        self.groups += 1;
        self.groups - 1
    }

    fn node(&mut self, lines: Vec<String>, is_skipped: bool) -> Part {
        self.nodes += 1;
        let label = lines.iter().map(|line| cut(line)).collect();
        Part::Node(Node { number: self.nodes - 1, label, is_skipped })
    }

    /// The jobs of one workflow. Legs of a job stand one after the other.
    fn jobs(&mut self, outlines: &[JobOutline]) -> (Vec<Part>, Vec<Edge>) {
        let mut parts = Vec::new();
        let mut ids: Vec<(&str, End)> = Vec::new();
        let mut edges = Vec::new();
        let jobs: Vec<&[JobOutline]> = outlines.chunk_by(|one, next| one.id == next.id).collect();
        for legs in &jobs {
            let part = self.job(legs);
            ids.extend(legs.first().map(|leg| (leg.id.as_str(), part.end())));
            parts.push(part);
        }
        for (needing, to) in jobs.iter().filter_map(|legs| legs.first()).zip(ids.clone()) {
            for need in &needing.needs {
                let from = ids.iter().find(|(id, _)| id.eq_ignore_ascii_case(need));
                edges.extend(from.map(|(_, from)| Edge { from: *from, to: to.1 }));
            }
        }
        (parts, edges)
    }

    fn job(&mut self, legs: &[JobOutline]) -> Part {
        if let [leg] = legs {
            return self.leg(leg);
        }
        let number = self.group();
        let label = legs.first().map_or_else(String::new, |leg| cut(&leg.id));
        let parts = legs.iter().map(|leg| self.leg(leg)).collect();
        Part::Group(Group { number, label, parts, edges: Vec::new() })
    }

    fn leg(&mut self, leg: &JobOutline) -> Part {
        if !leg.jobs.is_empty() {
            let number = self.group();
            let (parts, edges) = self.jobs(&leg.jobs);
            let skipped = if leg.skipped.is_some() { " (skipped)" } else { "" };
            let calls = leg.uses.as_ref().map(|uses| format!(" calls {uses}")).unwrap_or_default();
            let label = cut(&format!("{}{calls}{skipped}", leg.name));
            return Part::Group(Group { number, label, parts, edges });
        }
        let mut lines = vec![leg.name.clone()];
        lines.extend((!leg.runs_on.is_empty()).then(|| format!("on {}", leg.runs_on.join(", "))));
        let at_hand = if leg.is_unknown { " (not at hand)" } else { "" };
        lines.extend(leg.uses.as_ref().map(|uses| format!("calls {uses}{at_hand}")));
        lines.extend(leg.dynamic.then(|| "legs show during the run".to_owned()));
        lines.extend(leg.skipped.as_ref().map(|reason| format!("skipped: {reason}")));
        lines.extend(leg.fails.as_ref().map(|reason| format!("fails: {reason}")));
        self.node(lines, leg.skipped.is_some())
    }
}

/// One line of at most [`MAX_LINE`] characters; what is no text in it becomes a blank.
fn cut(text: &str) -> String {
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    match text.char_indices().nth(MAX_LINE) {
        Some((end, _)) => text[..end].chars().map(plain).chain(['…']).collect(),
        None => text.chars().map(plain).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::{
        BoxedStrategy, Just, Strategy as _, prop, prop_assert, prop_assert_eq, proptest,
    };

    use super::{Group, JobOutline, Outline, Part, Sheet, draw};
    use crate::plan::{to_dot, to_mermaid};

    fn leg(id: &str, needs: &[usize], jobs: Vec<JobOutline>) -> JobOutline {
        JobOutline {
            id: id.to_owned(),
            name: format!("{id} \"x\""),
            needs: needs.iter().map(|need| format!("j{need}")).collect(),
            matrix: None,
            dynamic: false,
            runs_on: Vec::new(),
            uses: None,
            stage: 0,
            skipped: None,
            fails: None,
            is_unknown: false,
            jobs,
        }
    }

    /// Jobs of one to three legs that need earlier ones, and may call workflows of the same kind.
    fn outlines(depth: usize) -> BoxedStrategy<Vec<JobOutline>> {
        let called = if depth == 0 { Just(Vec::new()).boxed() } else { outlines(depth - 1) };
        let one = (1_usize..=3, prop::collection::vec(0_usize..4, 0..3), called);
        let jobs = prop::collection::vec(one, 0..4).prop_map(|jobs| {
            let legs = |(number, (count, needs, called)): (usize, (usize, Vec<usize>, Vec<JobOutline>))| {
                let needs: Vec<usize> = needs.into_iter().filter(|need| *need < number).collect();
                std::iter::repeat_n(leg(&format!("j{number}"), &needs, called), count)
            };
            jobs.into_iter().enumerate().flat_map(legs).collect()
        });
        jobs.boxed()
    }

    /// Adds the numbers of the nodes and groups in it.
    fn count(group: &Group, nodes: &mut Vec<usize>, groups: &mut Vec<usize>) {
        groups.push(group.number);
        for part in &group.parts {
            match part {
                Part::Node(node) => nodes.push(node.number),
                Part::Group(inner) => count(inner, nodes, groups),
            }
        }
    }

    /// Whether the edges of a group lead between its own parts.
    fn is_closed(group: &Group) -> bool {
        let ends: Vec<_> = group.parts.iter().map(Part::end).collect();
        let inner = group.parts.iter().all(|part| match part {
            Part::Node(_) => true,
            Part::Group(inner) => is_closed(inner),
        });
        inner && group.edges.iter().all(|edge| ends.contains(&edge.from) && ends.contains(&edge.to))
    }

    proptest! {
        #[test]
        fn drawings_hold_together(jobs in outlines(2)) {
            let outline = Outline { jobs, is_cut: false };
            let sheets = [Sheet { title: "a", content: Ok(&outline) }, Sheet { title: "b", content: Err("no") }];
            let (mut nodes, mut groups) = (Vec::new(), Vec::new());
            for group in draw(&sheets) {
                prop_assert!(is_closed(&group));
                count(&group, &mut nodes, &mut groups);
            }
            prop_assert_eq!(nodes.iter().collect::<HashSet<_>>().len(), nodes.len());
            prop_assert_eq!(groups.iter().collect::<HashSet<_>>().len(), groups.len());
            let (dot, mermaid) = (to_dot(&sheets), to_mermaid(&sheets));
            prop_assert_eq!(dot.matches("subgraph cluster_").count(), groups.len());
            prop_assert_eq!(dot.matches('{').count(), dot.matches('}').count());
            prop_assert_eq!(mermaid.lines().filter(|line| line.trim() == "end").count(), groups.len());
        }
    }
}
