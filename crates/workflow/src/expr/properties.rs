//! Properties of the parser and the evaluator for any input.

use super::text::{parse_each, parse_key};
use super::{Contexts, Expr, Names, NoHost, StatusFunctions, Value, eval, parse, to_condition};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

/// Text made of the pieces that expressions are made of, so that much of it is nearly one.
fn nearly_an_expression() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("github"),
        Just("a"),
        Just("."),
        Just("*"),
        Just("["),
        Just("]"),
        Just("("),
        Just(")"),
        Just(","),
        Just("!"),
        Just("=="),
        Just("!="),
        Just("<"),
        Just(">="),
        Just("&&"),
        Just("||"),
        Just(" "),
        Just("\n"),
        Just("'x'"),
        Just("'it''s'"),
        Just("'"),
        Just("0"),
        Just("-1.5e3"),
        Just("0xff"),
        Just("null"),
        Just("true"),
        Just("NaN"),
        Just("Infinity"),
        Just("format"),
        Just("toJSON"),
        Just("success"),
        Just("contains"),
        Just("case"),
        Just("ü"),
        Just("😀"),
        Just("${{"),
        Just("}}"),
        Just("insert"),
        Just("{0}"),
    ];
    proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

/// Text of an expression that parses.
fn an_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("NaN".to_owned()),
        (-1000_i32..1000).prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("literals have no sign of infinity", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        "[ -~ü😀]{0,6}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
        Just("'{0} {1}'".to_owned()),
        Just("'[1, {\"a\": null}]'".to_owned()),
        "(a|b|list|deep)(\\.[a-c]|\\[0\\]|\\.\\*|\\['a b'\\]){0,3}".prop_map(|text| text),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            (two.clone(), prop_oneof![Just("=="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")])
                .prop_map(|((a, b), operator)| format!("({a}) {operator} ({b})")),
            two.clone().prop_map(|(a, b)| format!("{a} && ({b})")),
            two.clone().prop_map(|(a, b)| format!("({a} || {b})")),
            (
                two.clone(),
                prop_oneof![
                    Just("contains"),
                    Just("startsWith"),
                    Just("endsWith"),
                    Just("join"),
                    Just("format")
                ]
            )
                .prop_map(|((a, b), function)| format!("{function}({a}, {b})")),
            (inner.clone(), prop_oneof![Just("toJSON"), Just("fromJSON")])
                .prop_map(|(a, function)| format!("{function}({a})")),
            (two.clone(), inner.clone()).prop_map(|((a, b), c)| format!("case({a}, {b}, {c})")),
            two.prop_map(|(a, b)| format!("({a})[{b}].x.*")),
        ]
    })
}

/// All of a tree, the places of its nodes included.
fn tree(expr: &Expr) -> String {
    format!("{:?} {:?}", expr.tree.nodes, expr.tree.operands)
}

fn contexts() -> Contexts {
    let deep =
        Value::from_json(&serde_json::json!({"a": {"b": [1, "x", {"c": null}]}, "b": "0", "c": [[], {}]}));
    Contexts::new()
        .with("a", "text")
        .with("b", 2.5)
        .with("list", vec![deep.clone(), "y".into()])
        .with("deep", deep)
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in "\\PC{0,60}|(?s).{0,60}") {
        let _ = parse(&text, &Names::any());
        let _ = parse_key(&text, &Names::any());
    }

    #[test]
    fn any_json_is_read_alike_by_the_relaxed_reader(text in "[\\[\\]{}:,'\"a0-9.eE/*\\\\u \n-]{0,24}") {
        let strict: Result<Value, _> = serde_json::from_str(&text);
        let relaxed = super::relaxed_json::read(&text);
        if let Ok(value) = strict {
            prop_assert_eq!(relaxed, Some(value));
        }
    }

    #[test]
    fn nearly_expressions_give_a_value_or_an_error(text in nearly_an_expression()) {
        if let Ok(expr) = parse(&text, &Names::any()) {
            let _ = eval(&expr, &contexts(), &NoHost);
            prop_assert!(expr.contexts().count() <= expr.nodes().len());
        }
        let _ = to_condition(&text, &Names::any());
        for each in parse_each(&text, &Names::any()) {
            match each {
                Ok((range, expr)) => prop_assert_eq!(&text[range], expr.source()),
                Err(error) => prop_assert!(text.is_char_boundary(error.offset.unwrap_or(0))),
            }
        }
    }

    #[test]
    fn an_expression_is_the_one_that_it_is_written_back_as(text in an_expression()) {
        let expr = parse(&text, &Names::any()).unwrap();
        let written = expr.root().unwrap().to_string();
        let again = parse(&written, &Names::any()).unwrap();
        prop_assert_eq!(&again.root().unwrap().to_string(), &written);
    }

    #[test]
    fn evaluation_gives_the_same_again(text in an_expression()) {
        let expr = parse(&text, &Names::any()).unwrap();
        let json = |result: Result<Value, _>| result.map(|value| value.to_json());
        prop_assert_eq!(json(eval(&expr, &contexts(), &NoHost)), json(eval(&expr, &contexts(), &NoHost)));
    }

    #[test]
    fn text_around_an_expression_is_kept(before in "[ -~ü]{0,8}", after in "[ -~ü]{0,8}") {
        let text = format!("{before}${{{{ a }}}}{after}x");
        if before.contains("${") || after.contains("${") {
            return Ok(());
        }
        let super::text::Text::Expression(expr) = parse_key(&text, &Names::any()).unwrap() else {
            return Err(proptest::test_runner::TestCaseError::fail("a mixed text is an expression"));
        };
        let value = eval(&expr, &contexts(), &NoHost).unwrap();
        prop_assert_eq!(value, Value::from(format!("{before}text{after}x")));
    }

    #[test]
    fn what_texts_and_conditions_stand_for_has_the_tree_of_its_source(
        nearly in nearly_an_expression(),
        one in an_expression(),
        other in an_expression(),
        between in "['{}a-c ]{0,6}",
    ) {
        let names = Names::of(&["github", "a", "b", "list"]).with_status(StatusFunctions::Step);
        for text in [nearly.clone(), format!("${{{{ {one} }}}}{between}"), format!("{between}${{{{{one}}}}}${{{{ {other} }}}}{nearly}")] {
            if let Ok(super::text::Text::Expression(expr)) = parse_key(&text, &names) {
                prop_assert_eq!(tree(&expr), tree(&parse(expr.source(), &names).unwrap()));
            }
        }
        for text in [nearly, one] {
            if let Ok(expr) = to_condition(&text, &names) {
                prop_assert_eq!(tree(&expr), tree(&parse(expr.source(), &names).unwrap()));
                let plain = parse(text.trim(), &names);
                let is_text = super::text::has_expression(&text);
                prop_assert!(is_text || plain.is_ok_and(|plain| expr.source().contains(plain.source())));
            }
        }
    }
}
