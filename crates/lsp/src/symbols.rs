//! The outline of a document as editors show it: jobs with their steps, and the steps of an action.

use lsp_types::{DocumentSymbol, SymbolKind};
use workflow::source::Span;

use crate::document::Document;
use crate::outline::Outline;
use crate::repository::Kind;

/// The most symbols of one document.
const MAX_SYMBOLS: usize = 10_000;

/// The symbols of a document.
pub(crate) fn of(document: &Document, text: &str, kind: Kind) -> Vec<DocumentSymbol> {
    let maker = Maker { document, text, outline: Outline::of(text) };
    let outline = &maker.outline;
    match kind {
        Kind::Workflow => {
            let jobs = outline.at(&["jobs"]);
            let ids = jobs.into_iter().flat_map(|jobs| outline.children(Some(jobs)));
            ids.take(MAX_SYMBOLS).filter_map(|job| maker.job(job)).collect()
        }
        Kind::Action => outline.at(&["runs"]).map(|runs| maker.steps(runs)).unwrap_or_default(),
    }
}

struct Maker<'d> {
    document: &'d Document,
    text: &'d str,
    outline: Outline,
}

impl Maker<'_> {
    fn job(&self, job: usize) -> Option<DocumentSymbol> {
        let id = self.outline.name(job)?.to_owned();
        let name = self.value(job, "name").map(str::to_owned);
        Some(self.symbol(job, id, name, SymbolKind::CLASS, self.steps(job)))
    }

    fn steps(&self, parent: usize) -> Vec<DocumentSymbol> {
        let Some(steps) = self.outline.find(Some(parent), "steps") else { return Vec::new() };
        let items = self.outline.items(steps).take(MAX_SYMBOLS);
        let step = |item| {
            let script = || self.outline.find(Some(item), "run").and_then(|run| self.first_line(run));
            let named = ["name", "uses", "id"].into_iter().find_map(|key| self.value(item, key));
            let name = named.or_else(script).unwrap_or("step").to_owned();
            let id = self.value(item, "id").map(str::to_owned);
            self.symbol(item, name, id, SymbolKind::FUNCTION, Vec::new())
        };
        items.map(step).collect()
    }

    fn value(&self, parent: usize, key: &str) -> Option<&str> {
        let value = self.outline.value(self.outline.find(Some(parent), key)?, self.text)?;
        Some(value).filter(|value| !value.is_empty())
    }

    /// The first line of a value with something in it, without the header of a block.
    fn first_line(&self, number: usize) -> Option<&str> {
        let span = self.outline.entry(number).value;
        let written = self.text.get(span.start as usize..span.end as usize)?;
        let is_block = written.starts_with(['|', '>']);
        written.lines().skip(usize::from(is_block)).map(str::trim).find(|line| !line.is_empty())
    }

    fn symbol(
        &self,
        number: usize,
        name: String,
        detail: Option<String>,
        kind: SymbolKind,
        children: Vec<DocumentSymbol>,
    ) -> DocumentSymbol {
        let entry = self.outline.entry(number);
        let whole = Span::new(entry.mark.start as usize, entry.end);
        #[expect(deprecated, reason = "the type has a field that is out of use, and no other way to be made")]
        DocumentSymbol {
            name,
            detail,
            kind,
            tags: None,
            deprecated: None,
            range: self.document.range(whole),
            selection_range: self.document.range(entry.mark),
            children: if children.is_empty() { None } else { Some(children) },
        }
    }
}
