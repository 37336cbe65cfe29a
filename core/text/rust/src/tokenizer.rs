//! A Hugging Face tokenizer, read from tokenizer.json.

use crate::failure::{Failure, Outcome};
use std::collections::HashMap;
use tokenizers::decoders::DecoderWrapper;

/// How pieces of text follow from tokens, as far as decoding in pieces must know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoding {
    /// Each token is a run of bytes, written with GPT-2's characters.
    Bytes,
    /// Tokens <0xHH> stand for bytes; a run of them is decoded together.
    ByteFallback,
    /// Anything else.
    Other,
}

pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    decoding: Decoding,
    /// GPT-2's characters for bytes, the other way round; empty unless `decoding` is Bytes.
    byte_of_char: HashMap<char, u8>,
    id_limit: u32,
}

fn invalid(error: impl std::fmt::Display) -> Failure {
    Failure::Invalid(error.to_string())
}

fn mentions_byte_fallback(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteFallback(_) => true,
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().any(mentions_byte_fallback),
        _ => false,
    }
}

/// GPT-2 writes printable bytes as themselves and the others as the characters from U+0100 on, in order.
fn gpt2_bytes() -> HashMap<char, u8> {
    let mut shifted = 0;
    (0..=255u8)
        .map(|byte| {
            if matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) {
                return (char::from(byte), byte);
            }
            shifted += 1;
            (char::from_u32(0xFF + shifted).unwrap(), byte)
        })
        .collect()
}

impl Tokenizer {
    pub fn load(json: &[u8]) -> Outcome<Tokenizer> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(invalid)?;
        inner.with_truncation(None).map_err(invalid)?;
        inner.with_padding(None);
        let decoding = match inner.get_decoder() {
            Some(DecoderWrapper::ByteLevel(_)) => Decoding::Bytes,
            Some(decoder) if mentions_byte_fallback(decoder) => Decoding::ByteFallback,
            _ => Decoding::Other,
        };
        let byte_of_char = if decoding == Decoding::Bytes { gpt2_bytes() } else { HashMap::new() };
        let id_limit = inner.get_vocab(true).into_values().max().map_or(0, |id| id.saturating_add(1));
        if id_limit == 0 {
            return Err(Failure::Invalid("the vocabulary is empty".into()));
        }
        Ok(Tokenizer { inner, decoding, byte_of_char, id_limit })
    }

    pub fn decoding(&self) -> Decoding {
        self.decoding
    }

    pub fn id_limit(&self) -> u32 {
        self.id_limit
    }

    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Outcome<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, add_special_tokens).map_err(invalid)?;
        Ok(encoding.get_ids().to_vec())
    }

    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Outcome<String> {
        self.inner.decode(ids, skip_special_tokens).map_err(invalid)
    }

    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    pub fn is_special(&self, id: u32) -> bool {
        self.id_to_token(id).is_some_and(|token| self.inner.get_added_vocabulary().is_special_token(&token))
    }

    /// The token as decoding sees it; none where the id names no token or decoding leaves it out.
    pub fn visible_token(&self, id: u32, skip_special_tokens: bool) -> Option<String> {
        let added = self.inner.get_added_vocabulary();
        let token = added.simple_id_to_token(id).or_else(|| self.inner.id_to_token(id))?;
        (!skip_special_tokens || !added.is_special_token(&token)).then_some(token)
    }

    /// The bytes of a token where `decoding` is Bytes. A token with a character outside GPT-2's table is itself.
    pub fn token_bytes(&self, token: &str) -> Vec<u8> {
        let bytes: Option<Vec<u8>> = token.chars().map(|c| self.byte_of_char.get(&c).copied()).collect();
        bytes.unwrap_or_else(|| token.as_bytes().to_vec())
    }
}
