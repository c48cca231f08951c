//! `strategy`: a matrix becomes legs.
//!
//! The legs are the product of the vectors in the order of the keys, without those that `exclude` names; `include`
//! then adds values to legs whose own values it does not change, or adds whole legs. Entries of both name values in
//! part: every scalar in them must equal the leg's by the language's `==`, keys are found without regard to case.
//! Works on an evaluated strategy.

use crate::expr::{Object, Value};

/// The most legs that one job may have.
pub const MAX_LEGS: usize = 256;

/// The longest name of a leg, in characters; a longer one is cut and ends in dots.
const MAX_NAME: usize = 100;

/// An evaluated and expanded `strategy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// The legs in order; a single one, of null, where the job has no matrix.
    pub legs: Vec<Leg>,
    /// Whether a failed leg cancels the others.
    pub fail_fast: bool,
    /// How many legs may run at a time.
    pub max_parallel: Option<u32>,
}

/// One leg.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leg {
    /// The `matrix` context: an object, null without a matrix.
    pub matrix: Value,
    /// The texts that the leg's name has: its own scalars, without what `include` added to it.
    pub name_parts: Vec<String>,
}

impl Default for Strategy {
    /// That of a job without `strategy`.
    fn default() -> Self {
        Self { legs: vec![Leg::default()], fail_fast: true, max_parallel: None }
    }
}

impl Strategy {
    /// The `strategy` context of the leg with this index among `total`.
    #[must_use]
    pub fn context(fail_fast: bool, max_parallel: Option<u32>, index: usize, total: usize) -> Value {
        let number = |count: usize| Value::from(u32::try_from(count).unwrap_or(u32::MAX));
        let mut context = Object::new();
        context.insert("fail-fast", fail_fast);
        context.insert("job-index", number(index));
        context.insert("job-total", number(total));
        context.insert("max-parallel", max_parallel.map_or_else(|| number(total), Value::from));
        context.into()
    }
}

/// What is wrong with a strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// A part has the wrong shape.
    #[error("`{key}` must be {expected}, not {found}")]
    Shape {
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
        /// The kind of value that it is.
        found: &'static str,
    },
    /// A vector without values.
    #[error("matrix vector '{0}' does not contain any values")]
    EmptyVector(String),
    /// No vector and nothing included.
    #[error("matrix must define at least one vector")]
    NoVector,
    /// An entry of `include` without values.
    #[error("matrix include mapping does not contain any values")]
    EmptyInclude,
    /// `exclude` names what is no vector.
    #[error("matrix exclude key '{0}' does not match any key within the matrix")]
    ExcludeKey(String),
    /// An entry of `exclude` that names nothing.
    #[error("matrix exclude filter must not be empty")]
    EmptyExclude,
    /// More than [`MAX_LEGS`].
    #[error("the matrix has more than {MAX_LEGS} legs")]
    TooManyLegs,
}

fn shape(key: &str, expected: &'static str, value: &Value) -> MatrixError {
    MatrixError::Shape { key: key.to_owned(), expected, found: value.kind().name() }
}

/// Expands an evaluated `strategy`.
///
/// # Errors
/// When a part has the wrong shape, a vector is empty, or there are too many legs.
pub fn expand(strategy: &Value) -> Result<Strategy, MatrixError> {
    let strategy = match strategy {
        Value::Null => return Ok(Strategy::default()),
        Value::Object(strategy) => strategy,
        other => return Err(shape("strategy", "a mapping", other)),
    };
    Ok(Strategy {
        legs: strategy.get("matrix").map_or_else(|| Ok(vec![Leg::default()]), legs)?,
        fail_fast: strategy.get("fail-fast").map_or(Ok(true), fail_fast)?,
        max_parallel: strategy.get("max-parallel").map_or(Ok(None), max_parallel)?,
    })
}

fn fail_fast(value: &Value) -> Result<bool, MatrixError> {
    match value {
        Value::Null => Ok(true),
        Value::Bool(value) => Ok(*value),
        other => Err(shape("fail-fast", "a boolean", other)),
    }
}

