//! Actions.

use super::{Mapping, steps, text, token as token_of};
use crate::expr::Expr;
use crate::model::{Action, ActionInput, ActionOutput, ActionRuns};
use crate::template::{Token, TokenKind};

/// A condition of a hook that is the same as none.
const ALWAYS: &str = "always()";

/// An action as the mapping of a file.
pub(super) fn token(action: &Action) -> Token {
    let mut mapping = Mapping::default();
    mapping.put_text("name", action.name.as_deref());
    mapping.put_text("description", action.description.as_deref());
    let mut inputs = Mapping::default();
    action.inputs.iter().for_each(|(name, value)| inputs.put(name, input(value)));
    if !inputs.is_empty() {
        mapping.put("inputs", inputs.into_token());
    }
    let mut outputs = Mapping::default();
    action.outputs.iter().for_each(|(name, value)| outputs.put(name, output(value)));
    if !outputs.is_empty() {
        mapping.put("outputs", outputs.into_token());
    }
    mapping.put("runs", runs(&action.runs));
    mapping.into_token()
}

fn input(input: &ActionInput) -> Token {
    let mut mapping = Mapping::default();
    mapping.put_text("description", input.description.as_deref());
    mapping.put_true("required", input.required);
    mapping.put_some("default", input.default.as_ref());
    mapping.put_text("deprecationMessage", input.deprecation_message.as_deref());
    mapping.into_token()
}

fn output(output: &ActionOutput) -> Token {
    let mut mapping = Mapping::default();
    mapping.put_text("description", output.description.as_deref());
    mapping.put_some("value", output.value.as_ref());
    mapping.into_token()
}

fn runs(runs: &ActionRuns) -> Token {
    let mut mapping = Mapping::default();
    match runs {
        ActionRuns::Node { using, main, pre, pre_if, post, post_if } => {
            mapping.put("using", text(using));
            mapping.put("main", text(main));
            mapping.put_text("pre", pre.as_deref());
            put_hook(&mut mapping, "pre-if", pre_if);
            mapping.put_text("post", post.as_deref());
            put_hook(&mut mapping, "post-if", post_if);
        }
        ActionRuns::Composite { steps } => {
            mapping.put("using", text("composite"));
            mapping.put("steps", steps::steps(steps));
        }
        ActionRuns::Docker {
            image,
            entrypoint,
            pre_entrypoint,
            pre_if,
            post_entrypoint,
            post_if,
            args,
            env,
        } => {
            mapping.put("using", text("docker"));
            mapping.put("image", text(image));
            mapping.put_text("entrypoint", entrypoint.as_deref());
            mapping.put_text("pre-entrypoint", pre_entrypoint.as_deref());
            put_hook(&mut mapping, "pre-if", pre_if);
            mapping.put_text("post-entrypoint", post_entrypoint.as_deref());
            put_hook(&mut mapping, "post-if", post_if);
            if !args.is_empty() {
                mapping.put("args", token_of(TokenKind::Sequence(args.clone().into())));
            }
            mapping.put_some("env", env.as_ref());
        }
        ActionRuns::Plugin { plugin } => mapping.put("plugin", text(plugin)),
    }
    mapping.into_token()
}

fn put_hook(mapping: &mut Mapping, name: &str, condition: &Expr) {
    if condition.source() != ALWAYS {
        mapping.put(name, text(condition.source()));
    }
}
