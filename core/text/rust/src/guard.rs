//! Bounds what a template can spend. Fuel bounds the instructions; but one instruction can double a text, so fuel
//! alone does not bound memory. Compiled instructions are therefore rewritten: whatever makes a value is followed by
//! a check of its size, long literal text costs fuel by length, and namespaces cannot hold themselves (printing a
//! cycle would overflow the stack).

use crate::python::{failure, to_str};
use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, Value};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

// Names no template can spell.
const CHECK: &str = "%check";
const STORABLE: &str = "%storable";
const CONCAT: &str = "%concat";

const RAW_BYTES_PER_STEP: usize = 64;
const MAX_DEPTH: usize = 64;
const BYTES_PER_ITEM: usize = 16;

/// The memory one rendering may use, over all its values; atomics because filters must be Sync.
pub struct Budget {
    left: AtomicUsize,
    total: usize,
    spent: AtomicBool,
}

impl Budget {
    pub fn new(total: usize) -> Budget {
        Budget { left: AtomicUsize::new(total), total, spent: AtomicBool::new(false) }
    }

    /// The largest single value, a share of the whole: what a step makes before it is checked is a small multiple of
    /// this.
    pub fn max_value(&self) -> usize {
        self.total / 8
    }

    pub fn spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    fn refuse(&self, text: String) -> Error {
        self.spent.store(true, Ordering::Relaxed);
        failure(text)
    }

    pub fn charge(&self, bytes: usize) -> Result<(), Error> {
        let left = self.left.load(Ordering::Relaxed);
        if bytes > left {
            return Err(self.refuse(format!("the template makes more than {} bytes of values", self.total)));
        }
        self.left.store(left - bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses a value that would be too long when written out, or too deep.
    pub fn check(&self, value: &Value) -> Result<(), Error> {
        let mut size = 0;
        self.measure(value, 0, &mut size)
    }

    /// A lazy sequence as a list: lazy ones can be nested, and be long, without a step that is.
    fn collect(&self, value: Value) -> Result<Value, Error> {
        let mut items = Vec::new();
        for item in value.try_iter()? {
            self.charge(BYTES_PER_ITEM)?;
            items.push(item);
        }
        Ok(items.into())
    }

    fn measure(&self, value: &Value, depth: usize, size: &mut usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(self.refuse(format!("the template nests values deeper than {MAX_DEPTH}")));
        }
        match value.kind() {
            ValueKind::String => *size += value.as_str().map_or(0, str::len),
            ValueKind::Seq | ValueKind::Map => {
                self.charge(BYTES_PER_ITEM.saturating_mul(value.len().unwrap_or(0)))?;
                let is_map = value.kind() == ValueKind::Map;
                for item in value.try_iter()? {
                    *size += BYTES_PER_ITEM;
                    self.measure(&item, depth + 1, size)?;
                    if is_map {
                        self.measure(&value.get_item(&item)?, depth + 1, size)?;
                    }
                }
            }
            _ => *size += 1,
        }
        if *size > self.max_value() {
            return Err(self.refuse(format!("the template makes a value of more than {} bytes", self.max_value())));
        }
        Ok(())
    }
}

fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"))
}

fn holds_namespace(value: &Value) -> Result<bool, Error> {
    if is_namespace(value) {
        return Ok(true);
    }
    match value.kind() {
        ValueKind::Seq => value.try_iter()?.try_fold(false, |found, item| Ok(found || holds_namespace(&item)?)),
        ValueKind::Map => {
            value.try_iter()?.try_fold(false, |found, key| Ok(found || holds_namespace(&value.get_item(&key)?)?))
        }
        _ => Ok(false),
    }
}

/// Makes the instrumented instructions callable.
pub fn install(env: &mut Environment<'_>, budget: &Arc<Budget>) {
    let shared = budget.clone();
    env.add_filter(CHECK, move |value: Value| {
        let value = if value.kind() == ValueKind::Iterable { shared.collect(value)? } else { value };
        shared.check(&value)?;
        shared.charge(value.as_str().map_or(0, str::len))?;
        Ok::<Value, Error>(value)
    });
    env.add_filter(STORABLE, |value: Value| match holds_namespace(&value)? {
        true => Err(failure("a namespace cannot be stored in a namespace")),
        false => Ok(value),
    });
    let shared = budget.clone();
    env.add_function(CONCAT, move |left: Value, right: Value| {
        shared.check(&left)?;
        shared.check(&right)?;
        let text = to_str(&left)? + &to_str(&right)?;
        shared.charge(text.len())?;
        Ok::<String, Error>(text)
    });
}

fn check<'a>() -> Instruction<'a> {
    Instruction::ApplyFilter(CHECK, Some(1), !0)
}

