//! A target for fuzzers that feed standard input (AFL, honggfuzz): parses and evaluates the bytes as an expression and as text.
//! Built by `cargo build -p workflow --example fuzz_expr`; a panic or an abort is a finding.

use std::io::Read;

use workflow::expr::text::{Text, parse_each, parse_key};
use workflow::expr::{Contexts, Expr, Names, NoHost, Value, eval, parse, to_condition};

/// More than this tells nothing that less does not.
const MAX_INPUT: u64 = 64 * 1024;

fn main() -> std::io::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_INPUT).read_to_end(&mut bytes)?;
    let input = String::from_utf8_lossy(&bytes);
    let contexts = contexts();
    if let Ok(expr) = parse(&input, &Names::any()) {
        exercise(&expr, &contexts);
    }
    if let Ok(Text::Expression(expr)) = parse_key(&input, &Names::any()) {
        exercise(&expr, &contexts);
    }
    for (range, expr) in parse_each(&input, &Names::any()).flatten() {
        assert_eq!(&input[range], expr.source());
    }
    if let Ok(condition) = to_condition(&input, &Names::any()) {
        assert!(condition.uses_status_function());
    }
    Ok(())
}

fn exercise(expr: &Expr, contexts: &Contexts) {
    if let Some(root) = expr.root() {
        let written = root.to_string();
        let again = parse(&written, &Names::any());
        // What is written back may be longer than the longest expression.
        assert!(written.len() > 10_000 || again.is_ok(), "`{written}` is not parsed again");
    }
    for reference in expr.contexts() {
        assert!(expr.source()[reference.offset..].starts_with(reference.context));
    }
    if let Ok(value) = eval(expr, contexts, &NoHost) {
        let json = value.to_json().to_string();
        assert_eq!(serde_json::to_string(&value).expect("a value is written as JSON"), json);
    }
}

fn contexts() -> Contexts {
    let inner = Value::from_json(&serde_json::json!({"a": [1, "x", {"b": null}], "b": "{0}", "c": {}}));
    Contexts::new()
        .with("github", inner.clone())
        .with("a", vec![inner.clone(), inner])
        .with("b", "[1, 2]")
        .with("c", 0.5)
}
