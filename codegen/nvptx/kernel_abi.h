// What the host hands to the generated GPU kernels: tables of plain data, made once, that name memory
// as a buffer and a row, and a small block of bindings that says where buffers are now.
//
// A launch takes one table of items. An item is what one CTA computes at a time; CTAs take items in
// the order of the table from a counter in global memory, so that any number of them, whatever else
// runs on the GPU, does the work, and what an item waits for is always an item before it. Items do not
// depend on addresses: a step with new tensors rewrites the bindings alone.
//
// Rows of attention are packed: row r of a block is token r / group, query head r % group of the heads
// that share one K/V head, so that short documents fill blocks. A block of R rows holds
// R / group tokens, rounded down; rows past the last whole token are computed and never stored.
//
// Everything is little-endian and naturally aligned. The generator reads the same structs by offset.

#ifndef FLASHCP_CODEGEN_NVPTX_KERNEL_ABI_H_
#define FLASHCP_CODEGEN_NVPTX_KERNEL_ABI_H_

#include <cstdint>

namespace flashcp::gpu {

// Where a buffer of a rank lies during a launch: `base` shows the first head that the launch computes,
// a row starts `row_bytes` after the one before it.
struct Binding {
  uint64_t base;
  uint64_t row_bytes;
};

// A descriptor of a tensor for TMA, as cuTensorMapEncodeTiled writes it. The bindings of a launch
// include an array of them, one for each pair of a buffer and a box that some tile names: dims
// (dim, heads, rows of the buffer), the box 64 columns of `group` heads of R / group rows (queries) or
// of one head of as many rows as the kernel's key block (keys and values), swizzle 128B. Rows past the
// end of a tile are rows of its neighbours; kernels discard them.
struct alignas(64) TensorMap {
  uint64_t opaque[16];
};

struct BufferRow {
  uint32_t buffer;
  uint32_t row;
};

// Query rows against keys, all heads. Row r of the tile (a token) sees keys [r + low, r + high) of the
// tile's, of which there are [0, key_count); low and high lie in [-2^30, 2^30].
struct ForwardTile {
  BufferRow query;
  BufferRow key;
  BufferRow value;
  BufferRow output;       // written if kLast
  BufferRow lse;          // f32, [row][heads of a row]
  BufferRow accumulator;  // f32, [row][heads][value dim]; read unless kFirst, written unless kLast
  int32_t query_count;
  int32_t key_count;
  int32_t low;
  int32_t high;
  uint16_t query_map;  // tensor maps of query, key, value
  uint16_t key_map;
  uint16_t value_map;
  uint16_t flags;

