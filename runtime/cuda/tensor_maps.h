// The tensor maps that the tiles of a rank name: one for each buffer and box, not one for each
// tile, so that few are encoded when the caller's tensors move.

#ifndef FLASHCP_RUNTIME_CUDA_TENSOR_MAPS_H_
#define FLASHCP_RUNTIME_CUDA_TENSOR_MAPS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

namespace flashcp::gpu {

// Rows [0, rows) of a buffer as a tensor of (dim, heads, rows), loaded 64 columns of a box at a
// time.
struct TensorMapShape {
  uint32_t buffer;
  uint32_t dim;
  uint32_t heads;
  uint32_t rows;
  uint32_t box_heads;
  uint32_t box_rows;
};

class TensorMaps {
 public:
  // Returns the number of the map with this buffer, dim, heads and box, which then has at least
  // these rows.
  uint16_t Add(const TensorMapShape& shape) {
    for (TensorMapShape& known : shapes_) {
      if (!SameBox(known, shape)) continue;
      known.rows = std::max(known.rows, shape.rows);
      return static_cast<uint16_t>(&known - shapes_.data());
    }
    shapes_.push_back(shape);
    return static_cast<uint16_t>(shapes_.size() - 1);
  }

  const std::vector<TensorMapShape>& shapes() const { return shapes_; }

 private:
  static bool SameBox(const TensorMapShape& a, const TensorMapShape& b) {
    return a.buffer == b.buffer && a.dim == b.dim && a.heads == b.heads &&
           a.box_heads == b.box_heads && a.box_rows == b.box_rows;
  }

  std::vector<TensorMapShape> shapes_;
};

}  // namespace flashcp::gpu

#endif  // FLASHCP_RUNTIME_CUDA_TENSOR_MAPS_H_
