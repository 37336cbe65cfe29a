//! What templates written for Jinja2 expect of Python's values: str(), json.dumps, strip, strftime.

use minijinja::value::{Kwargs, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, Value};
use std::ffi::{c_char, c_void, CString};
use std::fmt::Write;

/// A `struct tm` of the caller that outlives the rendering; only strftime looks into it.
#[derive(Clone, Copy)]
pub struct Time(pub *const c_void);
// SAFETY: the caller's struct is only read, and only during the rendering that it was passed to.
unsafe impl Send for Time {}
unsafe impl Sync for Time {}

extern "C" {
    fn strftime(out: *mut c_char, max: usize, format: *const c_char, time: *const c_void) -> usize;
}

const MAX_TIME_BYTES: usize = 1024;
const MAX_JSON_SPACING: usize = 64;

pub fn failure(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}

/// datetime.strftime for formats whose result has at most MAX_TIME_BYTES - 1 bytes.
pub fn format_time(time: Time, format: &str) -> Result<String, Error> {
    if format.is_empty() {
        return Ok(String::new());
    }
    let format = CString::new(format).map_err(|_| failure("strftime_now: the format holds a zero byte"))?;
    let mut out = [0u8; MAX_TIME_BYTES];
    // SAFETY: both strings end in zero and strftime writes at most MAX_TIME_BYTES bytes.
    let size = unsafe { strftime(out.as_mut_ptr().cast(), MAX_TIME_BYTES, format.as_ptr(), time.0) };
    Ok(String::from_utf8_lossy(&out[..size]).into_owned())
}

/// str.isspace for one character: Unicode's white space and the four ASCII separators.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Python's shortest notation of a float.
fn float_text(number: f64, json: bool) -> String {
    if number.is_nan() {
        return if json { "NaN" } else { "nan" }.into();
    }
    if number.is_infinite() {
        let name = if json { "Infinity" } else { "inf" };
        return if number < 0.0 { format!("-{name}") } else { name.into() };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn quote(out: &mut String, text: &str) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == mark => out.extend(['\\', c]),
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(mark);
}

fn list(out: &mut String, value: &Value, ends: [&str; 2]) -> Result<(), Error> {
    out.push_str(ends[0]);
    for (i, item) in value.try_iter()?.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        repr_into(out, &item)?;
    }
    out.push_str(ends[1]);
    Ok(())
}

fn repr_into(out: &mut String, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String => quote(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq if value.downcast_object_ref::<Tuple>().is_some() => {
            let one = value.len() == Some(1);
            list(out, value, ["(", if one { ",)" } else { ")" }])?;
        }
        ValueKind::Seq => list(out, value, ["[", "]"])?,
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter()?.enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                repr_into(out, &key)?;
                out.push_str(": ");
                repr_into(out, &value.get_item(&key)?)?;
            }
            out.push('}');
        }
        _ => out.push_str(&to_str(value)?),
    }
    Ok(())
}

/// str(value).
pub fn to_str(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map => {
            let mut out = String::new();
            repr_into(&mut out, value)?;
            Ok(out)
        }
        ValueKind::Number if !value.is_integer() => {
            Ok(f64::try_from(value.clone()).map_or_else(|_| value.to_string(), |number| float_text(number, false)))
        }
        _ => Ok(value.to_string()),
    }
}

/// How json.dumps lays out: its arguments indent, separators and sort_keys.
struct JsonStyle {
    indent: Option<String>,
    item: String,
    key: String,
    sort: bool,
    ascii: bool,
    max_bytes: usize,
}

impl JsonStyle {
    fn new(kwargs: &Kwargs, max_bytes: usize) -> Result<JsonStyle, Error> {
        let indent: Option<Value> = kwargs.get("indent")?;
        let indent = match indent {
            Some(value) if value.is_none() || value.is_undefined() => None,
            Some(value) => Some(match value.as_str() {
                Some(text) => text.to_string(),
                None => " ".repeat(usize::try_from(value).unwrap_or(0).min(MAX_JSON_SPACING + 1)),
            }),
            None => None,
        };
        let separators: Option<Value> = kwargs.get("separators")?;
        let (mut item, mut key) = (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string());
        if let Some(pair) = separators.filter(|value| !value.is_none() && !value.is_undefined()) {
            item = to_str(&pair.get_item_by_index(0)?)?;
            key = to_str(&pair.get_item_by_index(1)?)?;
        }
        let sort = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
        let ascii = kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
        kwargs.assert_all_used()?;
        let longest = [&item, &key].into_iter().chain(&indent).map(String::len).max();
        if longest > Some(MAX_JSON_SPACING) {
            return Err(failure(format!("tojson: indent and separators have at most {MAX_JSON_SPACING} bytes")));
        }
        Ok(JsonStyle { indent, item, key, sort, ascii, max_bytes })
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str(indent));
        }
    }

    fn string(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ascii && (c as u32) > 0x7e) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }

    fn close(&self, out: &mut String, depth: usize, empty: bool, end: char) {
        if !empty {
            self.new_line(out, depth);
        }
        out.push(end);
    }

    fn value(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if out.len() > self.max_bytes {
            return Err(failure(format!("tojson: the text exceeds {} bytes", self.max_bytes)));
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
            ValueKind::Number => out.push_str(&float_text(f64::try_from(value.clone())?, true)),
            ValueKind::String => self.string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq => {
                out.push('[');
                for (i, item) in value.try_iter()?.enumerate() {
                    if i > 0 {
                        out.push_str(&self.item);
                    }
                    self.new_line(out, depth + 1);
                    self.value(out, &item, depth + 1)?;
                }
                self.close(out, depth, value.len() == Some(0), ']');
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort {
                    keys.sort();
                }
                out.push('{');
                for (i, key) in keys.iter().enumerate() {
                    if i > 0 {
                        out.push_str(&self.item);
                    }
                    self.new_line(out, depth + 1);
                    self.string(out, &to_str(key)?);
                    out.push_str(&self.key);
                    self.value(out, &value.get_item(key)?, depth + 1)?;
                }
                self.close(out, depth, keys.is_empty(), '}');
            }
            kind => return Err(failure(format!("tojson: a value of kind {kind} is not JSON serializable"))),
        }
        Ok(())
    }
}

/// json.dumps(value, ensure_ascii=False, indent=…, separators=…, sort_keys=…), as transformers defines the filter.
/// At most about `max_bytes` long.
pub fn to_json(value: &Value, kwargs: &Kwargs, max_bytes: usize) -> Result<String, Error> {
    let mut out = String::new();
    JsonStyle::new(kwargs, max_bytes)?.value(&mut out, value, 0)?;
    Ok(out)
}
