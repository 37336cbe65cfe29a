// C interface of the Rust static library libgwq_text.a: tokenizers (Hugging Face) and chat templates (minijinja).
//
// Every function that can fail returns a GwqTextCode and, unless it is GWQ_TEXT_OK, puts a UTF-8 message into *error,
// which the caller frees with gwq_text_free. Outputs are written only on GWQ_TEXT_OK and are freed with the free
// function of their type. No panic crosses this interface: it becomes GWQ_TEXT_INTERNAL. Text is UTF-8 with a length
// and without a terminator; invalid UTF-8 is GWQ_TEXT_INVALID. Handles are never null after GWQ_TEXT_OK. A GwqTokenizer
// or GwqTemplate may be used by several threads at once; a GwqStream by one at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum GwqTextCode {
  GWQ_TEXT_OK = 0,
  GWQ_TEXT_INVALID = 1,   // the input is at fault
  GWQ_TEXT_LIMIT = 2,     // a limit was reached: fuel, bytes
  GWQ_TEXT_INTERNAL = 3,  // a panic was caught
} GwqTextCode;

typedef struct GwqText {
  char* data;
  size_t size;
} GwqText;

typedef struct GwqIds {
  uint32_t* data;
  size_t size;
} GwqIds;

typedef struct GwqTokenizer GwqTokenizer;
typedef struct GwqStream GwqStream;
typedef struct GwqTemplate GwqTemplate;

void gwq_text_free(GwqText text);
void gwq_ids_free(GwqIds ids);

// Reads a tokenizer.json. Truncation and padding that it may ask for are switched off.
int gwq_tokenizer_load(const char* json, size_t size, GwqTokenizer** out, GwqText* error);
void gwq_tokenizer_free(GwqTokenizer* tokenizer);
int gwq_tokenizer_encode(const GwqTokenizer* tokenizer, const char* text, size_t size, int add_special_tokens,
                         GwqIds* out, GwqText* error);
// Ids that name no token contribute nothing.
int gwq_tokenizer_decode(const GwqTokenizer* tokenizer, const uint32_t* ids, size_t count, int skip_special_tokens,
                         GwqText* out, GwqText* error);
// -1 if there is no such token.
int64_t gwq_tokenizer_token_to_id(const GwqTokenizer* tokenizer, const char* token, size_t size);
// 1 and *out, or 0 if the id names no token.
int gwq_tokenizer_id_to_token(const GwqTokenizer* tokenizer, uint32_t id, GwqText* out);
int gwq_tokenizer_is_special(const GwqTokenizer* tokenizer, uint32_t id);
// One more than the largest id, added tokens included.
uint32_t gwq_tokenizer_id_limit(const GwqTokenizer* tokenizer);

// Decodes ids one at a time. The pieces of push and flush, joined, equal gwq_tokenizer_decode of all ids. The stream
// keeps what it needs of the tokenizer, which may be freed first.
int gwq_stream_new(const GwqTokenizer* tokenizer, int skip_special_tokens, GwqStream** out, GwqText* error);
int gwq_stream_push(GwqStream* stream, uint32_t id, GwqText* out, GwqText* error);
int gwq_stream_flush(GwqStream* stream, GwqText* out, GwqText* error);
void gwq_stream_free(GwqStream* stream);

typedef struct GwqTemplateLimits {
  size_t max_source_bytes;  // of the template
  size_t max_output_bytes;  // of one rendering
  size_t max_work_bytes;    // all values made while rendering, added up
  uint64_t max_steps;       // instructions of one rendering
} GwqTemplateLimits;

int gwq_template_compile(const char* source, size_t size, const GwqTemplateLimits* limits, GwqTemplate** out,
                         GwqText* error);
// `context` is a JSON object: the variables the template sees. `now` is the time that strftime_now formats.
int gwq_template_render(const GwqTemplate* chat_template, const char* context, size_t size, const struct tm* now,
                        GwqText* out, GwqText* error);
void gwq_template_free(GwqTemplate* chat_template);

#ifdef __cplusplus
}  // extern "C"
#endif