/// 0 and less stand for no limit.
fn max_parallel(value: &Value) -> Result<Option<u32>, MatrixError> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) if !number.is_nan() => *number,
        other => return Err(shape("max-parallel", "a number", other)),
    };
    let limit = number.clamp(0.0, f64::from(u32::MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of u32"
    )]
    Ok(Some(limit as u32).filter(|limit| *limit > 0))
}

fn legs(matrix: &Value) -> Result<Vec<Leg>, MatrixError> {
    let matrix = match matrix {
        Value::Null => return Ok(vec![Leg::default()]),
        Value::Object(matrix) => matrix,
        other => return Err(shape("matrix", "a mapping", other)),
    };
    let special = |key: &str| key.eq_ignore_ascii_case("include") || key.eq_ignore_ascii_case("exclude");
    let vectors: Vec<(&str, &Value)> = matrix.iter().filter(|(key, _)| !special(key)).collect();
    let include = entries(matrix, "include")?;
    let exclude = entries(matrix, "exclude")?;
    if vectors.is_empty() && include.is_empty() {
        return Err(MatrixError::NoVector);
    }
    if include.iter().any(|entry| entry.is_empty()) {
        return Err(MatrixError::EmptyInclude);
    }
    check_exclude(&exclude, matrix)?;
    let mut own = if vectors.is_empty() { Vec::new() } else { product(&vectors)? };
    own.retain(|leg| {
        !exclude.iter().any(|entry| entry.iter().all(|(key, value)| meets(leg.get(key), value)))
    });
    let legs = include_entries(own, &include, &vectors);
    if legs.len() > MAX_LEGS { Err(MatrixError::TooManyLegs) } else { Ok(legs) }
}

fn check_exclude(exclude: &[&Object], matrix: &Object) -> Result<(), MatrixError> {
    if exclude.iter().any(|entry| entry.is_empty()) {
        return Err(MatrixError::EmptyExclude);
    }
    match exclude.iter().flat_map(|entry| entry.keys()).find(|key| !matrix.contains_key(key)) {
        Some(key) => Err(MatrixError::ExcludeKey(key.to_owned())),
        None => Ok(()),
    }
}

/// Whether every scalar of `wanted` is in `value` at its place.
fn meets(value: Option<&Value>, wanted: &Value) -> bool {
    match wanted {
        Value::Object(wanted) => {
            wanted.iter().all(|(key, wanted)| meets(value.and_then(|value| value.get(key)), wanted))
        }
        Value::Array(wanted) => {
            let items = value.and_then(Value::as_array).unwrap_or_default();
            wanted.iter().enumerate().all(|(place, wanted)| meets(items.get(place), wanted))
        }
        scalar => value.unwrap_or(&Value::Null).abstract_eq(scalar),
    }
}

/// The objects of `include` or `exclude`.
fn entries<'a>(matrix: &'a Object, key: &str) -> Result<Vec<&'a Object>, MatrixError> {
    let list = match matrix.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(shape(key, "a sequence", other)),
    };
    list.iter()
        .map(|entry| entry.as_object().ok_or_else(|| shape(key, "a sequence of mappings", entry)))
        .collect()
}

fn product(vectors: &[(&str, &Value)]) -> Result<Vec<Object>, MatrixError> {
    let mut legs = vec![Object::new()];
    for (key, vector) in vectors {
        let values = vector.as_array().ok_or_else(|| shape(key, "a sequence", vector))?;
        if values.is_empty() {
            return Err(MatrixError::EmptyVector((*key).to_owned()));
        }
        // Legs that `exclude` takes away still count here, so that the work stays bounded.
        if legs.len().saturating_mul(values.len()) > MAX_PRODUCT {
            return Err(MatrixError::TooManyLegs);
        }
        let with = |leg: &Object, value: &Value| {
            let mut leg = leg.clone();
            leg.insert(*key, value.clone());
            leg
        };
        legs = legs.iter().flat_map(|leg| values.iter().map(move |value| with(leg, value))).collect();
    }
    Ok(legs)
}

/// The largest product before `exclude`.
const MAX_PRODUCT: usize = MAX_LEGS * 64;

