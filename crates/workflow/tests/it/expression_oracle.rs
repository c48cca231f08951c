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

/// JSON whose numbers are written alike by both.
fn document() -> BoxedStrategy<serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(serde_json::Value::from),
        (-99_999_i32..99_999).prop_map(|number| json!(f64::from(number) / 100.0)),
        (0_i32..100).prop_map(serde_json::Value::from),
        "[ -~]{0,5}|[a-dA-D]{1,2}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let entries = proptest::collection::vec(("[a-z]{1,2}", inner.clone()), 0..2);
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(serde_json::Value::Array),
            entries.prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
    .boxed()
}

/// The call that gives the value of a document.
fn from_json(document: &serde_json::Value) -> String {
    format!("fromJSON('{}')", document.to_string().replace('\'', "''"))
}

/// An expression without contexts.
fn constant() -> BoxedStrategy<String> {
    expression(prop_oneof![4 => primitive(), 1 => document().prop_map(|json| from_json(&json))].boxed())
}

/// An expression of such leaves.
fn expression(leaf: BoxedStrategy<String>) -> BoxedStrategy<String> {
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
            (any::<bool>(), inner.clone(), inner.clone())
                .prop_map(|(when, a, b)| format!("case({when}, {a}, {b})")),
            (inner.clone(), any::<bool>(), inner)
                .prop_map(|(a, then, b)| format!("case({a} == {a}, {b}, {then}, {a}, {b})")),
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

/// The value of a context is the one that its JSON has, wherever in an expression it stands. The other implementation has
/// no contexts, so that it is given the JSON. Each use is a context of its own: a collection is equal to itself alone.
fn check_with_contexts(text: &str, documents: &[serde_json::Value]) {
    let (mut ours, mut theirs, mut contexts) = (String::new(), String::new(), Contexts::new());
    for (place, piece) in text.split("CONTEXT").enumerate() {
        if let Some(place) = place.checked_sub(1) {
            let document = &documents[place % documents.len()];
            let name = format!("c{place}");
            contexts.set(&name, Value::from_json(document));
            ours.push_str(&name);
            theirs.push_str(&from_json(document));
        }
        ours.push_str(piece);
        theirs.push_str(piece);
    }
    let expr = parse(&ours, &NAMES).expect("the text is an expression");
    let value = Oracle::parse(&theirs).expect("JSON in the place of contexts is an expression").consteval();
    if let (Ok(ours), Some(value)) = (eval(&expr, &contexts, &NoHost), value) {
        assert_eq!(ours.to_json(), oracle_json(value), "{theirs}");
    }
}

proptest! {
    #[test]
    fn contexts_have_the_value_of_their_json(
        text in expression(prop_oneof![4 => Just("CONTEXT".to_owned()), 1 => primitive()].boxed()),
        documents in proptest::collection::vec(document(), 1..4),
    ) {
        check_with_contexts(&text, &documents);
    }

    #[test]
    fn whatever_both_take_for_an_expression_has_the_same_value(text in nearly_an_expression()) {
        let (Ok(expr), Ok(theirs)) = (parse(&text, &NAMES), Oracle::parse(&text)) else { return Ok(()) };
        let ours = eval(&expr, &Contexts::new(), &NoHost);
        if let (Ok(ours), Some(theirs), None) = (ours, theirs.consteval(), known_difference(&text)) {
            prop_assert_eq!(ours.to_json(), oracle_json(theirs), "{:?}", text);
        }
    }

    #[test]
    fn constant_parts_have_the_same_value(text in constant(), other in constant()) {
        let whole = format!("(github.ref == {text}) || toJSON(github[{other}])");
        let theirs = Oracle::parse(&whole).unwrap();
        for (part, value) in theirs.consteval_subexprs() {
            let source = part.origin.raw;
            prop_assert_eq!(value_of(source), oracle_json(value), "{}", source);
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

/// An expression over the context `a`, an empty list, which the other implementation can only read anew.
fn check_one_value(text: &str, expected: serde_json::Value) {
    let expr = parse(text, &NAMES).expect("the text is an expression");
    let contexts = Contexts::new().with("a", Value::from_json(&json!([])));
    assert_eq!(eval(&expr, &contexts, &NoHost).expect("it has a value").to_json(), expected, "{text}");
    let theirs = text.replace('a', "fromJSON('[]')");
    let theirs = Oracle::parse(&theirs).expect("it is an expression");
    assert_ne!(theirs.consteval().map(oracle_json), Some(expected), "{text}");
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
    // A collection is equal to itself alone, but it is: here it is read twice.
    check_one_value("a == a", json!(true));
    // Case is folded one code point at a time.
    check("'ß' == 'SS'", json!(false));
    // An argument that is not needed is not evaluated.
    check("false && fromJSON('bad')", json!(false));
}
