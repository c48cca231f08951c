//! Which runner may take which job.

/// The label of a runner that takes every job.
const ANY: &str = "*";

/// The labels that a runner serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    lower: Vec<String>,
}

impl Labels {
    /// These labels, compared without regard to case; `*` serves every job.
    pub fn new<T: AsRef<str>>(labels: impl IntoIterator<Item = T>) -> Self {
        Self { lower: labels.into_iter().map(|label| label.as_ref().to_lowercase()).collect() }
    }

    /// Whether a job with these labels fits: all of them are served. A job without labels needs `*`.
    #[must_use]
    pub fn serve(&self, job: &[String]) -> bool {
        self.has(ANY) || !job.is_empty() && job.iter().all(|label| self.has(&label.to_lowercase()))
    }

    /// The labels of a job that are not served.
    #[must_use]
    pub fn missing<'a>(&self, job: &'a [String]) -> Vec<&'a str> {
        if self.has(ANY) {
            return Vec::new();
        }
        job.iter().map(String::as_str).filter(|label| !self.has(&label.to_lowercase())).collect()
    }

    fn has(&self, label: &str) -> bool {
        self.lower.iter().any(|known| known == label)
    }
}

#[cfg(test)]
mod tests {
    use super::Labels;

    #[test]
    fn all_of_a_jobs_labels_must_be_served() {
        let check = |runner: &[&str], job: &[&str], fits: bool, missing: &[&str]| {
            let labels = Labels::new(runner);
            let job: Vec<String> = job.iter().map(|&label| label.to_owned()).collect();
            assert_eq!(
                (labels.serve(&job), labels.missing(&job)),
                (fits, missing.to_vec()),
                "{runner:?} {job:?}"
            );
        };
        check(&["linux", "x64"], &["Linux"], true, &[]);
        check(&["LINUX", "x64"], &["x64", "linux"], true, &[]);
        check(&["linux"], &["linux", "GPU"], false, &["GPU"]);
        check(&["linux"], &[], false, &[]);
        check(&["*"], &[], true, &[]);
        check(&["*"], &["windows-latest"], true, &[]);
        check(&[], &["linux"], false, &["linux"]);
    }
}