/// Adds each entry to the legs whose own values it names; one that fits nowhere becomes a leg.
fn include_entries(own: Vec<Object>, include: &[&Object], vectors: &[(&str, &Value)]) -> Vec<Leg> {
    let is_vector = |key: &str| vectors.iter().any(|(name, _)| name.eq_ignore_ascii_case(key));
    let mut extended = own.clone();
    let mut added: Vec<Object> = Vec::new();
    for entry in include {
        let (filter, extra): (Vec<_>, Vec<_>) = entry.iter().partition(|(key, _)| is_vector(key));
        let mut fits = false;
        for (own, leg) in own.iter().zip(&mut extended) {
            if filter.iter().all(|(key, value)| meets(own.get(key), value)) {
                fits = true;
                leg.extend(extra.iter().map(|(key, value)| (*key, (*value).clone())));
            }
        }
        if !fits {
            added.push(filter.into_iter().chain(extra).map(|(key, value)| (key, value.clone())).collect());
        }
    }
    let extended = own.iter().zip(extended).map(|(own, matrix)| leg(own, matrix));
    extended.chain(added.into_iter().map(|matrix| leg(&matrix.clone(), matrix))).collect()
}

fn leg(own: &Object, matrix: Object) -> Leg {
    let mut name_parts = Vec::new();
    own.values().for_each(|value| push_scalars(value, &mut name_parts));
    Leg { matrix: matrix.into(), name_parts }
}

/// The name of a leg: `base` alone without parts, else `base (v1, v2)`.
#[must_use]
pub fn leg_name(base: &str, parts: &[String]) -> String {
    if parts.is_empty() {
        return base.to_owned();
    }
    let name = format!("{base} ({})", parts.join(", "));
    if name.chars().count() <= MAX_NAME {
        return name;
    }
    name.chars().take(MAX_NAME - 3).chain("...".chars()).collect()
}

