//! Expressions beside another implementation, `github-actions-expressions`, which follows GitHub's language service.
//!
//! Where the two are known to differ, [`known_difference`] says so, and the tests at the end hold the difference fast: this
//! crate follows GitHub's runner.

use github_actions_expressions::{Evaluation, Expr as Oracle};
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::{prop_assert_eq, proptest};
use serde_json::json;
use workflow::expr::{Contexts, Names, NoHost, StatusFunctions, Value, eval, parse};

/// Any context, as the other implementation admits it.
const NAMES: Names = Names::any().with_status(StatusFunctions::Step);

/// Why the other implementation may judge the syntax of `text` differently.
fn known_difference(text: &str) -> Option<&'static str> {
    let dense: String = text.split_whitespace().collect();
    if dense.is_empty() {
        return Some("blank text is null for GitHub, a mistake for the other");
    }
    if dense.contains(",)") {
        return Some("the other admits a comma after the last argument");
    }
    if dense.contains("format()") {
        return Some("the other does not ask for the template of `format`");
    }
    let star_goes_on = dense.match_indices("[*").any(|(at, star)| !dense[at + star.len()..].starts_with(']'));
    if star_goes_on {
        return Some("GitHub's lexer admits more after a star in brackets, where it is the text `*`");
    }
    None
}

fn nearly_an_expression() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        3 => prop_oneof![Just("github"), Just("a"), Just("'x'"), Just("1"), Just("true"), Just("null")],
        3 => prop_oneof![Just("."), Just("["), Just("]"), Just("("), Just(")"), Just(","), Just("*")],
        2 => prop_oneof![Just(" && "), Just("||"), Just("=="), Just("!="), Just("<"), Just(">="), Just("!"), Just(" ")],
        1 => prop_oneof![Just("format"), Just("contains("), Just("toJSON("), Just("success()"), Just("case(")],
        1 => prop_oneof![Just("-.5e1"), Just("0xff"), Just("NaN"), Just("Infinity"), Just("'it''s'"), Just("'"), Just("$")],
    ];
    proptest::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

/// A literal whose text is written alike by both.
fn primitive() -> BoxedStrategy<String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        Just("NaN".to_owned()),
        Just("-Infinity".to_owned()),
        (-99_999_i32..99_999).prop_map(|number| format!("{}", f64::from(number) / 100.0)),
        (0_u32..=u32::MAX).prop_map(|number| format!("0x{number:x}")),
        "[ -~]{0,5}|[a-dA-D]{1,2}|-?[0-9]{1,3}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
    ]
    .boxed()
}

/// An expression without contexts.
fn constant() -> BoxedStrategy<String> {
    let collection = prop_oneof![
        Just("fromJSON('[]')"),
        Just("fromJSON('{}')"),
        Just("fromJSON('[1, \"a\", null, true, [2.5]]')"),
        Just("fromJSON('{\"k\": [{}, -1.25]}')"),
    ];
    let leaf = prop_oneof![4 => primitive(), 1 => collection.prop_map(str::to_owned)];
    let comparison = prop_oneof![Just("=="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            (two.clone(), comparison.clone())
                .prop_map(|((a, b), operator)| format!("({a}) {operator} ({b})")),
            two.clone().prop_map(|(a, b)| format!("({a}) && ({b})")),
            two.clone().prop_map(|(a, b)| format!("({a}) || ({b})")),
            two.clone().prop_map(|(a, b)| format!("format('{{0}}-{{{{{{1}}}}}}', {a}, {b})")),
            two.clone().prop_map(|(a, b)| format!("startsWith({a}, {b})")),
            two.prop_map(|(a, b)| format!("endsWith({a}, {b})")),
            (inner.clone(), primitive()).prop_map(|(a, b)| format!("contains({a}, {b})")),
            (inner.clone(), primitive()).prop_map(|(a, b)| format!("join({a}, {b})")),
            inner.clone().prop_map(|a| format!("toJSON({a})")),
            (any::<bool>(), inner.clone(), inner).prop_map(|(when, a, b)| format!("case({when}, {a}, {b})")),
        ]
    })
    .boxed()
}

/// The other's value as JSON, with the numbers that JSON lacks as text.
fn oracle_json(value: Evaluation) -> serde_json::Value {
    match value {
        Evaluation::Null => json!(null),
        Evaluation::Boolean(value) => json!(value),
        Evaluation::Number(number) => Value::Number(number).to_json(),
        Evaluation::String(text) => json!(text),
        Evaluation::Array(items) => items.into_iter().map(oracle_json).collect(),
        Evaluation::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, oracle_json(value))).collect()
        }
    }
}

fn value_of(text: &str) -> serde_json::Value {
    let expr = parse(text, &NAMES).expect("a constant is an expression");
    eval(&expr, &Contexts::new(), &NoHost).expect("a constant has a value").to_json()
}

proptest! {
    #[test]
    fn the_same_texts_are_expressions(text in nearly_an_expression()) {
        if known_difference(&text).is_none() {
            let found = parse(&text, &NAMES);
            prop_assert_eq!(found.is_ok(), Oracle::parse(&text).is_ok(), "{:?}: {:?}", text, found);
        }
    }

    #[test]
    fn constants_have_the_same_value(text in constant()) {
        // None also stands for what the other leaves alone, such as JSON of NaN.
        if let Some(value) = Oracle::parse(&text).unwrap().consteval() {
            prop_assert_eq!(value_of(&text), oracle_json(value), "{}", text);
        }
    }
}

#[test]
fn known_differences_in_syntax() {
    for text in ["", "toJSON(a,)", "format()", "a[* == 1]"] {
        assert!(known_difference(text).is_some());
        assert_ne!(parse(text, &NAMES).is_ok(), Oracle::parse(text).is_ok(), "{text:?}");
    }
}

#[test]
fn known_differences_in_values() {
    let check = |text: &str, ours: serde_json::Value| {
        assert_eq!(value_of(text), ours, "{text}");
        let theirs = Oracle::parse(text).unwrap().consteval().map(oracle_json);
        assert_ne!(theirs, Some(ours), "{text}");
    };
    // A collection has no text that could be contained.
    check("contains('an Array', fromJSON('[]'))", json!(false));
    // A separator that is a collection is none.
    check("join(fromJSON('[1, 2]'), fromJSON('[]'))", json!("1,2"));
    // Numbers have 15 digits and .NET's exponents.
    check("format('{0}', 1e21)", json!("1E+21"));
    check("format('{0}', 123456.7890123456)", json!("123456.789012346"));
    // Case is folded one code point at a time.
    check("'ß' == 'SS'", json!(false));
    // An argument that is not needed is not evaluated.
    check("false && fromJSON('bad')", json!(false));
}
