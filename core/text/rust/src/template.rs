//! Chat templates as transformers renders them: Jinja2 with trim_blocks and lstrip_blocks, Python's methods on
//! values, tojson without HTML escapes, raise_exception, strftime_now, break and continue, and the generation block
//! as its content.

use crate::failure::{Failure, Outcome};
use crate::guard::{self, Budget};
use crate::python::{self, failure, Time};
use minijinja::machinery::{self, CodeGenerator, Instructions};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// GwqTemplateLimits of gwq_text.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limits {
    pub max_source_bytes: usize,
    pub max_output_bytes: usize,
    pub max_work_bytes: usize,
    pub max_steps: u64,
}

pub struct Template {
    source: String,
    limits: Limits,
}

/// Template code is compiled anew for each rendering: a fraction of a millisecond, and it may then borrow from the
/// rendering.
fn compile(source: &str) -> Result<(Instructions<'_>, BTreeMap<&str, Instructions<'_>>), Error> {
    let mut syntax = SyntaxConfig::builder();
    let syntax = syntax.trim_blocks(true).lstrip_blocks(true).build()?;
    crate::source::check(source, syntax.clone())?;
    let parsed = machinery::parse(source, "chat_template", syntax)?;
    let mut generator = CodeGenerator::new("chat_template", source);
    generator.compile_stmt(&parsed);
    let (main, blocks) = generator.finish();
    Ok((guard::instrument(main), blocks.into_iter().map(|(name, code)| (name, guard::instrument(code))).collect()))
}

/// `{% generation %}` marks what an assistant wrote, for training; rendering keeps its content.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let body = &tag[2..end];
        let name = body.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        let replacement = match name {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        match replacement {
            Some(text) => out.push_str(&format!("{{%{}%}}", body.replacen(name, text, 1))),
            None => out.push_str(&tag[..end + 2]),
        }
        rest = &tag[end + 2..];
    }
    out.push_str(rest);
    out
}

fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn trim(value: &str, chars: Option<&str>, left: bool, right: bool) -> String {
    let drop = |c: char| chars.map_or_else(|| python::is_space(c), |chars| chars.contains(c));
    let value = if left { value.trim_start_matches(drop) } else { value };
    let value = if right { value.trim_end_matches(drop) } else { value };
    value.to_string()
}

/// Methods of Python's str that minijinja-contrib lacks or that follow Python's white space.
fn str_method(text: &str, method: &str, args: &[Value], budget: &Budget) -> Option<Result<Value, Error>> {
    let first = args.first();
    let chars = first.and_then(Value::as_str);
    let known = first.is_none_or(|value| value.is_none() || chars.is_some());
    Some(Ok(match (method, args.len()) {
        ("strip", 0 | 1) if known => trim(text, chars, true, true).into(),
        ("lstrip", 0 | 1) if known => trim(text, chars, true, false).into(),
        ("rstrip", 0 | 1) if known => trim(text, chars, false, true).into(),
        ("removeprefix", 1) if known => text.strip_prefix(chars?).unwrap_or(text).into(),
        ("removesuffix", 1) if known => text.strip_suffix(chars?).unwrap_or(text).into(),
        ("isspace", 0) => (!text.is_empty() && text.chars().all(python::is_space)).into(),
        ("replace", 2 | 3) => return Some(guard::replace(text, args, budget)),
        ("join", 1) => return Some(guard::join(&args[0], text, budget)),
        ("format", _) => return Some(Err(failure("str.format is not supported in chat templates"))),
        _ => return None,
    }))
}

