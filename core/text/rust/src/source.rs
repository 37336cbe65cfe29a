//! What a template's source may ask of the compiler. It works out operations on constants while compiling and follows
//! nested expressions by recursion, so both are bounded before it sees them.

use crate::python::failure;
use minijinja::machinery::{self, Token};
use minijinja::syntax::SyntaxConfig;
use minijinja::Error;

/// The longest chain `a.b.c…` or `a ~ b ~ c…` has half as many links; published templates stay below 300.
const MAX_TAG_TOKENS: usize = 2_000;
/// Nested `elif`s are nested for the compiler.
const MAX_BRANCHES: usize = 500;
/// Bytes that multiplications of constants may make, over the whole template.
const MAX_CONSTANT_BYTES: u64 = 64 << 20;

/// One `{{ … }}` or `{% … %}`.
#[derive(Default)]
struct Tag {
    tokens: usize,
    multiplies: bool,
    numbers: u64,
    literal_bytes: u64,
}

impl Tag {
    fn add(&mut self, token: &Token<'_>) {
        self.tokens += 1;
        match token {
            Token::Mul => self.multiplies = true,
            Token::Int(number) => self.numbers = self.numbers.max(1).saturating_mul((*number).max(1)),
            Token::Int128(_) => self.numbers = u64::MAX,
            Token::Str(text) => self.literal_bytes += text.len() as u64,
            Token::String(text) => self.literal_bytes += text.len() as u64,
            Token::BracketOpen | Token::ParenOpen => self.literal_bytes += 8,
            _ => {}
        }
    }

    /// At most what folding `*` makes of the literals.
    fn constant_bytes(&self) -> u64 {
        if self.multiplies {
            self.literal_bytes.saturating_mul(self.numbers)
        } else {
            0
        }
    }
}

pub fn check(source: &str, syntax: SyntaxConfig) -> Result<(), Error> {
    let mut tag = Tag::default();
    let (mut constants, mut branches) = (0u64, 0);
    for token in machinery::tokenize(source, false, syntax) {
        match token?.0 {
            Token::TemplateData(_) => {}
            Token::VariableStart | Token::BlockStart => tag = Tag::default(),
            Token::VariableEnd | Token::BlockEnd => constants = constants.saturating_add(tag.constant_bytes()),
            token => {
                branches += usize::from(tag.tokens == 0 && matches!(token, Token::Ident("elif")));
                tag.add(&token);
            }
        }
        if tag.tokens > MAX_TAG_TOKENS {
            return Err(failure(format!("a tag has more than {MAX_TAG_TOKENS} tokens")));
        }
        if branches > MAX_BRANCHES {
            return Err(failure(format!("the template has more than {MAX_BRANCHES} elif")));
        }
        if constants > MAX_CONSTANT_BYTES {
            return Err(failure("multiplied constants are too long"));
        }
    }
    Ok(())
}
