//! What is seen of a build while it goes on: a line that changes on a terminal, a line for each part elsewhere.

use std::time::Duration;

use console::Term;
use image::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::config::Config;
use crate::output;
use crate::render::text::shown;

/// How often the spinner turns.
const FRAME: Duration = Duration::from_millis(100);
/// The longest line of a program that is shown, in characters.
const MAX_LINE: usize = 100;

/// Shows news.
#[derive(Debug)]
pub(crate) struct Display {
    bar: ProgressBar,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Terminal,
    Lines,
    Nowhere,
}

impl Display {
    pub(crate) fn new(config: &Config) -> Self {
        let terminal = Term::stderr();
        // Standard output being a terminal says that somebody looks; standard error is drawn on.
        let place = match (config.quiet, terminal.is_term() && config.terminal) {
            (true, _) => Place::Nowhere,
            (false, true) => Place::Terminal,
            (false, false) => Place::Lines,
        };
        let target = match place {
            Place::Terminal => ProgressDrawTarget::term(terminal, 20),
            Place::Lines | Place::Nowhere => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(style("{spinner} {prefix} {elapsed:.dim} {msg:.dim}"));
        bar.enable_steady_tick(FRAME);
        Self { bar, place }
    }

    pub(crate) fn show(&self, news: Progress<'_>) {
        match news {
            Progress::Stage(text) => {
                self.bar.set_style(style("{spinner} {prefix} {elapsed:.dim} {msg:.dim}"));
                self.bar.set_message("");
                self.bar.set_prefix(text.to_owned());
                if self.place == Place::Lines {
                    output::to_stderr(&format!("{text} ..."));
                }
            }
            Progress::Line(line) => {
                let line = shown(line, false);
                self.bar.set_message(line.chars().take(MAX_LINE).collect::<String>());
            }
            Progress::Bytes { done, total } => {
                if self.bar.length() != Some(total) {
                    self.bar.set_length(total);
                    self.bar.set_style(style("{spinner} {prefix} [{bar:30}] {bytes}/{total_bytes}"));
                }
                self.bar.set_position(done);
            }
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constants").progress_chars("=> ")
}