fn add_filters(env: &mut Environment<'_>, budget: &Arc<Budget>) {
    // These can make a long text out of short ones in one step, and chat templates have no use for them.
    for name in ["batch", "slice", "format", "pprint", "urlencode", "lines", "chain", "zip"] {
        env.remove_filter(name);
    }
    env.remove_global("debug");
    let shared = budget.clone();
    env.add_filter("tojson", move |value: Value, kwargs: Kwargs| python::to_json(&value, &kwargs, shared.max_value()));
    env.add_filter("string", |value: Value| python::to_str(&value));
    env.add_filter("trim", |value: Value, chars: Option<String>| {
        python::to_str(&value).map(|text| trim(&text, chars.as_deref(), true, true))
    });
    let shared = budget.clone();
    env.add_filter("replace", move |value: Value, args: Rest<Value>| {
        guard::replace(&python::to_str(&value)?, &args, &shared)
    });
    let shared = budget.clone();
    env.add_filter("join", move |value: Value, separator: Option<String>, kwargs: Kwargs| {
        let attribute: Option<String> = kwargs.get("attribute")?;
        kwargs.assert_all_used()?;
        let value = match attribute {
            Some(name) => value.try_iter()?.map(|item| item.get_attr(&name)).collect::<Result<Value, Error>>()?,
            None => value,
        };
        guard::join(&value, separator.as_deref().unwrap_or_default(), &shared)
    });
    let shared = budget.clone();
    env.add_filter(
        "indent",
        move |text: String, width: Option<Value>, first: Option<bool>, blank: Option<bool>, kwargs: Kwargs| {
            let width = width.or(kwargs.get("width")?);
            let first = first.or(kwargs.get("first")?).unwrap_or(false);
            let blank = blank.or(kwargs.get("blank")?).unwrap_or(false);
            kwargs.assert_all_used()?;
            guard::indent(&text, width, first, blank, &shared)
        },
    );
}

fn add_functions(env: &mut Environment<'_>, budget: &Arc<Budget>, now: Time) {
    env.add_function("raise_exception", |message: Value| -> Result<Value, Error> {
        Err(failure(format!("the template refuses: {}", python::to_str(&message)?)))
    });
    env.add_function("strftime_now", move |format: String| python::format_time(now, &format));
    let shared = budget.clone();
    env.set_unknown_method_callback(move |state: &mut State, value, method, args| {
        if let Some(result) = value.as_str().and_then(|text| str_method(text, method, args, &shared)) {
            return result;
        }
        minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
    });
    let shared = budget.clone();
    env.set_formatter(move |out, _state, value| {
        shared.check(value)?;
        let text = python::to_str(value)?;
        shared.charge(text.len())?;
        out.write_str(&text).map_err(Error::from)
    });
}

impl Template {
    pub fn compile(source: &str, limits: Limits) -> Outcome<Template> {
        if source.len() > limits.max_source_bytes {
            return Err(Failure::Limit(format!(
                "the template has {} bytes, the limit is {}",
                source.len(),
                limits.max_source_bytes
            )));
        }
        let source = without_generation_tags(source);
        compile(&source).map_err(|e| Failure::Invalid(describe(&e)))?;
        Ok(Template { source, limits })
    }

    pub fn render(&self, context: &str, now: Time) -> Outcome<String> {
        let context: serde_json::Value =
            serde_json::from_str(context).map_err(|e| Failure::Invalid(format!("context: {e}")))?;
        let budget = Arc::new(Budget::new(self.limits.max_work_bytes));
        let (instructions, blocks) = compile(&self.source).map_err(|e| Failure::Invalid(describe(&e)))?;
        let mut env = Environment::new();
        env.set_fuel(Some(self.limits.max_steps));
        add_filters(&mut env, &budget);
        add_functions(&mut env, &budget, now);
        guard::install(&mut env, &budget);
        let mut text = String::new();
        let mut out = machinery::make_string_output(&mut text);
        let context = Value::from(Serde(&context));
        match machinery::eval(&env, &instructions, context, &blocks, &mut out, AutoEscape::None) {
            Ok(_) if text.len() > self.limits.max_output_bytes => Err(Failure::Limit(format!(
                "the rendered text has {} bytes, the limit is {}",
                text.len(),
                self.limits.max_output_bytes
            ))),
            Ok(_) => Ok(text),
            Err(error) if error.kind() == ErrorKind::OutOfFuel => Err(Failure::Limit(format!(
                "the template took more than {} steps; it may not end, or the conversation is too long for it",
                self.limits.max_steps
            ))),
            Err(error) if budget.spent() => Err(Failure::Limit(describe(&error))),
            Err(error) => Err(Failure::Invalid(describe(&error))),
        }
    }
}