/// What stands for one instruction; jumps still hold old targets, except those to `start` and behind, which are new.
fn expand<'a>(instruction: &Instruction<'a>, start: u32, out: &mut Vec<Instruction<'a>>) {
    use Instruction::*;
    match instruction {
        StringConcat => out.push(CallFunction(CONCAT, Some(2))),
        SetAttr(name) => out.extend([Swap, ApplyFilter(STORABLE, Some(1), !0), Swap, SetAttr(name)]),
        EmitRaw(text) => {
            let steps = (text.len() / RAW_BYTES_PER_STEP) as u32;
            out.extend((1..=steps).map(|step| Jump(start + step)));
            out.push(EmitRaw(text));
        }
        // The compiler has worked out operations on constants, whatever their size.
        LoadConst(value) if value.as_object().is_some() && !value.is_kwargs() => {
            out.extend([instruction.clone(), check()])
        }
        Add | Mul | Pow | Slice | ApplyFilter(..) | CallMethod(..) | CallFunction(..) | CallObject(..) | EndCapture
        | BuildList(_) | BuildTuple(_) | BuildMap(_) => out.extend([instruction.clone(), check()]),
        other => out.push(other.clone()),
    }
}

fn jump_target<'i>(instruction: &'i mut Instruction<'_>) -> Option<&'i mut u32> {
    use Instruction::*;
    match instruction {
        Iterate(to)
        | Jump(to)
        | JumpIfFalse(to)
        | JumpIfFalseOrPop(to)
        | JumpIfTrueOrPop(to)
        | BuildMacro(_, to, _) => Some(to),
        _ => None,
    }
}

/// The same program with the checks of this module.
pub fn instrument<'a>(old: Instructions<'a>) -> Instructions<'a> {
    let originals: Vec<&Instruction<'a>> = (0..).map_while(|i| old.get(i)).collect();
    let mut starts = Vec::with_capacity(originals.len() + 1);
    let mut blocks = Vec::with_capacity(originals.len());
    let mut next = 0u32;
    for original in &originals {
        starts.push(next);
        let mut block = Vec::with_capacity(2);
        expand(original, next, &mut block);
        next += block.len() as u32;
        blocks.push(block);
    }
    starts.push(next);
    let mut new = Instructions::new(old.name(), old.source());
    for (index, mut block) in blocks.into_iter().enumerate() {
        if block.len() == 1 {
            if let Some(target) = jump_target(&mut block[0]) {
                *target = starts.get(*target as usize).copied().unwrap_or(next);
            }
        }
        let line = old.get_line(index as u32).unwrap_or(0).min(usize::from(u16::MAX)) as u16;
        block.into_iter().for_each(|instruction| {
            new.add_with_line(instruction, line);
        });
    }
    new
}

fn text_argument<'v>(args: &'v [Value], index: usize, name: &str) -> Result<&'v str, Error> {
    args.get(index)
        .and_then(Value::as_str)
        .ok_or_else(|| failure(format!("{name}: argument {} is not a string", index + 1)))
}

/// text.replace(old, new[, count]), its length checked beforehand.
pub fn replace(text: &str, args: &[Value], budget: &Budget) -> Result<Value, Error> {
    let (from, to) = (text_argument(args, 0, "replace")?, text_argument(args, 1, "replace")?);
    let count = match args.get(2).filter(|value| !value.is_none()) {
        Some(value) => usize::try_from(i64::try_from(value.clone())?).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let found = text.matches(from).take(count).count();
    budget.charge((text.len() + found.saturating_mul(to.len())).saturating_sub(found * from.len()))?;
    Ok(text.replacen(from, to, found).into())
}

/// separator.join(str(item) for item in values), its length checked as it grows.
pub fn join(values: &Value, separator: &str, budget: &Budget) -> Result<Value, Error> {
    let mut text = String::new();
    for (index, item) in values.try_iter()?.enumerate() {
        budget.check(&item)?;
        let item = to_str(&item)?;
        let lead = if index > 0 { separator } else { "" };
        budget.charge(lead.len() + item.len())?;
        text.push_str(lead);
        text.push_str(&item);
    }
    Ok(text.into())
}

/// Jinja2's indent: the lines but the first (or with it) behind `width` blanks or behind a text.
pub fn indent(text: &str, width: Option<Value>, first: bool, blank: bool, budget: &Budget) -> Result<String, Error> {
    let lead = match width.filter(|value| !value.is_undefined()) {
        None => "    ".to_string(),
        Some(value) => match value.as_str() {
            Some(lead) => lead.to_string(),
            None => {
                let width = usize::try_from(value).unwrap_or(0);
                budget.charge(width)?;
                " ".repeat(width)
            }
        },
    };
    let lines = text.matches('\n').count() + 1;
    budget.charge(text.len() + lines.saturating_mul(lead.len()))?;
    let mut out = if first { lead.clone() } else { String::new() };
    for (index, line) in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate() {
        if index > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&lead);
            }
        }
        out.push_str(line);
    }
    Ok(out)
}