  static constexpr uint16_t kFirst = 1;  // rows hold no partial result yet
  static constexpr uint16_t kLast = 2;   // the result goes to `output`, rounded
};
static_assert(sizeof(ForwardTile) == 72);

// A block of query rows against a chain of tiles, whose rows, outputs and counts are the same; O stays
// in registers from the first tile of the chain to its last. kFirst counts in the first, kLast in the
// last.
struct ForwardItem {
  uint32_t tile_begin;
  uint32_t tile_end;
  uint32_t token;       // first one of the block, as the tiles count
  uint16_t head_begin;  // query heads, all of one K/V head; others of the group are not stored
  uint16_t head_end;
};
static_assert(sizeof(ForwardItem) == 16);

// Likewise for the backward pass. Gradients are f32 and added to. `lse` -inf: the row has no weights.
struct BackwardTile {
  BufferRow query;
  BufferRow key;
  BufferRow value;
  BufferRow output_gradient;
  BufferRow lse;             // f32, [row][heads of a row]
  BufferRow delta;           // f32, [row][heads]: row sums of output * output_gradient
  BufferRow query_gradient;  // f32, [row][heads][dim]
  BufferRow key_gradient;    // f32, [row][K/V heads][dim]
  BufferRow value_gradient;  // f32, [row][K/V heads][value dim]
  int32_t query_count;
  int32_t key_count;
  int32_t low;
  int32_t high;
  uint16_t query_map;
  uint16_t key_map;
  uint16_t value_map;
  uint16_t output_gradient_map;
  // The order in which items add to dQ. Block b of the queries is tokens [q0, q1), q0 = b * T, q1 =
  // min(q0 + T, query_count), T = R / group; block j of the keys is [k0, k1). The item of key block j
  // adds to block b if q0 + low < k1 and q1 - 1 + high > k0, and to no other block. Its turn is
  // turns[first_turn + b].before + j - max(q0 + low, 0) / keys of a block. The counter of K/V head h
  // is counters[first_counter + h * blocks + b]: it counts the items that have added, and the item
  // whose add is the last of turns[first_turn + b].count sets it to 0 again.
  uint32_t first_turn;
  uint32_t first_counter;
};
static_assert(sizeof(BackwardTile) == 104);

// A block of keys of one K/V head against all query rows of a chain of tiles, whose keys are the same;
// dK and dV stay in registers from the first tile to the last. Both are added to memory once.
struct BackwardItem {
  uint32_t tile_begin;
  uint32_t tile_end;
  uint32_t key;         // first one of the block, as the tiles count
  uint16_t head_begin;  // query heads, all of one K/V head; others of the group add nothing
  uint16_t head_end;
};
static_assert(sizeof(BackwardItem) == 16);

// One row of turns, by (tile, block of query rows): items before this tile's, and items in all.
struct Turn {
  uint32_t before;
  uint32_t count;
};

// A byte of a buffer.
struct BufferByte {
  uint64_t offset;
  uint32_t buffer;
  uint32_t unused;
};

// Rows of `count` elements, read here and written there (kernels/Moves). Unlike the tables above, their
// strides are their own: messages lie row after row.
struct Move {
  BufferByte source;
  BufferByte target;
  uint64_t source_stride;  // bytes from a row to the next
  uint64_t target_stride;
  uint32_t count;  // elements of a row
  uint32_t rows;
  uint64_t unused;
};
static_assert(sizeof(Move) == 64);

// Rows [row_begin, row_end) of moves [move_begin, move_end), as far as each has them, one move after
// another: moves that add to the same rows are in one item, in their order. They have fewer than 2^31
// elements of each move.
struct MoveItem {
  uint32_t move_begin;
  uint32_t move_end;
  uint32_t row_begin;
  uint32_t row_end;
};

// Floats [begin, begin + count) of a buffer that become 0. As many items as the launch has CTAs or
// more; an item is a slice of at most a few thousand floats.
struct ClearItem {
  BufferByte begin;
  uint64_t count;
  uint64_t unused;
};
static_assert(sizeof(ClearItem) == 32);

// Rows [row_begin, row_end) of O and dO, whose sums of products over each head go to `sums`
// (f32, [row][heads]).
struct ProductItem {
  uint32_t output;  // buffers
  uint32_t output_gradient;
  uint32_t sums;
  uint32_t row_begin;
  uint32_t row_end;
  uint32_t unused[3];
};
static_assert(sizeof(ProductItem) == 32);

// A partial result, normalised, that is merged by LSE into another one, or into the output. A row
// with LSE -inf saw no key: what else it holds is not read.
struct MergeItem {
  BufferRow partial;      // f32, [row][heads][value dim]
  BufferRow partial_lse;  // f32, [row][heads of a row]
  BufferRow accumulator;  // like partial; read unless kFirst, written unless kLast
  BufferRow lse;          // like partial_lse; read unless kFirst, always written
  BufferRow output;       // elements, written if kLast
  uint32_t rows;
  uint16_t head_begin;
  uint16_t head_end;
  uint32_t flags;  // ForwardTile::kFirst, kLast
  uint32_t unused[3];
};
static_assert(sizeof(MergeItem) == 64);

// The parameters of every kernel, by value, in this order; what a kernel has no use for is 0.
struct LaunchArguments {
  uint64_t bindings;    // const Binding*, by buffer
  uint64_t maps;        // const TensorMap*
  uint64_t tiles;       // const ForwardTile*, BackwardTile* or Move*
  uint64_t items;       // const ForwardItem* and so on
  uint64_t turns;       // const Turn*
  uint64_t counters;    // uint32_t*, zero before the first launch and after each
  uint64_t next_item;   // uint32_t[2], likewise: items taken, CTAs done
  uint32_t item_count;
  uint32_t group;       // query heads that share a K/V head
  uint32_t heads;       // query heads of the kernels' spec
  uint32_t value_dim;
  float scale;       // of scores before softmax; positive and finite
  float scale_log2;  // scale * log2(e)
};
static_assert(sizeof(LaunchArguments) == 80);

}  // namespace flashcp::gpu

#endif  // FLASHCP_CODEGEN_NVPTX_KERNEL_ABI_H_
