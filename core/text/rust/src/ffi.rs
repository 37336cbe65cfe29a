//! The exported functions: pointers in, codes out, no panic past this file.

use crate::failure::{Failure, Outcome};
use crate::stream::Stream;
use crate::template::{Limits, Template};
use crate::tokenizer::Tokenizer;
use std::ffi::{c_char, c_int, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

#[repr(C)]
pub struct Text {
    data: *mut c_char,
    size: usize,
}

#[repr(C)]
pub struct Ids {
    data: *mut u32,
    size: usize,
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        let bytes = Box::leak(text.into_bytes().into_boxed_slice());
        Text { data: bytes.as_mut_ptr().cast(), size: bytes.len() }
    }
}

impl From<Vec<u32>> for Ids {
    fn from(ids: Vec<u32>) -> Self {
        let ids = Box::leak(ids.into_boxed_slice());
        Ids { data: ids.as_mut_ptr(), size: ids.len() }
    }
}

/// The panic hook prints to standard error, which a service does not want from bad input; the message is in the result.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

fn run<T>(out: *mut T, error: *mut Text, body: impl FnOnce() -> Outcome<T>) -> c_int {
    quiet_panics();
    let (code, message) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => {
            // SAFETY: the caller passes a place for the result.
            unsafe { out.write(value) };
            return 0;
        }
        Ok(Err(Failure::Invalid(message))) => (1, message),
        Ok(Err(Failure::Limit(message))) => (2, message),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
            (3, text.unwrap_or_else(|| "panic without a message".into()))
        }
    };
    // SAFETY: the caller passes a place for the message.
    unsafe { error.write(message.into()) };
    code
}

/// For entries without an error to report: a panic becomes `fallback`.
fn run_or<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    quiet_panics();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// SAFETY: `data` points at `size` readable items, or size is 0.
unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        return &[];
    }
    std::slice::from_raw_parts(data, size)
}

unsafe fn text<'a>(data: *const c_char, size: usize) -> Outcome<&'a str> {
    std::str::from_utf8(slice(data.cast(), size))
        .map_err(|e| Failure::Invalid(format!("not valid UTF-8 at byte {}", e.valid_up_to())))
}

fn boxed<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_text_free(text: Text) {
    if !text.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(text.data.cast::<u8>(), text.size)));
    }
}

#[no_mangle]
pub unsafe extern "C" fn gwq_ids_free(ids: Ids) {
    if !ids.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(ids.data, ids.size)));
    }
}

#[no_mangle]
pub unsafe extern "C" fn gwq_tokenizer_load(
    json: *const c_char,
    size: usize,
    out: *mut *mut Arc<Tokenizer>,
    error: *mut Text,
) -> c_int {
    run(out, error, || Ok(boxed(Arc::new(Tokenizer::load(slice(json.cast(), size))?))))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_tokenizer_free(tokenizer: *mut Arc<Tokenizer>) {
    run_or((), || drop(Box::from_raw(tokenizer)))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_tokenizer_encode(
    tokenizer: *const Arc<Tokenizer>,
    data: *const c_char,
    size: usize,
    add_special_tokens: c_int,
    out: *mut Ids,
    error: *mut Text,
) -> c_int {
    run(out, error, || Ok((*tokenizer).encode(text(data, size)?, add_special_tokens != 0)?.into()))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_tokenizer_decode(
    tokenizer: *const Arc<Tokenizer>,
    ids: *const u32,
    count: usize,
    skip_special_tokens: c_int,
    out: *mut Text,
    error: *mut Text,
) -> c_int {
    run(out, error, || Ok((*tokenizer).decode(slice(ids, count), skip_special_tokens != 0)?.into()))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_tokenizer_token_to_id(
    tokenizer: *const Arc<Tokenizer>,
    token: *const c_char,
    size: usize,
) -> i64 {
    run_or(-1, || text(token, size).ok().and_then(|token| (*tokenizer).token_to_id(token)).map_or(-1, i64::from))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_tokenizer_id_to_token(tokenizer: *const Arc<Tokenizer>, id: u32, out: *mut Text) -> c_int {
    run_or(0, || match (*tokenizer).id_to_token(id) {
        Some(token) => {
            out.write(token.into());
            1
        }
        None => 0,
    })
}

#[no_mangle]
pub unsafe extern "C" fn gwq_tokenizer_is_special(tokenizer: *const Arc<Tokenizer>, id: u32) -> c_int {
    run_or(0, || c_int::from((*tokenizer).is_special(id)))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_tokenizer_id_limit(tokenizer: *const Arc<Tokenizer>) -> u32 {
    run_or(0, || (*tokenizer).id_limit())
}

#[no_mangle]
pub unsafe extern "C" fn gwq_stream_new(
    tokenizer: *const Arc<Tokenizer>,
    skip_special_tokens: c_int,
    out: *mut *mut Stream,
    error: *mut Text,
) -> c_int {
    run(out, error, || Ok(boxed(Stream::new((*tokenizer).clone(), skip_special_tokens != 0))))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_stream_push(stream: *mut Stream, id: u32, out: *mut Text, error: *mut Text) -> c_int {
    run(out, error, || Ok((*stream).push(id)?.into()))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_stream_flush(stream: *mut Stream, out: *mut Text, error: *mut Text) -> c_int {
    run(out, error, || Ok((*stream).flush()?.into()))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_stream_free(stream: *mut Stream) {
    run_or((), || drop(Box::from_raw(stream)))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_template_compile(
    source: *const c_char,
    size: usize,
    limits: *const Limits,
    out: *mut *mut Template,
    error: *mut Text,
) -> c_int {
    run(out, error, || Ok(boxed(Template::compile(text(source, size)?, *limits)?)))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_template_render(
    template: *const Template,
    context: *const c_char,
    size: usize,
    now: *const c_void,
    out: *mut Text,
    error: *mut Text,
) -> c_int {
    run(out, error, || Ok((*template).render(text(context, size)?, crate::python::Time(now))?.into()))
}

#[no_mangle]
pub unsafe extern "C" fn gwq_template_free(template: *mut Template) {
    run_or((), || drop(Box::from_raw(template)))
}
