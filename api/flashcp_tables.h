// Rows of a plan's tables, as flashcp_plan_table hands them out: the structs of plan.fbs, which
// says what each table and field means, in C. Little-endian; positions and rows count from 0;
// ranges are half-open.

#ifndef FLASHCP_TABLES_H_
#define FLASHCP_TABLES_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Pairs of a query and a key that attend to each other: lower <= key - query <= upper, by position.
typedef struct flashcp_band {
  int32_t lower;  // INT32_MIN: no limit
  int32_t upper;  // INT32_MAX: no limit
} flashcp_band;

// "documents"
typedef struct flashcp_document_row {
  uint32_t length;  // tokens
  flashcp_band band;
} flashcp_document_row;

// "layout": tokens [begin, end) of a document, in the order of the rank's rows.
typedef struct flashcp_token_range {
  uint32_t document;
  uint32_t begin;
  uint32_t end;
} flashcp_token_range;

typedef enum flashcp_buffer_kind {
  FLASHCP_BUFFER_QUERY,
  FLASHCP_BUFFER_KEY,
  FLASHCP_BUFFER_VALUE,
  FLASHCP_BUFFER_OUTPUT,
  FLASHCP_BUFFER_LSE,
  FLASHCP_BUFFER_OUTPUT_GRADIENT,
  FLASHCP_BUFFER_QUERY_GRADIENT,
  FLASHCP_BUFFER_KEY_GRADIENT,
  FLASHCP_BUFFER_VALUE_GRADIENT,
  FLASHCP_BUFFER_REMOTE_KEY,
  FLASHCP_BUFFER_REMOTE_VALUE,
  FLASHCP_BUFFER_SAVED_KEY,
  FLASHCP_BUFFER_SAVED_VALUE,
  FLASHCP_BUFFER_ACCUMULATOR,
  FLASHCP_BUFFER_DELTA,
  FLASHCP_BUFFER_QUERY_SUM,
  FLASHCP_BUFFER_KEY_SUM,
  FLASHCP_BUFFER_VALUE_SUM,
  FLASHCP_BUFFER_REMOTE_KEY_SUM,
  FLASHCP_BUFFER_REMOTE_VALUE_SUM,
  FLASHCP_BUFFER_OUTGOING_KEY,
  FLASHCP_BUFFER_OUTGOING_VALUE,
  FLASHCP_BUFFER_INCOMING
} flashcp_buffer_kind;

// "buffers"
typedef struct flashcp_buffer {
  uint64_t offset;  // bytes from the start of its memory
  uint32_t rows;
  uint32_t heads;
  uint32_t dim;
  uint8_t kind;   // flashcp_buffer_kind
  uint8_t dtype;  // flashcp_dtype
  uint8_t places;
} flashcp_buffer;

// "slices": rows [begin, begin + count) of a buffer.
typedef struct flashcp_slice {
  uint32_t begin;
  uint32_t count;
} flashcp_slice;

// "parts": heads of the rows of slices [slice_begin, slice_end) of a buffer.
typedef struct flashcp_part {
  uint32_t buffer;
  uint32_t head_begin;
  uint32_t head_end;
  uint32_t slice_begin;
  uint32_t slice_end;
  uint8_t saved;  // 1: the receiver saves the rows for backward
} flashcp_part;

typedef enum flashcp_direction { FLASHCP_SEND, FLASHCP_RECEIVE } flashcp_direction;

// "messages"
typedef struct flashcp_message {
  uint64_t bytes;  // of the payload
  uint32_t peer;   // a rank
  uint32_t tag;
  uint32_t part_begin;
  uint32_t part_end;
  uint8_t direction;  // flashcp_direction
} flashcp_message;

// "tiles": a run of queries against a run of keys of one document.
typedef struct flashcp_tile {
  uint32_t document;
  uint32_t query_position;
  uint32_t query_count;
  uint32_t key_position;
  uint32_t key_count;
  flashcp_band band;
  uint32_t query_row;
  uint32_t key_row;
  uint32_t accumulator_row;
  uint32_t head_begin;  // query heads
  uint32_t head_end;
  uint16_t query_buffer;
  uint16_t key_buffer;
  uint16_t value_buffer;
  uint16_t output_buffer;
  uint16_t lse_buffer;
  uint16_t accumulator_buffer;
  uint8_t first;  // 1: the rows hold no partial result yet
  uint8_t last;   // 1: no tile follows for the rows
} flashcp_tile;

typedef enum flashcp_opcode {
  FLASHCP_EXCHANGE,
  FLASHCP_ATTEND,
  FLASHCP_CLEAR_GRADIENTS,
  FLASHCP_RESEND,
  FLASHCP_ATTEND_BACKWARD,
  FLASHCP_PACK_GRADIENTS,
  FLASHCP_EXCHANGE_GRADIENTS,
  FLASHCP_ADD_GRADIENTS,
  FLASHCP_STORE_GRADIENTS
} flashcp_opcode;

typedef enum flashcp_stream { FLASHCP_STREAM_COMPUTE, FLASHCP_STREAM_COMMUNICATION } flashcp_stream;

// "instructions", "backward_instructions": an operation on messages or tiles [begin, end).
typedef struct flashcp_instruction {
  uint32_t begin;
  uint32_t end;
  uint32_t wait_begin;  // of "waits", or "backward_waits"
  uint32_t wait_end;
  uint32_t stage;
  uint8_t opcode;  // flashcp_opcode
  uint8_t stream;  // flashcp_stream
} flashcp_instruction;

// "waits", "backward_waits": an instruction of the same program, `rounds` rounds before.
typedef struct flashcp_wait {
  uint32_t instruction;
  uint32_t rounds;
} flashcp_wait;

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // FLASHCP_TABLES_H_
