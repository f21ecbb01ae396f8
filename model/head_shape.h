// The heads of attention: how many, and how large.

#ifndef FLASHCP_MODEL_HEAD_SHAPE_H_
#define FLASHCP_MODEL_HEAD_SHAPE_H_

namespace flashcp::model {

inline constexpr int kMaxHeads = 1024;  // query heads: byte counts of any batch fit 64 bits

struct HeadShape {
  int query = 32;     // query heads, a multiple of `key_value`
  int key_value = 8;  // key and value heads
  int dim = 128;      // elements of one head
};

}  // namespace flashcp::model

#endif  // FLASHCP_MODEL_HEAD_SHAPE_H_
