//! The order of the jobs of one workflow: their stages, and which of them are sure to be skipped.

use std::collections::{HashMap, VecDeque};

use super::known::Known;
use super::skip::{self, Needs};
use crate::model::Job;

/// A job in its order.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) job: &'a Job,
    /// 0 for a job that needs none, else one more than the largest stage that it needs.
    pub(super) stage: usize,
    /// Why the job is sure to be skipped; none where it may run.
    pub(super) skipped: Option<String>,
}

/// The jobs in the order in which they are given. A cycle, which the reader refuses, leaves its jobs in the first stage.
pub(super) fn place<'a>(jobs: &[&'a Job], known: Known<'_>) -> Vec<Placed<'a>> {
    let places: HashMap<String, usize> =
        jobs.iter().enumerate().map(|(place, job)| (job.id.value.to_ascii_lowercase(), place)).collect();
    let needs: Vec<Vec<usize>> = jobs
        .iter()
        .map(|job| {
            job.needs
                .iter()
                .filter_map(|need| places.get(&need.value.to_ascii_lowercase()).copied())
                .collect()
        })
        .collect();
    let mut placed: Vec<Placed<'a>> =
        jobs.iter().map(|job| Placed { job, stage: 0, skipped: None }).collect();
    // For each job one that is skipped, of those that it needs and that these need.
    let mut lost: Vec<Option<&str>> = vec![None; jobs.len()];
    for place in sequence(&needs) {
        let job = jobs[place];
        let of = &needs[place];
        placed[place].stage = of.iter().map(|need| placed[*need].stage + 1).max().unwrap_or(0);
        let direct = of.iter().find(|need| placed[**need].skipped.is_some());
        lost[place] = match direct {
            Some(need) => Some(&jobs[*need].id.value),
            None => of.iter().find_map(|need| lost[*need]),
        };
        let before = match (of.is_empty(), lost[place]) {
            (true, _) => Needs::Nothing,
            (false, None) => Needs::Others,
            (false, Some(id)) => Needs::Skipped(id),
        };
        placed[place].skipped = skip::reason(job, known, before);
    }
    placed
}

/// The jobs, each behind those that it needs.
fn sequence(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    for (place, of) in needs.iter().enumerate() {
        of.iter().for_each(|need| needed_by[*need].push(place));
    }
    let mut ready: VecDeque<usize> = (0..needs.len()).filter(|place| open[*place] == 0).collect();
    let mut sequence = Vec::with_capacity(needs.len());
    while let Some(place) = ready.pop_front() {
        sequence.push(place);
        for next in &needed_by[place] {
            open[*next] -= 1;
            if open[*next] == 0 {
                ready.push_back(*next);
            }
        }
    }
    sequence
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::sequence;

    proptest! {
        #[test]
        fn each_job_stands_behind_those_that_it_needs(
            needs in prop::collection::vec(prop::collection::vec(0_usize..20, 0..4), 0..20),
        ) {
            let needs: Vec<Vec<usize>> = needs
                .into_iter()
                .enumerate()
                .map(|(place, of)| of.into_iter().filter(|need| *need < place).collect())
                .collect();
            let found = sequence(&needs);
            prop_assert_eq!(found.len(), needs.len());
            for (at, place) in found.iter().enumerate() {
                prop_assert!(needs[*place].iter().all(|need| found[..at].contains(need)));
            }
        }

        #[test]
        fn cycles_have_an_end(needs in prop::collection::vec(prop::collection::vec(0_usize..5, 0..4), 5..6)) {
            prop_assert!(sequence(&needs).len() <= 5);
        }
    }
}
