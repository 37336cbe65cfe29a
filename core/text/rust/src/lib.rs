//! Tokenizers and chat templates behind the C interface of gwq_text.h, which is the contract.
//! ffi.rs turns results and panics into codes; everything else is safe Rust.

mod failure;
mod ffi;
mod guard;
mod python;
mod source;
mod stream;
mod template;
mod tokenizer;
