//! The graph of jobs: every needed job exists, and none waits for itself.

use std::collections::{HashMap, VecDeque};

use super::report::{Report, quoted};
use super::suggest::nearest;
use crate::model::Job;
use crate::source::{Span, Spanned};

/// Jobs of a cycle that a message names.
const MAX_NAMED: usize = 20;

/// Reports unknown jobs and cycles; `span` is the place of `jobs`.
pub(crate) fn check(jobs: &[Job], span: Span, report: &mut Report<'_>) {
    if jobs.iter().all(|job| job.needs.is_empty()) {
        return;
    }
    let graph = Graph::of(jobs);
    for job in jobs {
        for need in job.needs.iter().filter(|need| graph.index(&need.value).is_none()) {
            unknown(jobs, job, need, report);
        }
    }
    let settled = graph.settled();
    if !jobs.is_empty() && jobs.iter().all(|job| !job.needs.is_empty()) {
        let message = "The workflow must contain at least one job with no dependencies.";
        let diagnostic = report.describe(span, "job-needs", message);
        let cycle = (0..jobs.len()).find_map(|job| graph.cycle(job, *graph.needs[job].first()?));
        report.push(match cycle {
            Some(cycle) => diagnostic.with_help(format!("the cycle is {}", names(jobs, &cycle))),
            None => diagnostic,
        });
        return;
    }
    for (index, job) in jobs.iter().enumerate().filter(|(index, _)| !settled[*index]) {
        for need in &job.needs {
            // A job that only waits for a cycle is not part of it.
            let Some(cycle) = graph.index(&need.value).and_then(|need| graph.cycle(index, need)) else {
                continue;
            };
            let message = format!(
                "Job {} depends on job {} which creates a cycle in the dependency graph.",
                quoted(&job.id.value),
                quoted(&need.value)
            );
            let diagnostic = report.describe(need.span, "job-cycle", message);
            report.push(diagnostic.with_help(format!("the cycle is {}", names(jobs, &cycle))));
        }
    }
}

fn unknown(jobs: &[Job], job: &Job, need: &Spanned<String>, report: &mut Report<'_>) {
    let message = format!("Job {} depends on unknown job {}.", quoted(&job.id.value), quoted(&need.value));
    let mut diagnostic = report.describe(need.span, "unknown-job", message);
    let others = jobs.iter().map(|job| job.id.value.as_str()).filter(|id| *id != job.id.value);
    if let Some(meant) = nearest(&need.value, others) {
        diagnostic = diagnostic.with_help(format!("did you mean `{meant}`?"));
    }
    report.push(diagnostic);
}

fn names(jobs: &[Job], cycle: &[usize]) -> String {
    let mut names: Vec<&str> = cycle.iter().take(MAX_NAMED).map(|job| jobs[*job].id.value.as_str()).collect();
    if cycle.len() > MAX_NAMED {
        names.push("…");
    }
    names.extend(cycle.first().map(|job| jobs[*job].id.value.as_str()));
    names.join(" -> ")
}

struct Graph {
    indices: HashMap<String, usize>,
    /// For each job the known jobs that it needs.
    needs: Vec<Vec<usize>>,
}

impl Graph {
    fn of(jobs: &[Job]) -> Self {
        let indices =
            jobs.iter().enumerate().map(|(index, job)| (job.id.value.to_lowercase(), index)).collect();
        let mut graph = Self { indices, needs: Vec::new() };
        graph.needs = jobs
            .iter()
            .map(|job| job.needs.iter().filter_map(|need| graph.index(&need.value)).collect())
            .collect();
        graph
    }

    fn index(&self, id: &str) -> Option<usize> {
        self.indices.get(&id.to_lowercase()).copied()
    }

    /// For each job whether it can ever start, unknown needs taken as done.
    fn settled(&self) -> Vec<bool> {
        let mut waiting: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut dependents = vec![Vec::new(); self.needs.len()];
        for (job, needs) in self.needs.iter().enumerate() {
            needs.iter().for_each(|need| dependents[*need].push(job));
        }
        let mut ready: VecDeque<usize> = (0..waiting.len()).filter(|job| waiting[*job] == 0).collect();
        let mut settled = vec![false; waiting.len()];
        while let Some(job) = ready.pop_front() {
            settled[job] = true;
            for dependent in &dependents[job] {
                waiting[*dependent] -= 1;
                if waiting[*dependent] == 0 {
                    ready.push_back(*dependent);
                }
            }
        }
        settled
    }

    /// The shortest cycle that leads from `job` over its need `first` back to it: the jobs in the order of needing.
    fn cycle(&self, job: usize, first: usize) -> Option<Vec<usize>> {
        let mut came_from: HashMap<usize, usize> = HashMap::from([(first, job)]);
        let mut queue = VecDeque::from([first]);
        while let Some(current) = queue.pop_front() {
            if current == job {
                break;
            }
            for next in &self.needs[current] {
                if !came_from.contains_key(next) {
                    came_from.insert(*next, current);
                    queue.push_back(*next);
                }
            }
        }
        let mut cycle = Vec::new();
        let mut current = *came_from.get(&job)?;
        while current != job {
            cycle.push(current);
            current = came_from[&current];
        }
        cycle.push(job);
        cycle.reverse();
        Some(cycle)
    }
}
