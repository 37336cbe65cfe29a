//! Decoding one id at a time, so that the pieces joined equal the decoding of all ids.

use crate::failure::Outcome;
use crate::tokenizer::{Decoding, Tokenizer};
use std::sync::Arc;

pub struct Stream {
    tokenizer: Arc<Tokenizer>,
    skip_special_tokens: bool,
    /// Decoding::Bytes: bytes of a character that is not complete yet, at most three.
    tail: Vec<u8>,
    /// Otherwise: the last id whose text is out (decoders treat the first token apart, so it goes before the others).
    anchor: Option<u32>,
    /// Ids whose text is not out yet.
    held: Vec<u32>,
}

fn is_byte_token(token: &str) -> bool {
    token.len() == 6 && token.starts_with("<0x") && token.ends_with('>') && u8::from_str_radix(&token[3..5], 16).is_ok()
}

impl Stream {
    pub fn new(tokenizer: Arc<Tokenizer>, skip_special_tokens: bool) -> Stream {
        Stream { tokenizer, skip_special_tokens, tail: Vec::new(), anchor: None, held: Vec::new() }
    }

    /// The text that is certain now.
    pub fn push(&mut self, id: u32) -> Outcome<String> {
        let Some(token) = self.tokenizer.visible_token(id, self.skip_special_tokens) else {
            return Ok(String::new());
        };
        match self.tokenizer.decoding() {
            Decoding::Bytes => {
                self.tail.extend(self.tokenizer.token_bytes(&token));
                Ok(self.take_complete())
            }
            // A byte that follows can make the whole run invalid, so a run goes out when it is over.
            Decoding::ByteFallback if is_byte_token(&token) => {
                self.held.push(id);
                Ok(String::new())
            }
            _ => {
                self.held.push(id);
                self.take_held(Some(id), false)
            }
        }
    }

    /// The rest, once no id follows.
    pub fn flush(&mut self) -> Outcome<String> {
        if !self.tail.is_empty() {
            self.tail.clear();
            return Ok(char::REPLACEMENT_CHARACTER.to_string());
        }
        let last = self.held.last().copied();
        self.take_held(last, true)
    }

    /// Splits `tail` as String::from_utf8_lossy would split all bytes so far.
    fn take_complete(&mut self) -> String {
        let mut text = String::new();
        let mut rest = self.tail.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                    rest = after;
                    let Some(bad) = error.error_len() else { break };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[bad..];
                }
            }
        }
        self.tail = rest.to_vec();
        text
    }

    /// The text of the held ids; nothing while it ends in a replacement character that later bytes may still mend.
    fn take_held(&mut self, new_anchor: Option<u32>, at_end: bool) -> Outcome<String> {
        if self.held.is_empty() {
            return Ok(String::new());
        }
        let before = match self.anchor {
            Some(anchor) => self.tokenizer.decode(&[anchor], self.skip_special_tokens)?,
            None => String::new(),
        };
        let ids: Vec<u32> = self.anchor.iter().chain(&self.held).copied().collect();
        let text = self.tokenizer.decode(&ids, self.skip_special_tokens)?;
        if !at_end && text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        self.anchor = new_anchor;
        self.held.clear();
        Ok(text.get(before.len()..).unwrap_or_default().to_string())
    }
}