/// The scalars of a value, those of nested values too, in order; empty ones are left out.
fn push_scalars(value: &Value, segments: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| push_scalars(item, segments)),
        Value::Object(object) => object.values().for_each(|item| push_scalars(item, segments)),
        scalar => {
            let text = scalar.to_text();
            if !text.is_empty() {
                segments.push(text.into_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy as _, any, prop, proptest};

    use super::{MAX_LEGS, MatrixError, Strategy, expand, leg_name};
    use crate::expr::Value;

    fn value(json: &str) -> Value {
        Value::from_json(&serde_json::from_str(json).expect("a test's strategy is JSON"))
    }

    fn check(matrix: &str, legs: &str) {
        let strategy = expand(&value(&format!(r#"{{"matrix":{matrix}}}"#))).expect("the matrix is good");
        let found: Value = strategy.legs.into_iter().map(|leg| leg.matrix).collect();
        assert_eq!(found, value(legs), "{matrix}");
    }

    fn check_error(matrix: &str, expected: &MatrixError) {
        assert_eq!(expand(&value(&format!(r#"{{"matrix":{matrix}}}"#))).as_ref(), Err(expected), "{matrix}");
    }

    #[test]
    fn vectors_multiply_in_order() {
        check(
            r#"{"os":["a","b"],"v":[1,2]}"#,
            r#"[{"os":"a","v":1},{"os":"a","v":2},{"os":"b","v":1},{"os":"b","v":2}]"#,
        );
    }

    #[test]
    fn exclude_is_partial_and_deep() {
        check(
            r#"{"os":["a","b"],"v":[1,2],"exclude":[{"os":"a"}]}"#,
            r#"[{"os":"b","v":1},{"os":"b","v":2}]"#,
        );
        check(r#"{"c":[{"x":1},{"x":2}],"exclude":[{"c":{"x":1}}]}"#, r#"[{"c":{"x":2}}]"#);
        check(
            r#"{"c":[{"x":1,"y":{"z":"A"}},{"x":1,"y":{"z":"b"}}],"exclude":[{"C":{"y":{"z":"a"}}}]}"#,
            r#"[{"c":{"x":1,"y":{"z":"b"}}}]"#,
        );
        check(r#"{"v":[14,"",null,"16"],"exclude":[{"v":"14"},{"v":null}]}"#, r#"[{"v":"16"}]"#);
        check_error(r#"{"os":["a"],"exclude":[{"other":1}]}"#, &MatrixError::ExcludeKey("other".to_owned()));
        check_error(r#"{"os":["a"],"exclude":[{}]}"#, &MatrixError::EmptyExclude);
    }

    #[test]
    fn include_extends_or_adds() {
        check(
            r#"{"fruit":["apple","pear"],"animal":["cat","dog"],"include":[{"color":"green"},
               {"color":"pink","animal":"cat"},{"fruit":"apple","shape":"circle"},{"fruit":"banana"},
               {"fruit":"banana","animal":"cat"}]}"#,
            r#"[{"fruit":"apple","animal":"cat","color":"pink","shape":"circle"},
               {"fruit":"apple","animal":"dog","color":"green","shape":"circle"},
               {"fruit":"pear","animal":"cat","color":"pink"},
               {"fruit":"pear","animal":"dog","color":"green"},
               {"fruit":"banana"},{"fruit":"banana","animal":"cat"}]"#,
        );
        check(r#"{"include":[{"site":"a"},{"site":"b"}]}"#, r#"[{"site":"a"},{"site":"b"}]"#);
    }

    #[test]
    fn mistakes_are_named() {
        check_error("{}", &MatrixError::NoVector);
        check_error(r#"{"include":[]}"#, &MatrixError::NoVector);
        check_error(r#"{"v":[1],"include":[{}]}"#, &MatrixError::EmptyInclude);
        check_error(r#"{"v":[]}"#, &MatrixError::EmptyVector("v".to_owned()));
        let many = (0..=MAX_LEGS).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
        check_error(&format!(r#"{{"v":[{many}]}}"#), &MatrixError::TooManyLegs);
        assert!(matches!(expand(&value(r#"{"matrix":{"v":1}}"#)), Err(MatrixError::Shape { .. })));
    }

    #[test]
    fn strategies_have_defaults() {
        assert_eq!(expand(&Value::Null), Ok(Strategy::default()));
        let strategy =
            expand(&value(r#"{"fail-fast":false,"max-parallel":2}"#)).expect("the strategy is good");
        assert_eq!((strategy.fail_fast, strategy.max_parallel), (false, Some(2)));
        for text in [r#"{"fail-fast":"false"}"#, r#"{"max-parallel":"2"}"#] {
            assert!(matches!(expand(&value(text)), Err(MatrixError::Shape { .. })), "{text}");
        }
        let context = Strategy::context(true, None, 1, 3);
        assert_eq!(context, value(r#"{"fail-fast":true,"job-index":1,"job-total":3,"max-parallel":3}"#));
    }

    #[test]
    fn names_hold_the_scalars_of_the_vectors() {
        let names = |matrix: &str| {
            let strategy = expand(&value(&format!(r#"{{"matrix":{matrix}}}"#))).expect("the matrix is good");
            strategy.legs.iter().map(|leg| leg_name("test", &leg.name_parts)).collect::<Vec<_>>()
        };
        assert_eq!(leg_name("test", &[]), "test");
        assert_eq!(
            names(r#"{"v":[1.5],"on":[true],"none":[null],"c":[{"x":["a",""]}]}"#),
            ["test (1.5, true, a)"]
        );
        let include = r#"{"v":[1],"include":[{"v":1,"extra":"e"},{"more":"m","v":2}]}"#;
        assert_eq!(names(include), ["test (1)", "test (2, m)"]);
        let long = &names(&format!(r#"{{"v":["{}"]}}"#, "ä".repeat(200)))[0];
        assert_eq!(long.chars().count(), 100);
        assert!(long.ends_with("ä..."));
    }

    proptest! {
        #[test]
        fn products_have_the_product_of_the_sizes(
            sizes in prop::collection::vec(1usize..5, 1..4),
            fail_fast in any::<bool>().prop_map(Value::from),
        ) {
            let vector = |(index, size): (usize, &usize)| {
                (format!("k{index}"), (0..*size).map(|number| number.to_string()).collect::<Value>())
            };
            let matrix: crate::expr::Object = sizes.iter().enumerate().map(vector).collect();
            let strategy: crate::expr::Object =
                [("matrix", Value::from(matrix)), ("fail-fast", fail_fast)].into_iter().collect();
            let legs = expand(&strategy.into()).expect("the matrix is good").legs;
            assert_eq!(legs.len(), sizes.iter().product::<usize>());
        }
    }
}
